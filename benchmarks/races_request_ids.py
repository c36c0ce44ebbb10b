"""Races of calls with one request id."""

from __future__ import annotations

from freehold.client import AsyncClient as Methods
from freehold.v1.authorization_service_pb2 import ReverseAuthorizationRequest

from benchmarks.races_round import EXISTS, FAILED, ZERO, Round, of, refused, told, yuan

CLIENTS = 50


async def one_id(r: Round) -> None:
    """One request id from fifty clients has one effect, and fifty identical answers."""
    user_id = await r.person()
    if r.number % 2:
        held = await r.authorize(user_id, **ZERO)
        call = r.call(
            "settle",
            Methods.settle_authorization,
            name=held.name,
            amount=yuan(700),
            final=False,
        )
    else:
        call = r.call("authorize", Methods.authorize, user_id=user_id, product_id="umbrella")
    answers = await r.race([call] * CLIENTS)
    r.require(not refused(answers), f"refused: {[it.refusal for it in refused(answers)]}")
    r.require(len({it.told for it in answers}) == 1, "different bytes")
    r.won(answers, answers, f"one {call.kind}")
    made = (await r.stored()).authorizations[user_id]
    r.require(len(made) == 1, f"{len(made)} authorizations")
    captured_minor = sum(it.captured_minor for it in made)
    right_minor = 700 if call.kind == "settle" else 0
    r.require(captured_minor == right_minor, f"captured {captured_minor}")


async def two_bodies(r: Round) -> None:
    """When two bodies have one request id, one is applied; the others are refused with the field
    that differs.

    The two bodies are for two people, each at a different server. No two processes lock the same
    line, so only the request's record decides.
    """
    people, same = await r.people(2), r.id()
    answers = await r.race(
        [
            r.call(
                kind,
                Methods.authorize,
                request_id=same,
                server=server,
                user_id=user_id,
                product_id="umbrella",
            )
            for server, (kind, user_id) in enumerate(zip(("one", "other"), people, strict=True))
            for _ in "abc"
        ]
    )
    won = told(answers)
    r.require(len({it.told for it in won}) == 1, "different bytes")
    r.require(len(won) == 3, f"{len(won)} of 3 got the answer")
    r.require(len({it.kind for it in won}) == 1, "two bodies were taken")
    r.lost(refused(answers), EXISTS, "REQUEST_ID_REUSED", field="user_id")
    if won:
        r.won(answers, won, won[0].kind)
    stored = await r.stored()
    made = sum(len(stored.authorizations[user_id]) for user_id in people)
    r.require(made == 1, f"{made} authorizations")


async def tombstone(r: Round) -> None:
    """When a reversal by origin races its Authorize, nothing stays held, whichever is first.

    In every other round the person is not registered, so there is no line to lock.
    """
    user_id = r.stranger() if r.number % 2 else await r.person()
    late = r.call("authorize", Methods.authorize, user_id=user_id, product_id="bike")
    origin = ReverseAuthorizationRequest.Origin(
        user_id=user_id, authorize_request_id=late.request_id
    )
    answers = await r.race(
        [late, *(r.call("reverse", Methods.reverse_authorization, origin=origin) for _ in "ab")]
    )
    stored = await r.stored()
    if not r.require(len(stored.authorizations[user_id]) == 1, "not one authorization"):
        return
    (only,) = stored.authorizations[user_id]
    reversals = told(of(answers, "reverse"))
    before = [it for it in reversals if it.message.tombstone]
    if only.state == "DECLINED":
        r.won(answers, before, "reverse")
        r.require(
            len(before) == len(reversals) > 0, f"{len(before)} of {len(reversals)} tombstones"
        )
        r.lost(refused(answers), FAILED, "ILLEGAL_TRANSITION", ["DECLINED"])
        r.require("CANCELLED_BEFORE_ARRIVAL" in only.reasons, f"declined for {only.reasons}")
    else:
        r.won(answers, of(answers, "authorize"))
        r.require(only.state == "REVERSED", f"it is {only.state}")
        r.one(reversals, "reversal")
        r.lost(refused(answers), FAILED, "ILLEGAL_TRANSITION", ["REVERSED"])
    r.require(stored.lines[user_id].held_minor == 0, "something is held")
