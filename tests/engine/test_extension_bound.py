"""25: the policy bounds the whole time of a reservation, a rental and a damage charge."""

from __future__ import annotations

import pytest

from service.domain.authorization import Authorization, State
from service.domain.errors import FreeholdError, IllegalState
from service.engine import operations as c
from service.storage import schema as t
from tests.engine import acts
from tests.engine.acts import HOUR_US
from tests.engine.calls import authorize, pick_up, refused, rental, settle, start
from tests.engine.test_damage_bound import damage
from tests.fakes import START_US, Desk

MINUTE_US = 60_000_000


@pytest.fixture(autouse=True)
def bounded(desk: Desk) -> None:
    """Reservations of at most 90 minutes, and rentals of at most 30 hours."""
    acts.change_terms(
        desk,
        t.policies,
        "bike",
        longest_reservation_us=90 * MINUTE_US,
        longest_rental_us=30 * HOUR_US,
    )


def require_limit(error: FreeholdError, what: str, longest_s: int, left_s: int) -> None:
    """Requires a refusal that names the bound and its rest."""
    assert isinstance(error, IllegalState)
    left = {"longest_seconds": str(longest_s), "left_seconds": str(left_s)}
    assert {name: error.metadata[name] for name in left} == left
    advice = f"extend it by at most {left_s} s" if left_s else "it cannot be extended any more"
    assert error.reason == "EXTENSION_LIMIT"
    assert error.message == (f"a {what} lasts at most {longest_s} s with all extensions: {advice}")


def extend(desk: Desk, it: Authorization, by_us: int) -> Authorization:
    """The authorization after an extension."""
    return rental(desk, acts.extend(it, by_us))


def test_25_a_reservation_is_extended_within_the_bound(desk: Desk) -> None:
    """25: all extensions of a reservation together are within the policy's longest time, to the
    microsecond. A refusal names the time that is left, and changes nothing."""
    it = rental(desk, pick_up())
    it = extend(desk, it, 30 * MINUTE_US)
    desk.clock.advance(START_US + 50 * MINUTE_US)
    it = extend(desk, it, 20 * MINUTE_US)
    require_limit(refused(desk, acts.extend(it, 10 * MINUTE_US + 1)), "reservation", 5_400, 600)
    it = extend(desk, it, 10 * MINUTE_US)
    assert it.expire_us == START_US + 90 * MINUTE_US
    require_limit(refused(desk, acts.extend(it, 1)), "reservation", 5_400, 0)
    assert rental(desk, start(it)).state is State.ACTIVE


def test_25_a_reservation_that_waited_counts_from_the_order(desk: Desk) -> None:
    """25: the time for which an offer waited counts too."""
    it = rental(desk, authorize("ben", "bike", start=pick_up().start))
    desk.clock.advance(START_US + 10 * MINUTE_US)
    it = rental(desk, c.Confirm(*acts.name(it), "pay-1", acts.money(it.cash_minor)))
    it = extend(desk, it, 30 * MINUTE_US)
    require_limit(refused(desk, acts.extend(it, 30 * MINUTE_US)), "reservation", 5_400, 1_200)


def test_25_a_rental_is_extended_within_the_bound(desk: Desk) -> None:
    """25: a rental counts from its start, also when it is overdue."""
    it = rental(desk, authorize())
    it = extend(desk, it, 5 * HOUR_US)
    require_limit(refused(desk, acts.extend(it, HOUR_US + 1)), "rental", 108_000, 3_600)
    it = acts.woken(desk, it, it.due_us or 0)
    it = extend(desk, it, HOUR_US)
    assert (it.state, it.due_us) == (State.ACTIVE, START_US + 30 * HOUR_US)
    require_limit(refused(desk, acts.extend(it, 1_000_000)), "rental", 108_000, 0)


def test_25_a_pause_leaves_the_extensions_as_they_are(desk: Desk) -> None:
    """25: the time for which the meter stood is no part of a rental's whole time."""
    acts.change_terms(desk, t.policies, "bike", longest_rental_us=24 * HOUR_US + 1_000_000)
    it = rental(desk, authorize())
    it = rental(desk, acts.pause(it))
    assert it.paused_us > 0
    require_limit(refused(desk, acts.extend(it, 1_000_001)), "rental", 86_401, 1)
    assert extend(desk, it, 1_000_000).due_us == (it.due_us or 0) + 1_000_000


def test_25_a_damage_charge_is_extended_within_the_bound(desk: Desk) -> None:
    """25: a damage charge counts from its order."""
    parent = rental(desk, settle(rental(desk, authorize()), 600))
    it = rental(desk, damage(parent, 100, "bike"))
    it = extend(desk, it, 6 * HOUR_US)
    require_limit(refused(desk, acts.extend(it, 1)), "damage charge", 108_000, 0)


def test_25_a_policy_without_a_bound_extends_for_ever(desk: Desk) -> None:
    """25: a policy of an earlier build does not bound all extensions together, and each single
    extension keeps its own bound."""
    it = rental(desk, pick_up(product_id="umbrella"))
    for _ in range(20):
        it = extend(desk, it, 30 * MINUTE_US)
    assert it.expire_us == START_US + 630 * MINUTE_US
