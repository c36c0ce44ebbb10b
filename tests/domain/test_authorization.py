"""An authorization's own values: name, amounts, collection, version, next wake-up."""

from __future__ import annotations

import pytest

from service.domain import acts, charge_backs, collection, hold, settlement
from service.domain import authorization as life
from service.domain.authorization import Authorization, Collection, Custody, State
from service.domain.dunning import LADDER
from service.domain.errors import VersionMismatch
from service.domain.transitions import Transition
from tests.domain.lives import (
    BIKE,
    CLAIM_WINDOW_US,
    DUE_US,
    LOST_US,
    MISSING_WINDOW_US,
    NOW_US,
    OFFER_END_US,
    PICKUP_US,
    PLAIN,
    REDUCED,
    capture,
    claimed,
    confirmed,
    granted,
    late,
    missing,
    settled,
    waiting,
)


def test_a_name_holds_the_user_and_the_id() -> None:
    """The resource name is users/USER/authorizations/ID."""
    assert PLAIN.name == "users/u-1/authorizations/a-1"


def test_an_expected_version_is_compared() -> None:
    """A caller who expects another version than the present one gets both in the refusal."""
    acts.check_version(PLAIN, None)
    acts.check_version(PLAIN, 1)
    for expected in (0, 2):
        with pytest.raises(VersionMismatch) as refused:
            acts.check_version(PLAIN, expected)
        assert refused.value.metadata == {"expected_version": str(expected), "version": "1"}


def paid(it: Authorization, amount_minor: int) -> Authorization:
    """The same authorization after a payment of the given amount."""
    return collection.pay(it, amount_minor, NOW_US).authorization


def written_off(it: Authorization) -> Authorization:
    """The same authorization, written off."""
    return it._replace(written_off_minor=it.due_minor, provisioned_minor=it.due_minor)


DISPUTED = collection.open_dispute(paid(settled(), 400), 100, NOW_US).authorization
OWED = collection.refund(paid(settled(), 1_000), 100, NOW_US).authorization


@pytest.mark.parametrize(
    ("it", "collection"),
    [
        (REDUCED, Collection.NONE),
        (granted(), Collection.NONE),
        (settled(0), Collection.NONE),
        (settled(), Collection.DUE),
        (capture(granted(), 1, final=False).authorization, Collection.DUE),
        (paid(settled(), 1), Collection.PAYING),
        (paid(settled(), 999), Collection.PAYING),
        (paid(settled(), 1_000), Collection.PAID),
        (capture(confirmed(), 9_950, final=False).authorization, Collection.PAID),
        (collection.pay_out(OWED, 100, NOW_US).authorization, Collection.REFUNDED),
        (OWED, Collection.REFUND_PENDING),
        (paid(settled(), 1_001), Collection.REFUND_PENDING),
        (hold.reverse(confirmed(), NOW_US).authorization, Collection.REFUND_PENDING),
        (settled(19_900, confirmed(1)), Collection.REFUND_PENDING),
        (DISPUTED, Collection.DISPUTED),
        (DISPUTED._replace(refund_payable_minor=1, refunded_minor=1), Collection.DISPUTED),
        (charge_backs.charge_back(OWED, 1, NOW_US).authorization, Collection.DISPUTED),
        (written_off(DISPUTED), Collection.WRITTEN_OFF),
    ],
)
def test_collection_follows_from_the_amounts(it: Authorization, collection: Collection) -> None:
    """Collection is the first of these states that applies: WRITTEN_OFF, DISPUTED, REFUND_PENDING,
    REFUNDED, PAYING, DUE, PAID, NONE."""
    assert it.collection is collection


@pytest.mark.parametrize(
    ("it", "wake_us"),
    [
        (PLAIN, OFFER_END_US),
        (PLAIN._replace(state=State.REVIEW), OFFER_END_US),
        (waiting(), NOW_US + PICKUP_US),
        (granted(), DUE_US),
        (late(), LOST_US),
        (claimed(NOW_US), NOW_US + CLAIM_WINDOW_US),
        (settled(0), None),
        (settled(), NOW_US + LADDER[0].after_us),
        (settled()._replace(rung=3), NOW_US + LADDER[3].after_us),
        (settled()._replace(rung=len(LADDER)), None),
        (missing(), LOST_US + LADDER[0].after_us),
        (paid(missing(), 19_900), LOST_US + MISSING_WINDOW_US),
        (missing()._replace(rung=len(LADDER) - 1), LOST_US + MISSING_WINDOW_US),
        (settlement.sell(missing()).authorization, LOST_US + LADDER[0].after_us),
        (missing()._replace(rung=len(LADDER), custody=Custody.SOLD), None),
        (hold.reverse(granted(), NOW_US).authorization, None),
        (hold.expire(PLAIN).authorization, None),
        (hold.declined(REDUCED, "X", 0, NOW_US).authorization, None),
    ],
)
def test_the_next_wake_up(it: Authorization, wake_us: int | None) -> None:
    """The next wake-up is the end of an offer, a review or a pick-up window, the due time, the
    instant of loss, the limit of a claim, the next dunning step while something is due, or the
    sale."""
    assert it.wake_us == wake_us


def test_a_step_changes_only_the_fields_it_names() -> None:
    """A step makes the next version and leaves every field alone that it does not name."""
    made = life.step(PLAIN, (), Transition.EXTENDED, NOW_US, asset_id="x", state=State.ACTIVE)
    assert made.authorization == PLAIN._replace(asset_id="x", state=State.ACTIVE, version=2)
    assert isinstance(made.authorization, Authorization)
    assert hold.extend(granted(), BIKE, 1, NOW_US).authorization.version == 3
