"""Races for a line and for an item: the calls ask for more than there is."""

from __future__ import annotations

from typing import Any

from freehold.client import AsyncClient as Methods
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import AuthorizeGroupRequest
from freehold.v1.credit_service_pb2 import STANDING_SUSPENDED

from benchmarks.races_arena import HARBOUR, Call
from benchmarks.races_round import (
    BIKE_MINOR,
    EXHAUSTED,
    FAILED,
    FULL,
    MINUTE_US,
    UMBRELLA_MINOR,
    ZERO,
    Round,
    of,
    refused,
    rental,
    state_of,
    told,
    yuan,
)


async def line(r: Round) -> None:
    """A line with room for only some of the calls is used exactly to its last unit.

    Two operators authorize on the line, and one increments an existing hold, all for the same
    amount.
    """
    clients = r.chance.randint(6, 16)
    fits = r.chance.randint(1, clients - 1)
    user_id = await r.person(BIKE_MINOR + UMBRELLA_MINOR * fits)
    # The increments stay within the bounds of a bike, whatever the line has.
    there = await r.authorize(user_id, "bike", **ZERO)
    answers = await r.race([_unit(r, user_id, there, number) for number in range(clients)])
    won = [it for it in told(answers) if state_of(it) != "DECLINED"]
    lost = [it for it in answers if it not in won]
    r.won(answers, won)
    r.require(len(won) == fits, f"{len(won)} of {clients} were granted where {fits} fit")
    r.lost(of(lost, "increment"), EXHAUSTED, "LINE_EXHAUSTED")
    for answer in of(lost, "authorize at city", "authorize at harbour"):
        r.require("LINE_EXHAUSTED" in rental(answer).reasons, f"{answer.kind}: {answer.refusal}")
    left = (await r.stored()).lines[user_id]
    r.require(
        (left.available_minor, left.held_minor) == (0, left.limit_minor),
        f"{left.available_minor} is available, {left.held_minor} held of {left.limit_minor}",
    )


def _unit(r: Round, user_id: str, there: Authorization, number: int) -> Call:
    if number % 3 == 2:
        return r.call(
            "increment",
            Methods.increment_authorization,
            name=there.name,
            amount=yuan(UMBRELLA_MINOR),
        )
    at_city = number % 3 == 0
    return r.call(
        "authorize at city" if at_city else "authorize at harbour",
        Methods.authorize,
        key=r.city if at_city else r.keys.operators[HARBOUR],
        user_id=user_id,
        product_id="umbrella",
        **ZERO,
    )


async def group(r: Round) -> None:
    """When groups and single items ask for a line with room for exactly one of them, exactly one is
    held.

    A group is held completely or not at all.
    """
    user_id = await r.person(BIKE_MINOR + UMBRELLA_MINOR)
    items = [
        AuthorizeGroupRequest.Item(product_id=product_id) for product_id in ("bike", "umbrella")
    ]
    answers = await r.race(
        [
            r.call("group", Methods.authorize_group, user_id=user_id, items=items, **ZERO)
            for _ in range(3)
        ]
        + [
            r.call(
                "single",
                Methods.authorize,
                key=r.keys.operators[HARBOUR],
                user_id=user_id,
                product_id="bike",
                **ZERO,
            )
            for _ in range(3)
        ]
    )
    r.require(not refused(answers), f"refused: {[it.refusal for it in refused(answers)]}")
    states = {Authorization.STATE_ACTIVE, Authorization.STATE_DECLINED}
    won = []
    for answer in answers:
        parts = answer.message.authorizations if answer.kind == "group" else [rental(answer)]
        r.require(len({it.state for it in parts} & states) == 1, "a group in two states")
        if parts[0].state == Authorization.STATE_ACTIVE:
            won.append(answer)
    if r.one(won, "hold"):
        r.won(answers, won)
        held_minor = (await r.stored()).lines[user_id].held_minor
        asked_minor = BIKE_MINOR + (UMBRELLA_MINOR if won[0].kind == "group" else 0)
        r.require(held_minor == asked_minor, f"{held_minor} is held by a {won[0].kind}")


async def suspension(r: Round) -> None:
    """A suspension takes effect although holds are placed at the same moment, and later calls are
    declined.

    The standing is part of the line's row, and every hold writes this row. But a change of the
    standing makes no entry, so it does not change the line's version. The two calls go to different
    servers.
    """
    user_id = await r.person()
    server = r.chance.randrange(2)
    fields = {"user_id": user_id, "product_id": "umbrella", "server": server + 1, **ZERO}
    suspend = r.call(
        "suspend",
        Methods.set_standing,
        key=r.platform,
        server=server,
        user_id=user_id,
        standing=STANDING_SUSPENDED,
    )
    holds = [r.call("authorize", Methods.authorize, **fields) for _ in "ab"]
    answers = await r.race([suspend, *holds])
    r.require(not refused(answers), f"refused: {[it.refusal for it in refused(answers)]}")
    held = [it for it in of(answers, "authorize") if state_of(it) == "ACTIVE"]
    for answer in of(answers, "authorize"):
        r.require(
            answer in held or "USER_SUSPENDED" in rental(answer).reasons,
            f"{state_of(answer)} for {list(rental(answer).reasons)}",
        )
    r.won(answers, held, "held" if held else "declined")
    stored = (await r.stored()).lines[user_id]
    r.require(str(stored.standing) == "SUSPENDED", f"the standing is {stored.standing}")
    r.require(stored.held_minor == UMBRELLA_MINOR * len(held), f"{stored.held_minor} is held")


async def item(r: Round) -> None:
    """One item is in one rental of its operator; the same id at another operator is another item.

    Four calls ask for it at once: Authorize under two products, a pick-up that names it, and the
    confirmation of an offer. If the item is gone, the deposit of that offer is owed back.
    """
    asset_id = r.asset()
    people = await r.people(5)
    reserved = await r.reserve(people[2], 30 * MINUTE_US, **ZERO)
    offered = await r.authorize(people[3], asset_id=asset_id, **FULL)
    harbour = r.keys.operators[HARBOUR]
    fields: dict[str, Any] = {"asset_id": asset_id, **ZERO}
    answers = await r.race(
        [
            r.call("bike", Methods.authorize, user_id=people[0], product_id="bike", **fields),
            r.call(
                "umbrella", Methods.authorize, user_id=people[1], product_id="umbrella", **fields
            ),
            r.call("pick-up", Methods.start_rental, name=reserved.name, asset_id=asset_id),
            r.call(
                "confirm",
                Methods.confirm_authorization,
                name=offered.name,
                payment_reference=r.reference(),
                paid=yuan(UMBRELLA_MINOR),
            ),
            r.call(
                "elsewhere",
                Methods.authorize,
                key=harbour,
                user_id=people[4],
                product_id="bike",
                **fields,
            ),
        ]
    )
    r.require(state_of(of(answers, "elsewhere")[0]) == "ACTIVE", "another operator's item is gone")
    ours = of(answers, "bike", "umbrella", "pick-up", "confirm")
    won = [it for it in ours if state_of(it) == "ACTIVE"]
    stored = await r.stored()
    if r.one(won, "rental with the item"):
        r.won(ours, won)
        names = sorted(
            rental(it).name.rpartition("/")[2] for it in (*won, *of(answers, "elsewhere"))
        )
        r.require(sorted(stored.items[asset_id]) == names, f"open: {stored.items[asset_id]}")
    lost = [it for it in ours if it not in won]
    r.lost(of(lost, "bike", "umbrella", "pick-up"), FAILED, "ASSET_IN_USE", ["IN_USE"])
    for answer in of(lost, "confirm"):
        owed = stored.authorization(offered.name)
        r.require("ASSET_IN_USE" in owed.reasons, f"confirm lost for {owed.reasons}")
        r.require(owed.refund_payable_minor == UMBRELLA_MINOR, f"{answer.kind}: money is gone")
    if of(lost, "pick-up"):
        r.require(stored.authorization(reserved.name).state == "AUTHORIZED", "a lost reservation")
