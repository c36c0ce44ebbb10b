"""Races for a budget of exposure: more calls ask than the budget allows."""

from __future__ import annotations

from freehold.client import AsyncClient as Methods

from benchmarks.races_arena import BUDGET_RENTALS, BUDGET_SLICE, budgeted
from benchmarks.races_round import ZERO, Round, of, refused, rental, state_of, told, yuan

OUT = 2
"""The rentals that are out before the race."""


async def budget(r: Round) -> None:
    """Several servers together never hold more than a budget, and refuse at most one slice early.

    Calls by several people race for the room of one policy's budget. One rental is settled in the
    race: whoever comes later may use its room, too.
    """
    product_id = budgeted(r.place)
    clients = r.chance.randint(7, 12)
    people = await r.people(OUT + clients)
    out = [await r.authorize(it, product_id, **ZERO) for it in people[:OUT]]
    calls = [r.call("settle", Methods.settle_authorization, name=out[0].name, amount=yuan(0))]
    for place, user_id in enumerate(people[OUT:]):
        kind, fields = ("other" if place % 2 else "one"), {"user_id": user_id, **ZERO}
        server = place % 2
        calls.append(
            r.call(kind, Methods.authorize, server=server, product_id=product_id, **fields)
        )
    answers = await r.race(calls)
    r.require(not refused(answers), f"refused: {[it.refusal for it in refused(answers)]}")
    won = [it for it in of(told(answers), "one", "other") if state_of(it) == "ACTIVE"]
    r.won(answers, won)
    # Before the race one more rental is out, which may be settled before all others or after them.
    least, most = BUDGET_RENTALS - OUT - BUDGET_SLICE + 1, BUDGET_RENTALS - OUT + 1
    text = f"{len(won)} of {clients} were granted, and {least} to {most} are allowed"
    r.require(least <= len(won) <= most, text)
    for answer in of(answers, "one", "other"):
        if answer not in won:
            reasons = list(rental(answer).reasons)
            r.require("BUDGET_EXHAUSTED" in reasons, f"{answer.kind}: {state_of(answer)} {reasons}")
    stored = (await r.stored()).authorizations
    open_now = [it for user_id in people for it in stored[user_id] if it.state == "ACTIVE"]
    r.require(len(open_now) == len(won) + OUT - 1, f"{len(open_now)} are open")
    r.require(len(open_now) <= BUDGET_RENTALS, f"{len(open_now)} exceed the budget")
    for it in open_now:
        # The next round with this budget begins with all of it.
        await r.do(Methods.settle_authorization, name=it.name, amount=yuan(0))
