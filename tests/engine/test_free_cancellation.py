"""32: a user cancels for nothing at first, and then for the fee of a reservation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Collection, Custody, State
from service.domain.details import price_hash
from service.domain.errors import IllegalState
from service.domain.ledger import Standing
from service.domain.policy import Offer
from service.engine import operations as c
from service.engine.calls import Settled
from service.storage import schema as t
from tests.engine import acts
from tests.engine.acts import Books
from tests.engine.calls import (
    authorize,
    balances,
    confirm,
    pick_up,
    refused,
    rental,
    reverse,
    settle,
    start,
)
from tests.engine.test_damage_bound import damage
from tests.fakes import START_US, Desk

MINUTE_US = 60_000_000
FREE_US = 5 * MINUTE_US
FEE = 200


@pytest.fixture(autouse=True)
def terms(desk: Desk) -> None:
    """Five free minutes, and 2 yuan for a reservation that is cancelled later."""
    acts.change_terms(desk, t.policies, "bike", free_cancellation_us=FREE_US)
    acts.change_terms(desk, t.products, "bike", cancellation_fee_minor=FEE)


def cancel(it: Authorization) -> c.Reverse:
    """The user cancels."""
    return replace(reverse(it), by_user=True)


def test_32_a_reservation_is_cancelled_free_within_the_time(desk: Desk) -> None:
    """32: a reservation that the user cancels within the free minutes costs nothing, at their last
    microsecond too."""
    it = rental(desk, pick_up())
    desk.clock.advance(START_US + FREE_US)
    it = rental(desk, cancel(it))
    assert (it.state, it.captured_minor) == (State.REVERSED, 0)
    assert balances(desk)[2:] == (0, 0)


def test_32_a_reservation_is_cancelled_for_the_fee_after_it(desk: Desk) -> None:
    """32: a later cancellation costs the fee, at once and for good: hold 19,900, fee 200,
    commission 3 %: drawn / held 200; receivable / operator_payable 194, fee_income 6; avail / held
    19,700."""
    it = rental(desk, pick_up(asset_id="x-1"))
    desk.clock.advance(START_US + FREE_US + 1)
    rows = [
        ("line", "drawn / held", 200),
        ("money", "receivable / operator_payable", 194),
        ("money", "receivable / fee_income", 6),
        ("line", "available / held", 19_700),
    ]
    it = Books(desk).step(cancel(it), rows, "authorization.cancelled")
    assert (it.state, it.custody, it.collection) == (
        State.SETTLED, Custody.IN_STATION, Collection.DUE,
    )  # fmt: skip
    assert (it.captured_minor, it.captures, it.uncollected_minor) == (200, 1, 0)
    assert (it.start_us, it.due_us, it.close_us) == (None, None, START_US + FREE_US + 1)
    assert balances(desk) == (50_000, 49_800, 0, 200)
    # The item is free, and the charge is one like any other.
    rental(desk, reverse(rental(desk, authorize("ann", asset_id="x-1"))))
    it = rental(desk, acts.lower(it, 50))
    assert (it.due_minor, it.fee_minor) == (150, 4)


def test_32_the_fee_comes_from_the_cash_first(desk: Desk) -> None:
    """32: the fee of a reservation with a deposit in cash is taken from it, and the rest of the
    deposit is owed back."""
    it = rental(desk, pick_up("cem"))
    desk.clock.advance(START_US + 10 * MINUTE_US)
    it = rental(desk, confirm(it))
    desk.clock.advance(START_US + 15 * MINUTE_US + 1)
    it = rental(desk, cancel(it))
    assert (it.state, it.captured_minor, it.captured_credit_minor) == (State.SETTLED, 200, 0)
    assert it.refund_payable_minor == 19_700


def test_32_the_free_time_counts_from_the_hold(desk: Desk) -> None:
    """32: the time for which an offer waited is no part of the free minutes."""
    it = rental(desk, pick_up("cem"))
    desk.clock.advance(START_US + 10 * MINUTE_US)
    it = rental(desk, confirm(it))
    desk.clock.advance(START_US + 15 * MINUTE_US)
    assert rental(desk, cancel(it)).state is State.REVERSED


def test_32_the_fee_is_at_most_the_hold(desk: Desk) -> None:
    """32: the fee is at most the amount held, and the rest of it is told as not collected."""
    it = rental(desk, pick_up())
    it = rental(desk, acts.decrease(it, 19_750))
    desk.clock.advance(START_US + FREE_US + 1)
    it = rental(desk, cancel(it))
    assert (it.captured_minor, it.uncollected_minor) == (150, 50)


def test_32_a_hold_lowered_to_nothing_pays_no_fee(desk: Desk) -> None:
    """32: if the hold was lowered to 0, a late cancellation takes nothing, the whole fee is told as
    not collected, and the books are correct."""
    it = rental(desk, pick_up())
    it = rental(desk, acts.decrease(it, 19_900))
    desk.clock.advance(START_US + FREE_US + 1)
    it = rental(desk, cancel(it))
    assert (it.state, it.captured_minor, it.uncollected_minor) == (State.SETTLED, 0, 200)
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_32_an_extension_puts_the_free_time_off(desk: Desk) -> None:
    """32: the free minutes count from the beginning of the reservation, which an extension puts
    off."""
    it = rental(desk, acts.extend(rental(desk, pick_up()), MINUTE_US))
    desk.clock.advance(START_US + FREE_US + MINUTE_US)
    assert rental(desk, cancel(it)).state is State.REVERSED


def test_32_the_operators_reversal_stays_free(desk: Desk) -> None:
    """32: the operator reverses a reservation and a rental for nothing at any time."""
    one, other = rental(desk, pick_up()), rental(desk, authorize())
    desk.clock.advance(START_US + 25 * MINUTE_US)
    for it in (one, other):
        assert rental(desk, reverse(it)).state is State.REVERSED


def test_32_a_rental_that_ends_early_is_free(desk: Desk) -> None:
    """32: a rental that is settled by its usage within the free minutes costs nothing, at their
    last microsecond too."""
    it = rental(desk, authorize())
    desk.clock.advance(START_US + FREE_US)
    answer = desk.do(acts.settle_usage(it))
    assert isinstance(answer, Settled)
    assert answer.fee is not None
    assert (answer.authorization.captured_minor, answer.fee.total_minor) == (0, 0)
    assert [(line.item, line.quantity) for line in answer.fee.lines] == [("FREE_MINUTES", 5)]
    assert answer.authorization.state is State.SETTLED


def test_32_a_pause_is_no_part_of_the_free_time(desk: Desk) -> None:
    """32: the time for which the meter stood does not count, and the lines of the fee show it."""
    it = rental(desk, authorize())
    it = rental(desk, acts.pause(it))
    desk.clock.advance(START_US + 2 * MINUTE_US)
    it = rental(desk, acts.resume(it))
    desk.clock.advance(START_US + 2 * MINUTE_US + FREE_US)
    answer = desk.do(acts.settle_usage(it))
    assert isinstance(answer, Settled)
    assert answer.fee is not None
    assert answer.fee.total_minor == 0
    lines = [(line.item, line.quantity) for line in answer.fee.lines]
    assert lines == [("FREE_MINUTES", 5), ("PAUSED_MINUTES", 2)]


def test_32_a_rental_after_the_free_time_costs_its_fee(desk: Desk) -> None:
    """32: one microsecond after the free time, a rental costs the start fee and an interval. It
    cannot be cancelled any more: the refusal says to settle it."""
    it = rental(desk, authorize())
    desk.clock.advance(START_US + FREE_US + 1)
    error = refused(desk, cancel(it))
    assert isinstance(error, IllegalState)
    assert (error.reason, error.metadata["state"]) == ("FREE_CANCELLATION_OVER", "ACTIVE")
    assert error.message == (
        "a rental can be cancelled for nothing only within 300 s of its start: settle the rental"
        " by its usage"
    )
    assert rental(desk, acts.settle_usage(it)).captured_minor == 250


def test_32_a_rental_is_cancelled_within_the_free_time(desk: Desk) -> None:
    """32: the user cancels a rental within the free minutes of its start, not of its order."""
    it = rental(desk, pick_up())
    desk.clock.advance(START_US + 20 * MINUTE_US)
    it = rental(desk, start(it))
    desk.clock.advance(START_US + 25 * MINUTE_US)
    assert rental(desk, cancel(it)).state is State.REVERSED


def test_32_a_late_report_of_a_return_is_free_too(desk: Desk) -> None:
    """32: a rental that was settled later than its item was docked costs nothing if the item was
    docked within the free minutes."""
    it = rental(desk, authorize())
    desk.clock.advance(START_US + acts.HOUR_US)
    it = rental(desk, acts.settle_usage(it))
    assert it.captured_minor == 550
    it = rental(desk, acts.found(it, START_US + FREE_US))
    assert (it.conceded_minor, it.due_minor) == (550, 0)


def test_32_offers_and_reviews_are_cancelled_for_nothing(desk: Desk) -> None:
    """32: nothing is held for an offer or a review, so its cancellation is free."""
    offered = rental(desk, pick_up("ben"))
    desk.do(c.SetStanding("ann", Standing.WATCHED), caller=PLATFORM)
    review = rental(desk, pick_up())
    assert (offered.state, review.state) == (State.OFFERED, State.REVIEW)
    assert offered.offer is Offer.REDUCED
    desk.clock.advance(START_US + 14 * MINUTE_US)
    for it in (offered, review):
        assert rental(desk, cancel(it)).state is State.REVERSED


def test_32_a_policy_without_a_free_time_cancels_for_nothing(desk: Desk) -> None:
    """32: under a policy of an earlier build, a cancellation is free at any time, whatever the
    fee."""
    acts.change_terms(desk, t.products, "umbrella", cancellation_fee_minor=FEE)
    one, other = (
        rental(desk, pick_up("ann", "umbrella")),
        rental(desk, authorize("ann", "umbrella")),
    )
    desk.clock.advance(START_US + 25 * MINUTE_US)
    for it in (one, other):
        assert rental(desk, cancel(it)).state is State.REVERSED


def test_32_a_cancelled_reservation_was_never_out(desk: Desk) -> None:
    """32: a reservation that was cancelled for the fee has no return, no damage and no debt."""
    it = rental(desk, pick_up())
    desk.clock.advance(START_US + FREE_US + 1)
    it = rental(desk, cancel(it))
    now_us = desk.clock.now_us()
    assert refused(desk, acts.found(it, now_us)).reason == "NEVER_OUT"
    claim = c.ClaimReturn(*acts.name(it), now_us)
    assert refused(desk, claim).reason == "NEVER_OUT"
    assert refused(desk, damage(it, 100, "bike")).reason == "PARENT_NEVER_OUT"
    for command in (cancel(it), reverse(it), settle(it, 0)):
        assert refused(desk, command).reason == "ILLEGAL_TRANSITION"


def test_32_a_damage_charge_is_not_cancelled(desk: Desk) -> None:
    """32: a user cancels no damage charge; the operator may reverse it."""
    parent = rental(desk, settle(rental(desk, authorize()), 600))
    it = rental(desk, damage(parent, 100, "bike"))
    assert refused(desk, cancel(it)).reason == "DAMAGE_CHARGE"
    rental(desk, reverse(it))


def test_32_the_fee_is_a_part_of_the_price_shown(desk: Desk) -> None:
    """32: the hash of a price covers the fee of a cancellation, if there is one."""
    products = desk.engine.terms.used.catalog.products
    bike, umbrella = products["city", "bike"], products["city", "umbrella"]
    assert price_hash(bike) != price_hash(replace(bike, cancellation_fee_minor=0))
    assert price_hash(umbrella) == price_hash(replace(umbrella, cancellation_fee_minor=0))
