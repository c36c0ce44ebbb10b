"""The races of a late pick-up: with the expiry, another Authorize, and the latter's StartRental."""

from __future__ import annotations

from typing import Any

from freehold.client import AsyncClient as Methods
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks.races_arena import Answer, Call
from benchmarks.races_round import (
    FAILED,
    MINUTE_US,
    UMBRELLA_MINOR,
    ZERO,
    Round,
    of,
    refused,
    rental,
    told,
)

ON_PICKUP = AuthorizeRequest.START_ON_PICKUP


def _late(r: Round, held: Authorization) -> list[Call]:
    """Two reports, under two request ids, that the item was picked up within the reservation."""
    taken = Timestamp()
    taken.FromMicroseconds(held.create_time.ToMicroseconds() + 1)
    return [r.call("late", Methods.start_rental, name=held.name, occurred_at=taken) for _ in "ab"]


async def _check(
    r: Round, held: Authorization, other: Authorization | None, asset_id: str, late: list[Answer]
) -> str:
    """The person who has the item in the end: `late` or `other`.

    The person of the reservation has at most one rental, which all successful reports name, and
    exactly one hold; a promise that lost the item is REVERSED with ASSET_TAKEN and holds nothing.
    """
    stored = await r.stored()
    user_id = held.name.split("/")[1]
    begun = [it for it in stored.authorizations[user_id] if it.state == "ACTIVE"]
    won = told(late)
    names = {rental(it).name for it in won}
    r.require(names == {it.name for it in begun}, f"{len(begun)} rentals, told of {names}")
    held_minor = stored.lines[user_id].held_minor
    r.require(held_minor == UMBRELLA_MINOR * len(begun), f"{held_minor} is held by the late one")
    r.require(len(begun) <= 1, f"{len(begun)} rentals of one pick-up")
    if other is None:
        r.require(len(begun) == 1, "nobody has the item")
        return "late"
    after = stored.authorization(other.name)
    if begun:
        r.require(after.state == "REVERSED", f"the other one is {after.state}")
        r.require("ASSET_TAKEN" in after.reasons, f"taken away for {after.reasons}")
    theirs = stored.lines[other.name.split("/")[1]].held_minor
    r.require(theirs == (0 if begun else UMBRELLA_MINOR), f"{theirs} is held by the other one")
    holder = begun[0].name if begun else other.name
    found = stored.items[asset_id]
    r.require(found == [holder.rpartition("/")[2]], f"open: {found}")
    return "late" if begun else "other"


def _in_use(r: Round, late: list[Answer], **metadata: str) -> None:
    """Requires that one of these refused reports opened the platform's case, and that the others
    wait for this case."""
    asked = [it for it in late if it.refusal is not None and it.refusal.reason == "ASSET_IN_USE"]
    r.require(bool(asked) or not late, "no report of an item in use asked the platform")
    r.lost(asked, FAILED, "ASSET_IN_USE", **metadata)
    r.lost([it for it in late if it not in asked], FAILED, "PICKUP_IN_QUESTION")


async def late_pickup(r: Round) -> None:
    """A pick-up that is told while its reservation expires begins one rental, whoever asks for the
    item meanwhile: a promise to somebody else ends, and only a rental that is out keeps the item.

    In every second round somebody else rents the item at once, else it is promised.
    """
    asset_id = r.asset()
    people = await r.people(2)
    window_us = r.after_us(MINUTE_US)
    held = await r.reserve(people[0], window_us, asset_id=asset_id, **ZERO)
    more: dict[str, Any] = {} if r.number % 2 else {"start": ON_PICKUP}
    fields = {"user_id": people[1], "product_id": "umbrella", "asset_id": asset_id, **ZERO}
    calls = [*_late(r, held), r.call("other", Methods.authorize, **fields, **more)]
    answers = await r.race(calls, at_us=r.instant_us(MINUTE_US), time="expiry")
    (asked,) = of(answers, "other")
    other = rental(asked) if asked.told is not None else None
    winner = await _check(r, held, other, asset_id, of(answers, "late"))
    begun_late = any(rental(it).name != held.name for it in told(of(answers, "late")))
    r.time_was(first=begun_late or winner == "other")
    how = winner if winner == "other" else "late" if begun_late else "in time"
    r.won(answers, of(answers, "other") if winner == "other" else told(of(answers, "late")), how)
    late = refused(of(answers, "late"))
    if winner == "late":
        r.lost(late, FAILED)
    else:
        _in_use(r, late)
    r.lost(refused(of(answers, "other")), FAILED, "ASSET_IN_USE", asset=asset_id)


async def late_start(r: Round) -> None:
    """After the expiry, the late pick-up and the StartRental of the one who got the item promised
    exclude each other: the first takes the promise away, or the second keeps the item."""
    asset_id = r.asset()
    people = await r.people(2)
    held = await r.reserve(people[0], r.after_us(MINUTE_US), asset_id=asset_id, **ZERO)
    async with r.turn():
        await r.advance(r.instant_us(MINUTE_US))
        other = await r.reserve(people[1], 30 * MINUTE_US, asset_id=asset_id, **ZERO)
    start = r.call("start", Methods.start_rental, name=other.name)
    answers = await r.race([*_late(r, held), start])
    winner = await _check(r, held, other, asset_id, of(answers, "late"))
    won = told(of(answers, "late")) if winner == "late" else of(answers, "start")
    r.won(answers, won, winner if winner == "late" else "start")
    lost = refused(answers)
    r.require(len(lost) == (1 if winner == "late" else 2), f"{len(lost)} lost to {winner}")
    r.lost(of(lost, "start"), FAILED, "ILLEGAL_TRANSITION", ["REVERSED"])
    _in_use(r, of(lost, "late"), authorization=other.name)
