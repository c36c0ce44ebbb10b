"""Signals of fraud: devices, payment accounts, items and returns, apart from the score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.domain.authorization import Authorization, State
from service.domain.details import ItemPlace, Order
from service.domain.policy import Offer, Reason
from service.domain.rules import Outcome, Rules, Signal, SignalRule
from service.domain.rules_document import json_of_rules
from service.engine import operations as c
from service.storage import schema as t
from tests.engine import acts
from tests.engine.calls import authorize, confirm, pick_up, rental, reverse, settle
from tests.engine.test_velocity import move, read_values, rental_in
from tests.fakes import OTHER_OPERATOR, START_US, Desk

MINUTE_US = 60_000_000
DAY_US = 24 * 60 * MINUTE_US
S = Signal


def under(desk: Desk, *signals: SignalRule) -> None:
    """Puts the policy of bikes under signals."""
    acts.change_terms(desk, t.policies, "bike", rules=json_of_rules(Rules(signal=signals)))


def rule(
    signal: Signal,
    most: int,
    days: int = 7,
    then: Outcome = Outcome.DECLINE,
    within: int | None = None,
) -> SignalRule:
    return SignalRule(signal, most, days * DAY_US, then, within and within * MINUTE_US)


def ordered(
    desk: Desk,
    user_id: str,
    device: str = "",
    account: str = "",
    *,
    asset: str = "",
    station: str = "",
    caller: str = "city",
) -> Authorization:
    """An authorization of a bike at once, with the details of the order."""
    order = Order(
        device_hash=device, payment_account_hash=account, place=ItemPlace(station=station)
    )
    asked = authorize(user_id)._replace(order=order, items=(c.Item("bike", asset),))
    return rental_in(desk.do(asked, caller=caller))


def back(desk: Desk, it: Authorization, station: str = "") -> None:
    """Settles a rental at a station."""
    rental(desk, replace(settle(it, 0), place=ItemPlace(station=station)))


def people(desk: Desk, *names: str) -> None:
    for it in names:
        desk.put_user(it, 700)


@pytest.mark.parametrize(
    ("signal", "named"),
    [(S.DEVICE_SHARED, {"device": "d"}), (S.PAYMENT_ACCOUNT_SHARED, {"account": "d"})],
)
def test_few_people_share_a_device(desk: Desk, signal: Signal, named: dict[str, Any]) -> None:
    """Two people may use one device or payment account in 7 days, and the third is declined, for
    as long as both others are in the window. A person who comes again is no new one."""
    under(desk, rule(signal, 2))
    people(desk, "ann", "ben", "cem")
    assert ordered(desk, "ann", **named).state is State.ACTIVE
    move(desk, START_US + DAY_US)
    assert ordered(desk, "ben", **named).state is State.ACTIVE
    assert ordered(desk, "ann", **named).state is State.ACTIVE
    third = ordered(desk, "cem", **named)
    assert (third.state, third.reasons) == (State.DECLINED, (f"SIGNAL_{signal}",))
    assert read_values(desk, third) == {f"signal.{signal.lower()}": 3}
    assert ordered(desk, "cem").state is State.ACTIVE
    move(desk, START_US + 8 * DAY_US - 1)
    assert ordered(desk, "cem", **named).state is State.DECLINED
    move(desk, START_US + 8 * DAY_US)
    assert ordered(desk, "cem", **named).state is State.ACTIVE


def test_only_granted_rentals_with_the_operator_leave_traces(desk: Desk) -> None:
    """A decline, an offer that waits, a reversed reservation and a rental with another operator
    leave no trace."""
    under(desk, rule(S.DEVICE_SHARED, 1))
    people(desk, "ann", "ben", "cem", "dan")
    ordered(desk, "ben", "d", caller=OTHER_OPERATOR)
    desk.put_user("cem", 300)
    waiting = ordered(desk, "cem", "d")
    assert waiting.state is State.OFFERED
    order = Order(device_hash="d")
    held = rental_in(desk.do(pick_up("dan")._replace(order=order)))
    rental(desk, reverse(held))
    assert ordered(desk, "ann", "d").state is State.ACTIVE
    assert ordered(desk, "ben", "d").reasons == (Reason.SIGNAL_DEVICE_SHARED,)
    # What was granted counts, however it was granted.
    rental(desk, confirm(waiting))
    assert read_values(desk, ordered(desk, "ben", "d")) == {"signal.device_shared": 3}


def test_a_reservation_that_lapsed_leaves_no_trace(desk: Desk) -> None:
    """A reservation counts until its time is over, and no longer, even if no timer has ended it."""
    under(desk, rule(S.DEVICE_SHARED, 1))
    people(desk, "ann", "ben")
    held = rental_in(desk.do(pick_up("ann")._replace(order=Order(device_hash="d"))))
    assert held.expire_us is not None
    move(desk, held.expire_us - 1)
    assert ordered(desk, "ben", "d").state is State.DECLINED
    move(desk, held.expire_us)
    assert ordered(desk, "ben", "d").state is State.ACTIVE


def test_calls_of_one_batch_see_each_other(desk: Desk) -> None:
    """Of three people who order on one device in one batch, two get a bike."""
    under(desk, rule(S.DEVICE_SHARED, 2))
    names = ("ann", "ben", "cem")
    people(desk, *names)
    order = Order(device_hash="d")
    desk.apply(*(desk.work(authorize(it)._replace(order=order), request_id=it) for it in names))
    states = [rental_in(desk.answers[it]).state for it in names]
    assert states == [State.ACTIVE, State.ACTIVE, State.DECLINED]


def test_a_farm_of_new_accounts_is_reviewed(desk: Desk) -> None:
    """Accounts that were first seen within the days count, and older ones on the same device do
    not."""
    people(desk, "ann", "ben")
    under(desk, rule(S.NEW_ACCOUNTS_ON_DEVICE, 2, days=3, then=Outcome.REVIEW))
    move(desk, START_US + 3 * DAY_US)
    for name in ("ann", "ben", "n-1", "n-2"):
        if name.startswith("n"):
            desk.put_user(name, 700)
        assert ordered(desk, name, "d").state is State.ACTIVE
    desk.put_user("n-3", 700)
    found = ordered(desk, "n-3", "d")
    assert found.state is State.REVIEW
    assert read_values(desk, found) == {"signal.new_accounts_on_device": 3}
    assert "SIGNAL_NEW_ACCOUNTS_ON_DEVICE" in found.reasons
    unknown = ordered(desk, "never-seen", "d")
    assert read_values(desk, unknown) == {"signal.new_accounts_on_device": 3}


def test_an_old_account_is_old_in_every_batch(desk: Desk) -> None:
    """A person who was first seen long ago does not count as new, even if the same batch grants the
    person a rental under a policy without signals, or confirms an earlier offer."""
    people(desk, "ann", "ben", "cem")
    under(desk, rule(S.NEW_ACCOUNTS_ON_DEVICE, 2, days=3))
    move(desk, START_US + 3 * DAY_US)
    desk.put_user("cem", 300)
    offered = ordered(desk, "cem", "d")
    assert offered.state is State.OFFERED
    calls = (
        confirm(offered),
        authorize("ben", "umbrella")._replace(order=Order(device_hash="d")),
        authorize("ann")._replace(order=Order(device_hash="d")),
    )
    desk.apply(*(desk.work(it, request_id=str(place)) for place, it in enumerate(calls)))
    first, second, last = (rental_in(desk.answers[str(place)]) for place in range(3))
    assert (first.state, second.state, last.state) == (State.ACTIVE,) * 3
    assert read_values(desk, last) == {"signal.new_accounts_on_device": 0}


@pytest.mark.parametrize(
    ("signal", "named"), [(S.MANY_DEVICES, "device"), (S.MANY_PAYMENT_ACCOUNTS, "account")]
)
def test_a_person_has_few_devices(desk: Desk, signal: Signal, named: str) -> None:
    """A person with a third device or payment account in 7 days pays the full deposit."""
    under(desk, rule(signal, 2, then=Outcome.FULL))
    people(desk, "ann")
    desk.do(c.SetLimit("ann", acts.money(300_000)), caller="platform")
    for value in ("a", "b", "a", ""):
        assert ordered(desk, "ann", **{named: value}).offer is Offer.ZERO
    third = ordered(desk, "ann", **{named: "c"})
    assert (third.offer, third.reasons) == (Offer.FULL, (f"SIGNAL_{signal}",))


def test_an_item_is_not_taken_again_and_again(desk: Desk) -> None:
    """A person may take the same bike twice in a day, and another one as well."""
    under(desk, rule(S.ITEM_REPEATED, 2, days=1))
    people(desk, "ann", "ben")
    for _ in range(2):
        back(desk, ordered(desk, "ann", asset="bike-1"))
    third = ordered(desk, "ann", asset="bike-1")
    assert third.reasons == (Reason.SIGNAL_ITEM_REPEATED,)
    assert ordered(desk, "ann", asset="bike-2").state is State.ACTIVE
    back(desk, ordered(desk, "ben", asset="bike-1"))
    move(desk, START_US + DAY_US)
    assert ordered(desk, "ann", asset="bike-1").state is State.ACTIVE


@pytest.mark.parametrize(
    ("start", "end", "after_us", "implausible"),
    [
        ("a", "b", 2 * MINUTE_US - 1, True),
        ("a", "b", 2 * MINUTE_US, False),
        ("a", "a", 1, False),
        ("", "b", 1, False),
        ("a", "", 1, False),
    ],
)
def test_a_return_sooner_than_anybody_gets_there(
    desk: Desk, start: str, end: str, after_us: int, implausible: bool
) -> None:
    """A rental that ended at another station in less than 2 minutes is an implausible return. The
    next order after it is reviewed, if none is allowed."""
    under(desk, rule(S.IMPLAUSIBLE_RETURNS, 0, then=Outcome.REVIEW, within=2))
    people(desk, "ann")
    out = ordered(desk, "ann", station=start)
    move(desk, START_US + after_us)
    back(desk, out, end)
    found = ordered(desk, "ann")
    assert (found.state is State.REVIEW) == implausible
    assert read_values(desk, found) == {"signal.implausible_returns": int(implausible)}


def test_signals_are_apart_from_the_score(desk: Desk) -> None:
    """A signal changes neither the score nor the band, and the best score does not outweigh it."""
    under(desk, rule(S.DEVICE_SHARED, 1))
    people(desk, "ann")
    desk.put_user("best", 900)
    ordered(desk, "ann", "d")
    found = ordered(desk, "best", "d")
    assert found.state is State.DECLINED
    assert found.band == ordered(desk, "best").band
