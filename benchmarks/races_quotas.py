"""The race for the free minutes of one person: each minute is used once."""

from __future__ import annotations

from freehold.client import AsyncClient as Methods
from freehold.v1.authorization_service_pb2 import SettleAuthorizationRequest

from benchmarks.races_arena import FREE_MINUTES, SCOOTER
from benchmarks.races_round import ZERO, Round, rental, told

RENTALS = 2 * FREE_MINUTES


async def quota(r: Round) -> None:
    """Rentals that are settled together at two servers share the free minutes of a day.

    Each rental is short, so one free minute makes it free. Exactly as many are free as there are
    minutes, and the others pay the start fee.
    """
    user_id = await r.person()
    rented = [await r.authorize(user_id, SCOOTER, **ZERO) for _ in range(RENTALS)]
    usage = SettleAuthorizationRequest.Usage()
    calls = [
        r.call(
            "other" if place % 2 else "one",
            Methods.settle_authorization,
            server=place % 2,
            name=it.name,
            usage=usage,
        )
        for place, it in enumerate(rented)
    ]
    answers = await r.race(calls)
    free = [it for it in told(answers) if not rental(it).captured.amount_minor]
    r.won(answers, free)
    r.require(len(told(answers)) == RENTALS, f"{len(told(answers))} of {RENTALS} were settled")
    r.require(len(free) == FREE_MINUTES, f"{len(free)} were free, of {FREE_MINUTES} minutes")
    minutes = (await r.stored()).quotas[user_id]
    r.require(sum(minutes) == FREE_MINUTES, f"{minutes} minutes are used")
