"""The race for the passes of one person: one counts at a time, and a used one is not refunded."""

from __future__ import annotations

from typing import Any

from freehold.client import AsyncClient as Methods
from freehold.v1.authorization_service_pb2 import SettleAuthorizationRequest

from benchmarks.races_arena import PASS_NAME, TRICYCLE
from benchmarks.races_round import FAILED, ZERO, Round, of, refused, rental, told

SOLD: dict[str, Any] = {"product_id": TRICYCLE, "pass_name": PASS_NAME}


async def passes(r: Round) -> None:
    """Of purchases and grants of a pass at two servers exactly one succeeds. Of a refund and the
    settlements of two rentals either the refund comes first, and both rentals pay, or both use the
    pass, and it is not refunded.

    Every third round is about the purchase.
    """
    user_id = await r.person()
    await (_sale(r, user_id) if r.number % 3 == 0 else _refund(r, user_id))


async def _sale(r: Round, user_id: str) -> None:
    calls = [
        r.call(kind, method, server=server, user_id=user_id, **SOLD)
        for server in (0, 1)
        for kind, method in (
            ("bought", Methods.buy_pass),
            ("bought", Methods.buy_pass),
            ("granted", Methods.grant_pass),
        )
    ]
    answers = await r.race(calls)
    won = told(answers)
    r.won(answers, won)
    r.lost(refused(answers), FAILED, "PASS_HELD")
    stored = await r.stored()
    if r.one(won, "pass"):
        found, debts = stored.passes[user_id], len(stored.authorizations[user_id])
        r.require(found == [(0, False)], f"the passes are {found}")
        r.require(debts == (won[0].kind == "bought"), f"{debts} debts of a pass {won[0].kind}")


async def _refund(r: Round, user_id: str) -> None:
    sold = await r.do(Methods.buy_pass, user_id=user_id, **SOLD)
    rented = [await r.authorize(user_id, TRICYCLE, **ZERO) for _ in "ab"]
    usage = SettleAuthorizationRequest.Usage()
    calls = [
        r.call("used", Methods.settle_authorization, server=server, name=it.name, usage=usage)
        for server, it in enumerate(rented)
    ]
    calls += [
        r.call("refunded", Methods.refund_pass, server=server, name=sold.held.name)
        for server in (0, 1)
        for _ in "ab"
    ]
    answers = await r.race(calls)
    settled, refunds = of(told(answers), "used"), of(told(answers), "refunded")
    r.won(answers, refunds or settled[:1])
    r.lost(refused(answers), FAILED, "PASS_REFUNDED" if refunds else "PASS_USED")
    r.require(len(refunds) <= 1, f"the pass was refunded {len(refunds)} times")
    r.require(len(settled) == len(rented), f"{len(settled)} of {len(rented)} were settled")
    paid = sum(rental(it).captured.amount_minor > 0 for it in settled)
    r.require(paid == (len(rented) if refunds else 0), f"{paid} rentals paid")
    found = (await r.stored()).passes[user_id]
    expected = [(0, True)] if refunds else [(len(rented), False)]
    r.require(found == expected, f"the passes are {found}")
