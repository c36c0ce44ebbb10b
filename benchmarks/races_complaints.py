"""The race for the fee of an item that could not be returned: it is returned while the complaint
about it is granted."""

from __future__ import annotations

from freehold.client import AsyncClient as Methods
from freehold.v1 import authorization_service_pb2 as rentals
from freehold.v1 import case_service_pb2 as pb

from benchmarks.races_round import FAILED, HOUR_US, ZERO, Round, of, refused, span, told

UNTIL_US = HOUR_US
BACK_US = 26 * HOUR_US
FEE_MINOR = 100
"""The fee of an umbrella until the complaint."""


async def complaint(r: Round) -> None:
    """The settlement of a rental and the grant of a complaint about it: each succeeds once.
    Whichever is first, the fee until the complaint's time stays due."""
    user_id = await r.person()
    held = await r.authorize(user_id, rental_period=span(72 * HOUR_US), **ZERO)
    async with r.turn():
        await r.advance(r.instant_us(UNTIL_US))
        blocked = pb.CASE_KIND_RETURN_BLOCKED
        opened = await r.do(Methods.open_complaint, name=held.name, complaint=blocked)
    usage = rentals.SettleAuthorizationRequest.Usage()
    ways = (
        ("settle", Methods.settle_authorization, {"name": held.name, "usage": usage}),
        (
            "grant",
            Methods.resolve_case,
            {"name": opened.case.name, "outcome": pb.CASE_OUTCOME_FOR_USER},
        ),
    )
    calls = [
        r.call(kind, method, server=server, **fields)
        for server in (0, 1)
        for kind, method, fields in ways
    ]
    async with r.turn():
        await r.advance(r.instant_us(BACK_US))
        answers = await r.contend(calls)
    settled, granted = (told(of(answers, kind)) for kind in ("settle", "grant"))
    r.lost(refused(of(answers, "settle")), FAILED, "ILLEGAL_TRANSITION", ["SETTLED"])
    r.lost(refused(of(answers, "grant")), FAILED, "CASE_CLOSED")
    if not r.one(settled, "settlement") or not r.one(granted, "grant"):
        return
    given_minor = granted[0].message.case.granted.amount_minor
    first = settled if given_minor else granted
    r.won(answers, first, "settled first" if given_minor else "granted first")
    it = (await r.stored()).authorization(held.name)
    r.require(it.due_minor == FEE_MINOR, f"{it.due_minor} due instead of {FEE_MINOR}")
    kept_minor = it.captured_minor - given_minor
    r.require(kept_minor == FEE_MINOR, f"{kept_minor} kept after giving back {given_minor}")
