"""The race for one payment of an account that operators share."""

from __future__ import annotations

from freehold.client import AsyncClient as Methods

from benchmarks.races_arena import CITY, HARBOUR, JOINT
from benchmarks.races_round import (
    EXISTS,
    FULL,
    NOT_FOUND,
    UMBRELLA_MINOR,
    ZERO,
    Round,
    of,
    refused,
    told,
    yuan,
)


async def shared_payment(r: Round) -> None:
    """Two operators and the platform report one payment of a shared account at different servers.
    The payment counts once. An operator that loses gets the same refusal as for an unknown
    account."""
    people = await r.people(3)
    reference, calls = r.reference(), []
    for server, operator_id in enumerate((CITY, HARBOUR)):
        key = r.keys.operators[operator_id]
        offered = (
            await r.do(
                Methods.authorize,
                key=key,
                user_id=people[server],
                product_id="umbrella",
                **FULL,
            )
        ).authorization
        calls += [
            r.call(
                operator_id,
                Methods.confirm_authorization,
                server=server,
                key=key,
                name=offered.name,
                payment_reference=reference,
                paid=yuan(UMBRELLA_MINOR),
                rail_account=f"operators/{operator_id}/railAccounts/{JOINT}",
            )
            for _ in "ab"
        ]
    due = await r.settle(await r.authorize(people[2], **ZERO), 1_000)
    calls += [
        r.call(
            "by hand",
            Methods.record_payment,
            key=r.platform,
            authorization=due.name,
            payment_reference=reference,
            amount=yuan(600),
            rail_account=f"platform/railAccounts/{JOINT}",
        )
        for _ in "ab"
    ]
    answers = await r.race(calls)
    won = told(answers)
    if r.one(won, "payment"):
        r.won(answers, won)
    lost = refused(answers)
    r.lost(of(lost, CITY, HARBOUR), NOT_FOUND, "RAIL_ACCOUNT_NOT_FOUND")
    r.lost(of(lost, "by hand"), EXISTS, "PAYMENT_REFERENCE_USED")
    stored = await r.stored()
    kept = f"railAccounts/{JOINT}/{reference}"
    r.require(len(stored.payments[kept]) == 1, f"recorded {stored.payments[kept]}")
    credited_minor = sum(
        it.paid_minor + it.held_cash_minor
        for user_id in people
        for it in stored.authorizations[user_id]
    )
    once_minor = 600 if of(won, "by hand") else UMBRELLA_MINOR
    r.require(credited_minor == once_minor, f"{credited_minor} was credited")
