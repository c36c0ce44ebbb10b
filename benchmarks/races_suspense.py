"""The race for money in suspense: no more of it is matched than came in."""

from __future__ import annotations

from typing import Any

from freehold.client import AsyncClient as Methods
from freehold.v1.charge_back_pb2 import SUSPENSE_DIRECTION_IN

from benchmarks.races_round import FAILED, INVALID, ZERO, Round, of, refused, told, yuan


async def suspense(r: Round) -> None:
    """An amount in suspense is matched once: two keys pay a person's debt with it, or it goes back.

    One server is asked to approve a match that is proposed, the other one to return the money. The
    key that proposed the match does not approve it.
    """
    amount_minor = 800
    held = await r.settle(await r.authorize(await r.person(), **ZERO), amount_minor)
    reference = r.reference()
    first, second = r.keys.platform[:2]
    await r.do(
        Methods.record_unmatched,
        key=first,
        direction=SUSPENSE_DIRECTION_IN,
        amount=yuan(amount_minor),
        payment_reference=reference,
    )
    match: dict[str, Any] = {"payment_reference": reference, "amount": yuan(amount_minor)}
    await r.do(Methods.match_suspense, key=first, name=held.name, **match)
    calls = [
        r.call("pay", Methods.match_suspense, key=second, server=0, name=held.name, **match),
        r.call("pay", Methods.match_suspense, key=second, server=1, name=held.name, **match),
        r.call("return", Methods.match_suspense, key=first, server=1, **match),
        r.call("return", Methods.match_suspense, key=first, server=0, **match),
        r.call("alone", Methods.match_suspense, key=first, server=1, name=held.name, **match),
    ]
    answers = await r.race(calls)
    won = told(answers)
    if r.one(won, "match"):
        r.won(answers, won)
    r.require(not of(won, "alone"), "the key that proposed the match approved it")
    lost = [it for it in refused(answers) if it.kind != "alone"]
    r.lost(lost, INVALID, "INVALID_INPUT")
    for answer in of(refused(answers), "alone"):
        code = answer.refusal.code if answer.refusal is not None else None
        r.require(code in (FAILED, INVALID), f"the first key was refused with {code}")
    stored = (await r.stored()).authorization(held.name)
    paid_minor = amount_minor if of(won, "pay") else 0
    r.require(stored.paid_minor == paid_minor, f"{stored.paid_minor} was paid")
