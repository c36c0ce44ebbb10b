"""Changes that time alone makes, and the dunning schedule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import collection, hold, settlement, timers
from service.domain.authorization import Authorization, Custody, State, Step, TransferKind
from service.domain.dunning import LADDER, Delinquency, Rung, delinquency
from service.domain.tariff import DAY_US, MINUTE_US
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
    claimed,
    granted,
    late,
    missing,
    settled,
    waiting,
)

MOST_STEPS = 3 + len(LADDER) + 1
"""Overdue, lost or accepted, sold, and every dunning step."""


def catch_up(it: Authorization, now_us: int) -> list[Step]:
    """Takes every step that time has caused by now."""
    steps: list[Step] = []
    while (step := timers.advance(it, BIKE, now_us)) is not None:
        steps.append(step)
        it = step.authorization
        assert len(steps) <= MOST_STEPS
    assert not timers.is_due(it, now_us)
    return steps


@pytest.mark.parametrize(
    ("it", "at_us", "state"),
    [
        (REDUCED, OFFER_END_US, State.EXPIRED),
        (REDUCED._replace(state=State.REVIEW), OFFER_END_US, State.EXPIRED),
        (waiting(), NOW_US + PICKUP_US, State.EXPIRED),
        (granted(), DUE_US, State.OVERDUE),
        (late(), LOST_US, State.SETTLED),
        (claimed(NOW_US), NOW_US + CLAIM_WINDOW_US, State.SETTLED),
    ],
    ids=["offer", "review", "pick-up", "due", "lost", "claim"],
)
def test_a_timer_fires_exactly_at_its_instant(it: Authorization, at_us: int, state: State) -> None:
    """A timer changes an authorization exactly at its instant, not a microsecond before. The change
    has the time of this instant, however late the timer runs."""
    assert not timers.is_due(it, at_us - 1)
    assert timers.advance(it, BIKE, at_us - 1) is None
    for now_us in (at_us, at_us + 1, at_us + 1_000 * DAY_US):
        assert timers.is_due(it, now_us)
        step = timers.advance(it, BIKE, now_us)
        assert step is not None
        assert (step.authorization.state, step.event_us) == (state, at_us)


@pytest.mark.parametrize(
    "it",
    [settled(0), hold.reverse(granted(), NOW_US).authorization,
     hold.declined(REDUCED, "X", 1, NOW_US).authorization],
)  # fmt: skip
def test_time_changes_nothing_on_a_closed_and_paid_authorization(it: Authorization) -> None:
    """Time changes nothing on an authorization with nothing open."""
    assert not timers.is_due(it, 2**62)
    assert timers.advance(it, BIKE, 2**62) is None


def test_a_rental_without_return() -> None:
    """A rental that is never returned becomes overdue, then lost, goes through dunning, and its
    item is sold."""
    steps = catch_up(granted(), LOST_US + 100 * DAY_US)
    last = steps[-1].authorization
    assert [str(step.transition) for step in steps[:2]] == [
        "authorization.overdue", "authorization.lost",
    ]  # fmt: skip
    assert (last.state, last.custody, last.rung) == (State.SETTLED, Custody.SOLD, len(LADDER))
    assert last.captured_minor == last.due_minor == 19_900
    sold = next(step for step in steps if step.transition == "authorization.sold")
    assert sold.event_us == LOST_US + MISSING_WINDOW_US


def test_a_contested_claim_may_be_lost_at_once() -> None:
    """After a contested claim, the instant of loss is the same as without a claim."""
    it = claimed(LOST_US - MINUTE_US, late())
    it = settlement.contest_return(it, LOST_US + MINUTE_US).authorization
    (lost,) = catch_up(it, LOST_US + MINUTE_US)[:1]
    assert (lost.transition, lost.event_us) == ("authorization.lost", LOST_US)


# -- dunning ---------------------------------------------------------------------------------

HOURS = [
    (1, "collection.debit_requested"), (1 * 24, "collection.due_1_day"),
    (1 * 24, "collection.reminded"), (3 * 24, "collection.debit_requested"),
    (7 * 24, "collection.reminded"), (7 * 24, "collection.debit_requested"),
    (14 * 24, "collection.debit_requested"), (30 * 24, "collection.reminded"),
    (30 * 24, "collection.debit_requested"), (31 * 24, "collection.due_31_days"),
    (61 * 24, "collection.due_61_days"), (91 * 24, "collection.due_91_days"),
]  # fmt: skip


def test_the_dunning_schedule() -> None:
    """An unpaid amount is debited an hour and 3, 7, 14 and 30 days after the settlement. Reminders
    go out on days 1, 7 and 30. The amount changes its range on days 1, 31, 61 and 91."""
    it, seen = settled(), []
    while it.wake_us is not None:
        step = timers.advance(it, BIKE, it.wake_us)
        assert step is not None
        seen.append(((step.event_us - NOW_US) / (60 * MINUTE_US), str(step.transition)))
        assert step.postings == ()
        if step.transfer is not None:
            assert (step.transfer.kind, step.transfer.amount_minor) == (TransferKind.DEBIT, 1_000)
        assert (step.transfer is not None) is (step.transition == "collection.debit_requested")
        it = step.authorization
        if step.transfer is not None:
            assert it.debiting_minor == 1_000
            it = collection.debit_failed(it, step.event_us).authorization
            assert it.debiting_minor == 0
    assert seen == HOURS


def test_one_debit_at_a_time() -> None:
    """While the rail has not answered a debit, dunning goes on without a second debit."""
    it, asked = settled(), []
    while it.wake_us is not None:
        step = timers.advance(it, BIKE, it.wake_us)
        assert step is not None
        asked.append((str(step.transition), step.transfer is not None))
        it = step.authorization
    debits = [moved for name, moved in asked if name.startswith("collection.debit_")]
    assert debits == [True, False, False, False, False]
    assert asked.count(("collection.debit_awaited", False)) == 4
    paid = collection.debit_succeeded(it, 1_000, NOW_US).authorization
    assert (paid.debiting_minor, paid.due_minor) == (0, 0)


def test_only_the_amount_due_is_debited() -> None:
    """A debit asks for the amount due at that moment. Nothing is debited if the whole amount is
    paid or disputed. If the person loses a dispute, the amount is debited again."""
    it = collection.pay(settled(), 400, NOW_US).authorization
    (first,) = catch_up(it, NOW_US + 60 * MINUTE_US)
    assert first.transfer is not None
    assert first.transfer.amount_minor == 600
    it = collection.debit_failed(first.authorization, NOW_US).authorization
    it = collection.open_dispute(it, 600, NOW_US).authorization
    assert it.wake_us is None
    it = collection.resolve_dispute(
        it, user_won=False, goodwill=False, now_us=NOW_US + 5 * DAY_US
    ).authorization
    names = [str(step.transition) for step in catch_up(it, NOW_US + 5 * DAY_US)]
    assert names == [
        "collection.due_1_day", "collection.reminded", "collection.debit_requested",
    ]  # fmt: skip


@pytest.mark.parametrize(("days", "debits"), [(0, 0), (1, 1), (3, 1), (7, 1), (30, 1), (365, 1)])
def test_an_outage_that_ends_on_a_dunning_step(days: int, debits: int) -> None:
    """A server that returns at the instant of a dunning step makes up only for that step."""
    names = [str(step.transition) for step in catch_up(settled(), NOW_US + days * DAY_US)]
    assert names.count("collection.debit_requested") == debits


@given(
    days=st.lists(st.floats(0, 60, allow_nan=False), min_size=1, max_size=8),
    it=st.sampled_from([settled(), missing()]),
)
def test_an_outage_causes_one_debit(days: list[float], it: Authorization) -> None:
    """After an outage of any length, only the last missed debit and the last missed reminder are
    sent. Every change of range is recorded once, and no step goes back in time."""
    assert it.close_us is not None
    now_us, ranges = it.close_us, 0
    for away in days:
        now_us += int(away * DAY_US)
        steps = catch_up(it, now_us)
        names = [str(step.transition) for step in steps]
        assert names.count("collection.debit_requested") <= 1
        assert names.count("collection.reminded") <= 1
        assert [step.event_us for step in steps] == sorted(step.event_us for step in steps)
        assert all(step.event_us <= now_us for step in steps)
        ranges += len([name for name in names if name.startswith("collection.due_")])
        it = steps[-1].authorization if steps else it
    passed_days = (now_us - (it.close_us or 0)) // DAY_US
    assert ranges == sum(
        1 for after_us, rung in LADDER if rung is Rung.RANGE and after_us <= passed_days * DAY_US
    )


@given(
    it=st.sampled_from(
        [PLAIN, REDUCED, waiting(), granted(), late(), claimed(), settled(), missing()]
    ),
    jumps=st.lists(st.integers(0, 200 * DAY_US), min_size=1, max_size=6),
)
def test_time_makes_a_bounded_number_of_changes(it: Authorization, jumps: list[int]) -> None:
    """After any jumps of the clock, timers make a bounded number of changes. Each change happens
    once, and no earlier than the previous change. In the end nothing is left to do."""
    now_us, seen = NOW_US, 0
    for jump_us in jumps:
        now_us += jump_us
        for step in catch_up(it, now_us):
            before_us = it.wake_us
            it, seen = step.authorization, seen + 1
            assert before_us is not None
            assert it.wake_us is None or it.wake_us >= before_us
    assert seen <= MOST_STEPS
    catch_up(it, 2**62)


@pytest.mark.parametrize(
    ("days", "found"),
    [(0, Delinquency.CURRENT), (1, Delinquency.DAYS_1_TO_30), (30, Delinquency.DAYS_1_TO_30),
     (31, Delinquency.DAYS_31_TO_60), (60, Delinquency.DAYS_31_TO_60),
     (61, Delinquency.DAYS_61_TO_90), (90, Delinquency.DAYS_61_TO_90),
     (91, Delinquency.DAYS_91_AND_MORE), (4_000, Delinquency.DAYS_91_AND_MORE)],
)  # fmt: skip
def test_ranges_of_days_past_due(days: int, found: Delinquency) -> None:
    """The ranges are current, 1 to 30 days past due, 31 to 60, 61 to 90, and more."""
    assert delinquency(days * DAY_US) is found
    assert delinquency(days * DAY_US + DAY_US - 1) is found
