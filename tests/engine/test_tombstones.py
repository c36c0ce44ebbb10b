"""Reversing an Authorize by its request id, whether it has arrived or not."""

from __future__ import annotations

import pytest

from service.domain.authorization import State
from service.domain.policy import Offer
from service.engine.calls import Tombstone
from service.engine.operations import StartRental
from tests.engine.calls import (
    authorize,
    balances,
    counts,
    pick_up,
    refused,
    rental,
    reverse_origin,
    settle,
)
from tests.fakes import OTHER_OPERATOR, Desk


def test_a_late_authorize_cannot_take_the_item(desk: Desk) -> None:
    """A reverse before its Authorize leaves a tombstone: the late Authorize is declined and holds
    nothing."""
    assert desk.do(reverse_origin("ann", "r")) == Tombstone()
    it = rental(desk, authorize(asset_id="bike-7"), request_id="r")
    assert (it.state, it.offer, it.reasons) == (
        State.DECLINED, None, ("CANCELLED_BEFORE_ARRIVAL",),
    )  # fmt: skip
    assert balances(desk) == (50_000, 50_000, 0, 0)
    assert counts(desk)["open_items"] == 0


def test_the_late_authorizes_answer_stays(desk: Desk) -> None:
    """A late Authorize's decline stays its answer."""
    desk.do(reverse_origin("ann", "r"))
    (first,) = desk.apply(desk.work(authorize(), request_id="r"))
    assert desk.apply(desk.work(authorize(), request_id="r")) == [first]
    assert refused(desk, authorize(product_id="umbrella"), request_id="r").metadata == {
        "field": "body"
    }
    assert counts(desk)["authorizations"] == 1


def test_a_tombstone_works_within_a_batch(desk: Desk) -> None:
    """A tombstone declines an Authorize later in the same batch."""
    desk.apply(desk.work(reverse_origin("ann", "r")), desk.work(authorize(), request_id="r"))
    assert desk.answers["r"].state is State.DECLINED  # type: ignore[union-attr]
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_a_refused_authorize_leaves_the_tombstone(desk: Desk) -> None:
    """A refused late Authorize leaves the tombstone in place."""
    desk.do(reverse_origin("ann", "r"))
    assert refused(desk, authorize(product_id="tank"), request_id="r").reason == "PRODUCT_NOT_FOUND"
    assert rental(desk, authorize(), request_id="r").state is State.DECLINED


def test_a_second_reverse_by_origin_changes_nothing(desk: Desk) -> None:
    """A second reverse of an Authorize not seen yet, with another id, changes nothing."""
    desk.do(reverse_origin("ann", "r"))
    assert desk.do(reverse_origin("ann", "r")) == Tombstone()
    assert rental(desk, authorize(), request_id="r").state is State.DECLINED


def test_a_tombstones_id_is_for_authorize_only(desk: Desk) -> None:
    """Only an Authorize can use a request id with a tombstone."""
    it = rental(desk, authorize())
    desk.do(reverse_origin("ann", "r"))
    assert refused(desk, settle(it, 0), request_id="r").metadata == {"field": "method"}


@pytest.mark.parametrize("together", [False, True], ids=["later", "in one batch"])
def test_an_authorize_seen_before_is_reversed(desk: Desk, together: bool) -> None:
    """A reverse of an Authorize that was seen reverses its authorization and frees its item."""
    first = desk.work(authorize(asset_id="bike-7"), request_id="r")
    second = desk.work(reverse_origin("ann", "r"), request_id="s")
    if together:
        desk.apply(first, second)
    else:
        desk.apply(first)
        desk.apply(second)
    assert desk.answers["s"].state is State.REVERSED  # type: ignore[union-attr]
    assert balances(desk) == (50_000, 50_000, 0, 0)
    assert counts(desk)["open_items"] == 0


def test_the_present_state_decides(desk: Desk) -> None:
    """An Authorize that is settled or declined cannot be reversed."""
    it = rental(desk, settle(rental(desk, authorize(), request_id="r"), 5))
    said = refused(desk, reverse_origin("ann", "r")).metadata
    assert said == {"state": "SETTLED", "authorization": it.name}
    it = rental(desk, authorize("cem", accept=(Offer.ZERO,)), request_id="s")
    said = refused(desk, reverse_origin("cem", "s")).metadata
    assert said == {"state": "DECLINED", "authorization": it.name}


def test_waiting_holds_are_reversed(desk: Desk) -> None:
    """A hold that waits for its pick-up, and an offer, are reversed by their origin too."""
    rental(desk, pick_up(), request_id="r")
    rental(desk, authorize("ben"), request_id="s")
    assert rental(desk, reverse_origin("ann", "r")).state is State.REVERSED
    assert rental(desk, reverse_origin("ben", "s")).state is State.REVERSED


def test_the_person_must_be_the_same(desk: Desk) -> None:
    """For another person, neither an Authorize nor a tombstone is found by its origin."""
    rental(desk, authorize(), request_id="r")
    assert refused(desk, reverse_origin("ben", "r")).reason == "AUTHORIZATION_NOT_FOUND"
    desk.do(reverse_origin("ann", "s"))
    assert refused(desk, reverse_origin("ben", "s")).reason == "AUTHORIZATION_NOT_FOUND"
    assert balances(desk) == (50_000, 30_100, 19_900, 0)


def test_an_origin_belongs_to_its_caller(desk: Desk) -> None:
    """An operator cannot reverse another operator's Authorize by its request id."""
    rental(desk, authorize(), request_id="r")
    assert desk.do(reverse_origin("ann", "r"), caller=OTHER_OPERATOR) == Tombstone()
    assert balances(desk) == (50_000, 30_100, 19_900, 0)


def test_only_an_authorize_is_reversed_by_request_id(desk: Desk) -> None:
    """The request id of another method's call names nothing to reverse."""
    it = rental(desk, pick_up())
    desk.do(StartRental(it.user_id, it.authorization_id, ""), request_id="start")
    error = refused(desk, reverse_origin("ann", "start"))
    assert error.reason == "AUTHORIZATION_NOT_FOUND"
