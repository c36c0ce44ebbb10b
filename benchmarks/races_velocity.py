"""Races for a bound of rentals: more calls ask than may be granted."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from freehold.client import AsyncClient as Methods
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.details_pb2 import Order

from benchmarks.races_arena import BOUNDED, MOST, Call
from benchmarks.races_round import FULL, ZERO, Round, of, refused, rental, state_of, told, yuan

BOUNDS = ("user", "device", "account")


async def velocity(r: Round) -> None:
    """Exactly as many rentals are granted as a bound allows: of a person, of a device and of a
    payment account.

    The calls for one device or account are by several people, on both servers, so that no line is
    shared. Some calls are confirmations of offers that were made before.
    """
    bound = BOUNDS[r.number % len(BOUNDS)]
    people = [await r.person()] if bound == "user" else await r.people(r.chance.randint(3, 5))
    order = _order(r, bound)
    clients = r.chance.randint(6, 12)
    calls = []
    for number in range(clients):
        user_id = people[number % len(people)]
        confirms = r.chance.random() < 0.3
        calls.append(await _confirm(r, user_id, order) if confirms else _ask(r, user_id, order))
    answers = await r.race(calls)
    r.require(not refused(answers), f"refused: {[it.refusal for it in refused(answers)]}")
    won = [it for it in told(answers) if state_of(it) == "ACTIVE"]
    r.won(answers, won)
    r.require(len(won) == MOST, f"{len(won)} of {clients} were granted where {MOST} are allowed")
    for answer in of(answers, "authorize", "confirm"):
        if answer not in won:
            reasons = rental(answer).reasons
            named = any(it.startswith("VELOCITY_") for it in reasons)
            r.require(named, f"{answer.kind}: {state_of(answer)} {list(reasons)}")
    stored = (await r.stored()).authorizations
    open_now = [it for user_id in people for it in stored[user_id] if it.state == "ACTIVE"]
    r.require(len(open_now) == MOST, f"{len(open_now)} are open")


def _order(r: Round, bound: str) -> dict[str, Any]:
    """The fields of a call that names the bearer."""
    if bound == "user":
        return {}
    named = sha256(r.id(bound).encode()).hexdigest()
    if bound == "device":
        return {"order": Order(device_hash=named)}
    return {"order": Order(payment_account_hash=named)}


def _ask(r: Round, user_id: str, order: dict[str, Any]) -> Call:
    fields = {"user_id": user_id, "product_id": BOUNDED, **order, **ZERO}
    return r.call("authorize", Methods.authorize, **fields)


async def _confirm(r: Round, user_id: str, order: dict[str, Any]) -> Call:
    offered: Authorization = await r.authorize(user_id, BOUNDED, **order, **FULL)
    return r.call(
        "confirm",
        Methods.confirm_authorization,
        name=offered.name,
        payment_reference=r.reference(),
        paid=yuan(offered.deposit_asked.amount_minor),
    )
