"""Conditions of policies decide: each with its consequence, its reason and the values read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import State
from service.domain.details import ItemPlace, Order
from service.domain.documents import DocumentKind
from service.domain.listings import ListingKind
from service.domain.policy import Offer
from service.domain.rules import Condition, Counted, Of, Outcome, Rules, Velocity
from service.domain.rules_document import json_of_rules
from service.domain.time_zones import time_zone
from service.engine.context import NO_CONDITIONS
from service.storage import schema as t
from tests.engine import acts, listing
from tests.engine.calls import authorize, confirm, pick_up, rental
from tests.engine.test_quotas import TARIFF, offer
from tests.engine.test_velocity import read_values, rental_in
from tests.fakes import OPERATOR, Desk
from tests.storage.administered import apply_terms

HOUR_US = 3_600_000_000
CUT_OFFS = {"zero_from_score": 600, "reduced_from_score": 520, "reduced_credit_share_bp": 5_000}


def under(desk: Desk, *rules: tuple[str, Outcome], velocity: Any = None) -> None:
    """Puts bikes under conditions, which are named a, b, ... in their order."""
    conditions = tuple(
        Condition(name, when, then) for name, (when, then) in zip("abcdefgh", rules, strict=False)
    )
    stored = json_of_rules(Rules(velocity=velocity, condition=conditions))
    acts.change_terms(desk, t.policies, "bike", rules=stored)


@pytest.mark.parametrize(
    ("then", "state", "offer", "cash_minor"),
    [
        (Outcome.DECLINE, State.DECLINED, None, 0),
        (Outcome.FULL, State.OFFERED, Offer.FULL, 19_900),
        (Outcome.REDUCED, State.OFFERED, Offer.REDUCED, 9_950),
        (Outcome.REVIEW, State.REVIEW, Offer.ZERO, 0),
    ],
)
def test_a_true_condition_has_its_consequence(
    desk: Desk, then: Outcome, state: State, offer: Offer | None, cash_minor: int
) -> None:
    """A condition that is true declines, asks for all or a part of the deposit, or for a review;
    its reason is CONDITION and its name. A false one changes nothing."""
    under(desk, ("deposit_minor > 15000", then), ("deposit_minor > 20000", Outcome.DECLINE))
    it = rental(desk, authorize())
    assert (it.state, it.offer, it.cash_minor) == (state, offer, cash_minor)
    assert "CONDITION/a" in it.reasons
    assert "CONDITION/b" not in it.reasons
    assert read_values(desk, it) == {"deposit_minor": 19_900}


def test_the_strictest_true_condition_counts(desk: Desk) -> None:
    """Several conditions may be true: the strictest consequence counts, and its reason comes
    first."""
    under(desk, ("true", Outcome.REDUCED), ("true", Outcome.DECLINE), ("true", Outcome.FULL))
    it = rental(desk, authorize())
    assert (it.state, it.reasons[0]) == (State.DECLINED, "CONDITION/b")
    assert set(it.reasons) == {"CONDITION/a", "CONDITION/b", "CONDITION/c"}


def test_conditions_read_the_order(desk: Desk) -> None:
    """A condition reads the station, the labels, the hashes and the time zone of the order."""
    when = (
        "station == 'pier' && labels.trip == 'work' && device_known && !account_known"
        " && reserves && hour == {} && weekday == {} && band != '' && scored && items == 1"
    )
    desk.clock.advance(desk.clock.now_us() + 1)
    now = datetime.fromtimestamp(desk.clock.now_us() // 1_000_000, UTC)
    there = now.timestamp() + 8 * 3600
    local = datetime.fromtimestamp(there, UTC)
    under(desk, (when.format(local.hour, local.isoweekday()), Outcome.DECLINE))
    order = Order(
        labels='{"trip":"work"}',
        place=ItemPlace("pier"),
        device_hash="d0",
        time_zone="Asia/Shanghai",
    )
    it = rental_in(desk.do(pick_up()._replace(order=order)))
    assert it.reasons == ("CONDITION/a",)
    found: dict[str, Any] | None = read_values(desk, it)
    assert found is not None
    assert (found["station"], found["labels"]) == ("pier", {"trip": "work"})
    elsewhere = order._replace(time_zone="", place=ItemPlace("x"))
    assert rental_in(desk.do(pick_up()._replace(order=elsewhere))).state is not State.DECLINED


def test_an_order_without_a_time_zone_has_that_of_the_tariff(desk: Desk) -> None:
    """The hour of a condition is that of the tariff's time zone if the order names none."""
    desk.clock.advance(desk.clock.now_us() + 1)
    offer(desk, TARIFF._replace(time_zone="Asia/Kolkata", quotas=()))
    now = datetime.fromtimestamp(desk.clock.now_us() // 1_000_000, time_zone("Asia/Kolkata"))
    assert now.hour != datetime.fromtimestamp(now.timestamp(), UTC).hour
    under(desk, (f"hour == {now.hour}", Outcome.DECLINE))
    assert rental(desk, authorize("ann", "scooter")).reasons == ("CONDITION/a",)
    elsewhere = authorize("ann", "scooter")._replace(order=Order(time_zone="Europe/Lisbon"))
    assert rental_in(desk.do(elsewhere)).state is not State.DECLINED


def test_conditions_count_rentals_of_the_batch(desk: Desk) -> None:
    """A condition reads the open rentals and the starts of the person with the operator, those of
    earlier calls of the batch included."""
    under(desk, ("open_rentals >= 1 && starts_hour >= 1 && starts_day >= 1", Outcome.DECLINE))
    works = [desk.work(authorize(), request_id=name) for name in ("one", "two")]
    desk.apply(*works)
    first, second = (rental(desk, it.command, request_id=it.request_id) for it in works)
    assert (first.state, second.state) == (State.ACTIVE, State.DECLINED)


@pytest.mark.parametrize("then", [Outcome.FULL, Outcome.DECLINE])
def test_a_condition_that_fails_falls_to_the_strict_side(desk: Desk, then: Outcome) -> None:
    """A condition that cannot be evaluated counts as true, with the reason CONDITION_FAILED, and
    breaks no other call of the batch."""
    under(desk, ("labels.none == 'x'", then))
    works = [
        desk.work(command, request_id=str(place))
        for place, command in enumerate((authorize(), authorize("ben", "umbrella")))
    ]
    desk.apply(*works)
    failed, other = (rental(desk, it.command, request_id=it.request_id) for it in works)
    assert failed.reasons == ("CONDITION_FAILED",)
    assert failed.state is (State.DECLINED if then is Outcome.DECLINE else State.OFFERED)
    assert "CONDITION_FAILED" not in other.reasons
    assert desk.faults == []


def test_a_server_without_the_library_falls_to_the_strict_side(desk: Desk) -> None:
    """Without an evaluator each condition counts as failed."""
    under(desk, ("false", Outcome.FULL))
    desk.engine._conditions = NO_CONDITIONS
    assert rental(desk, authorize()).reasons == ("CONDITION_FAILED",)


def test_a_condition_is_not_evaluated_for_damage(desk: Desk) -> None:
    """Charges for damage follow no condition."""
    out = rental(desk, authorize())
    rental(desk, acts.settle_usage(out))
    under(desk, ("true", Outcome.DECLINE))
    charge = authorize()._replace(parent_id=out.authorization_id)
    assert rental(desk, charge).state is State.ACTIVE


def test_a_snoozed_condition_does_not_count(desk: Desk) -> None:
    """A listing that skips a condition turns it off until its expiry; the decision records it."""
    under(desk, ("true", Outcome.DECLINE))
    end_us = desk.clock.now_us() + HOUR_US
    listing.add(
        desk,
        kind=ListingKind.EVERYBODY,
        owner=PLATFORM,
        rules=["CONDITION/a"],
        expire_us=end_us,
    )
    it = rental(desk, authorize())
    assert it.state is State.ACTIVE
    found: dict[str, Any] | None = read_values(desk, it)
    assert found == {"skipped.CONDITION/a": "platform/1"}
    desk.clock.advance(end_us)
    assert rental(desk, authorize()).reasons == ("CONDITION/a",)


def test_an_operator_skips_no_rule_of_the_platform(desk: Desk) -> None:
    """An operator's listing does not turn off a rule of the platform's policy."""
    under(desk, ("true", Outcome.DECLINE))
    condition = {"name": "a", "when": "true", "then": "DECLINE"}
    own = {"name": "own", **CUT_OFFS, "condition": [condition]}
    apply_terms(desk.store.engine, OPERATOR, DocumentKind.POLICY, own)
    listing.add(desk, "ann", rules=["CONDITION/a"])
    assert rental(desk, authorize()).reasons == ("CONDITION/a",)


def test_a_bound_of_rentals_is_skipped_for_a_listed_user(desk: Desk) -> None:
    """A listing that skips a bound lifts it for its user, at Authorize and at the confirmation,
    and for nobody else; the decision records it."""
    bound = Velocity(Of.USER, Counted.OPEN, 0, Outcome.DECLINE)
    under(desk, velocity=(bound,))
    desk.put_user("dan", 550)
    for user_id in ("ann", "dan"):
        listing.add(desk, user_id, owner=PLATFORM, rules=["VELOCITY_USER_OPEN"])
    it = rental(desk, authorize("ann"))
    assert it.state is State.ACTIVE
    assert read_values(desk, it) == {"user.open": 0, "skipped.VELOCITY_USER_OPEN": "platform/1"}
    offered = rental(desk, authorize("dan"))
    assert offered.state is State.OFFERED
    assert rental(desk, confirm(offered)).state is State.ACTIVE
    assert rental(desk, authorize("ben")).reasons[0] == "VELOCITY_USER_OPEN"
