"""A refusal for an exhausted line or an item in use stays the answer of its request id."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from grpc import StatusCode

from service.domain.access import PLATFORM
from service.domain.authorization import State
from service.domain.errors import FreeholdError, RequestIdReused
from service.engine.calls import Tombstone
from service.engine.engine import Result
from service.engine.operations import Command, SetLimit
from service.rpc.status import code_of
from tests.engine.acts import group, increment, money
from tests.engine.calls import (
    authorize,
    balances,
    counts,
    pick_up,
    reason,
    refused,
    rental,
    reverse_origin,
    settle,
    start,
    stored,
)
from tests.fakes import MINUTE_US, START_US, Desk

ITEM = "bike-7"


class Obstacle(NamedTuple):
    """A refused command, another command of the same kind, the reason, and a function that removes
    the obstacle."""

    command: Command
    other: Command
    reason: str
    remove: Callable[[], object]


def item(desk: Desk) -> Obstacle:
    """An item in another rental, which ends."""
    held = rental(desk, authorize("ben", "umbrella", ITEM))
    command, other = authorize(asset_id=ITEM), authorize()
    return Obstacle(command, other, "ASSET_IN_USE", lambda: rental(desk, settle(held, 0)))


def item_of_a_group(desk: Desk) -> Obstacle:
    """The same item, of a group."""
    command = group("ann", ("bike", ITEM), ("umbrella", ""))
    return item(desk)._replace(command=command, other=group("ann", ("bike", ""), ("umbrella", "")))


def line(desk: Desk) -> Obstacle:
    """A line without room, whose limit is raised."""
    held = rental(desk, authorize())
    return Obstacle(
        increment(held, 40_000),
        increment(held, 1),
        "LINE_EXHAUSTED",
        lambda: desk.do(SetLimit("ann", money(90_000)), caller=PLATFORM),
    )


OBSTACLES: dict[str, Callable[[Desk], Obstacle]] = {
    it.__name__: it for it in (item, item_of_a_group, line)
}


@pytest.fixture(params=OBSTACLES)
def obstacle(request: pytest.FixtureRequest, desk: Desk) -> Obstacle:
    return OBSTACLES[request.param](desk)


def said(result: Result) -> tuple[StatusCode, str, str, dict[str, str]]:
    """All that a refusal says."""
    assert isinstance(result, FreeholdError)
    return code_of(result), result.reason, result.message, result.metadata


def send(desk: Desk, command: Command, request_id: str = "r") -> Result:
    """The result of a command under this request id."""
    (result,) = desk.apply(desk.work(command, request_id=request_id))
    return result


def test_row_53_a_retry_is_refused_again(desk: Desk, obstacle: Obstacle) -> None:
    """Row 53: a refusal stays the answer of its request id even if the item becomes free or the
    line has room. It writes only its record, and an increment the count of its try. A call with
    another id is decided anew."""
    before = counts(desk)
    first = send(desk, obstacle.command)
    assert reason(first) == obstacle.reason
    kept = counts(desk)
    tries = int(obstacle.reason == "LINE_EXHAUSTED")
    added = {"requests": before["requests"] + 1, "refused_increments": tries}
    assert kept == {**before, **added}
    obstacle.remove()
    desk.clock.advance(START_US + MINUTE_US)
    before = counts(desk)
    for _ in range(2):
        again = send(desk, obstacle.command)
        assert said(again) == said(first)
        assert isinstance(again, FreeholdError)
        assert again.since_us == START_US
    assert counts(desk) == before
    assert isinstance(send(desk, obstacle.command, "r-2"), bytes)


def test_row_53_a_refused_id_is_used(desk: Desk, obstacle: Obstacle) -> None:
    """Row 53: the request id of a kept refusal counts as used. Another body or another method with
    this id is refused, with the difference."""
    send(desk, obstacle.command)
    other = send(desk, obstacle.other)
    assert isinstance(other, RequestIdReused)
    assert other.metadata == {"field": "body"}
    another = send(desk, reverse_origin("ann", "unseen"))
    assert isinstance(another, RequestIdReused)
    assert another.metadata == {"field": "method"}


def test_row_53_equal_calls_of_a_batch_are_refused_alike(desk: Desk, obstacle: Obstacle) -> None:
    """Row 53: equal calls in one batch get one refusal, which is kept once."""
    before = counts(desk)["requests"]
    works = [desk.work(obstacle.command, request_id="r") for _ in range(5)]
    results = desk.apply(*works)
    assert [said(it) for it in results] == [said(results[0])] * 5
    assert counts(desk)["requests"] == before + 1


@pytest.mark.parametrize("name", ["item", "item_of_a_group"])
def test_row_53_a_refused_authorize_needs_no_reversal(desk: Desk, name: str) -> None:
    """Row 53: a reversal by the request id of a refused Authorize reverses nothing, and gets the
    same answer as for an Authorize that has not arrived. The refusal stays."""
    obstacle = OBSTACLES[name](desk)
    first = send(desk, obstacle.command)
    assert desk.do(reverse_origin("ann", "r")) == Tombstone()
    assert refused(desk, reverse_origin("ben", "r")).reason == "AUTHORIZATION_NOT_FOUND"
    obstacle.remove()
    assert said(send(desk, obstacle.command)) == said(first)


def test_row_53_a_refused_increment_is_not_reversed(desk: Desk) -> None:
    """Row 53: the request id of a refused increment names no authorization that could be
    reversed."""
    obstacle = OBSTACLES["line"](desk)
    send(desk, obstacle.command)
    assert refused(desk, reverse_origin("ann", "r")).reason == "AUTHORIZATION_NOT_FOUND"
    assert balances(desk) == (50_000, 30_100, 19_900, 0)


def test_row_53_a_late_authorize_of_an_item_in_use(desk: Desk) -> None:
    """Row 53: an Authorize that was reversed before it arrived and finds its item in use is refused
    for good."""
    desk.do(reverse_origin("ann", "r"))
    obstacle = OBSTACLES["item"](desk)
    assert reason(send(desk, obstacle.command)) == "ASSET_IN_USE"
    obstacle.remove()
    assert reason(send(desk, obstacle.command)) == "ASSET_IN_USE"
    assert desk.do(reverse_origin("ann", "r")) == Tombstone()


def test_row_53_other_refusals_are_not_kept(desk: Desk) -> None:
    """Row 53: a refusal for another reason is not kept, so its request id can be used again. Such
    reasons are the state, the cash that an increment needs, and an item that is named at the
    pick-up."""
    waiting = rental(desk, pick_up())
    before = counts(desk)
    assert reason(send(desk, settle(waiting, 0), "a")) == "ILLEGAL_TRANSITION"
    held = rental(desk, authorize("ben", "umbrella", ITEM))
    assert reason(send(desk, start(waiting, ITEM), "b")) == "ASSET_IN_USE"
    desk.put_user("ann", 400)
    assert reason(send(desk, increment(waiting, 100), "c")) == "DEPOSIT_REQUIRED"
    desk.put_user("ann", 700)
    rental(desk, settle(held, 0))
    assert isinstance(send(desk, increment(waiting, 100), "c"), bytes)
    assert isinstance(send(desk, start(waiting, ITEM), "b"), bytes)
    assert isinstance(send(desk, settle(waiting, 0), "a"), bytes)
    assert stored(desk, waiting).state is State.SETTLED
    assert counts(desk)["requests"] > before["requests"]


def test_row_53_a_lapsed_hold_refuses_nothing_for_good(desk: Desk) -> None:
    """Row 53: a hold that has lapsed does not cause a refusal that would be kept."""
    rental(desk, pick_up("ben", "umbrella", ITEM))
    desk.clock.advance(START_US + 31 * MINUTE_US)
    assert isinstance(send(desk, authorize(asset_id=ITEM)), bytes)
