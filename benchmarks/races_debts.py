"""The race for the debts of one rental: each reference once, and all within the deposit."""

from __future__ import annotations

from freehold.client import AsyncClient as Methods

from benchmarks.races_round import (
    EXISTS,
    INVALID,
    UMBRELLA_MINOR,
    ZERO,
    Round,
    refused,
    rental,
    told,
    yuan,
)


async def debt(r: Round) -> None:
    """A business reference is booked once for a rental, also by different calls at two servers.

    In every second round the references differ, and only one debt has room within the deposit.
    """
    user_id = await r.person()
    rented = await r.settle(await r.authorize(user_id, **ZERO), 100)
    once, all_differ = r.reference(), r.number % 2 == 1
    amount_minor = UMBRELLA_MINOR * 2 // 3 if all_differ else 100
    calls = [
        r.call(
            kind,
            Methods.book_debt,
            server=server,
            name=rented.name,
            amount=yuan(amount_minor),
            business_reference=r.reference() if all_differ else once,
            evidence="photo",
        )
        for server, kind in enumerate(("one", "other"))
        for _ in "abc"
    ]
    answers = await r.race(calls)
    won = told(answers)
    r.won(answers, won)
    stored = await r.stored()
    line = stored.lines[user_id]
    debts = [it for it in stored.authorizations[user_id] if it.unheld_minor]
    if r.one(won, "debt"):
        booked = rental(won[0])
        r.require([it.name for it in debts] == [booked.name], f"{len(debts)} debts are stored")
        if all_differ:
            r.lost(refused(answers), INVALID, "INVALID_INPUT")
        else:
            reason = "BUSINESS_REFERENCE_REUSED"
            r.lost(refused(answers), EXISTS, reason, debt=booked.name)
    r.require(line.unheld_minor == amount_minor, f"{line.unheld_minor} is owed without a hold")
