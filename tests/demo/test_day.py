"""The plan of the day."""

from __future__ import annotations

import numpy as np
import pytest

from service.demo import day
from service.demo.day import CUSTOMER_S, DAY_S, LEVELS, SUBSCRIBER_S, Fate, interpolate, plan
from service.demo.tariff import PRODUCTS

LABEL = (np.arange(6_000) % 5 == 0).astype(np.int8)


@pytest.fixture(scope="module")
def rentals() -> list[day.Rental]:
    return plan(LABEL, 40_000, 1)


def test_same_seed_same_plan() -> None:
    """The same seed gives the same plan; another seed gives another plan."""
    assert plan(LABEL, 500, 4) == plan(LABEL, 500, 4)
    assert plan(LABEL, 500, 4) != plan(LABEL, 500, 5)


def test_in_order_and_within_the_day(rentals: list[day.Rental]) -> None:
    """Rentals are numbered in the order of their starts, all within one day."""
    assert [r.index for r in rentals] == list(range(len(rentals)))
    starts = [r.start_s for r in rentals]
    assert starts == sorted(starts)
    assert starts[0] >= 0
    assert starts[-1] < DAY_S


def test_hours(rentals: list[day.Rental]) -> None:
    """Starts follow the weekday hours of the real trips."""
    hours = np.bincount([r.start_s // 3600 for r in rentals], minlength=24) / len(rentals) * 100
    assert np.abs(hours - day.WEEKDAY_STARTS_PERCENT).max() < 1


def test_quantiles_are_exact() -> None:
    """At each level of the table the duration is the measured one; between two levels it lies
    between theirs."""
    levels = np.array(LEVELS)
    for table in (SUBSCRIBER_S, CUSTOMER_S):
        assert interpolate(levels, table).tolist() == list(table)
        between = interpolate(np.linspace(0, 1, 1001), table)
        assert (np.diff(between) >= 0).all()
    # Halfway between two levels is the geometric mean of their durations.
    assert interpolate(np.array([0.375]), CUSTOMER_S)[0] == round((661 * 1127) ** 0.5)


def test_durations(rentals: list[day.Rental]) -> None:
    """Umbrellas and power banks are rented as long as casual riders ride, and most bikes as long as
    subscribers ride."""
    bike = next(i for i, p in enumerate(PRODUCTS) if p.product_id == "bike")
    others = [r.duration_s for r in rentals if r.product != bike]
    assert abs(float(np.median(others)) / 1127 - 1) < 0.05
    bikes = [r.duration_s for r in rentals if r.product == bike]
    assert 471 < float(np.median(bikes)) < 600


def test_mix(rentals: list[day.Rental]) -> None:
    """The products have the stated shares."""
    counts = np.bincount([r.product for r in rentals]) / len(rentals) * 100
    assert np.abs(counts - [p.share_percent for p in PRODUCTS]).max() < 1


def test_fates(rentals: list[day.Rental]) -> None:
    """Reservations are picked up, cancelled or forgotten; other rentals are ridden or cancelled."""
    reserved = [r for r in rentals if r.reserved]
    at_once = [r for r in rentals if not r.reserved]
    assert abs(len(reserved) / len(rentals) - day.RESERVED_SHARE) < 0.01

    def share(group: list[day.Rental], fate: Fate) -> float:
        return sum(r.fate is fate for r in group) / len(group)

    assert abs(share(reserved, Fate.NO_SHOW) - day.NO_SHOW_SHARE) < 0.02
    assert abs(share(reserved, Fate.CANCEL) - day.CANCELLED_RESERVATION_SHARE) < 0.02
    assert abs(share(at_once, Fate.CANCEL) - day.CANCELLED_SHARE) < 0.01
    assert share(at_once, Fate.NO_SHOW) == 0
    assert abs(share(rentals, Fate.UNDO) - day.UNDONE_SHARE) < 0.002


def test_conduct_follows_the_label(rentals: list[day.Rental]) -> None:
    """People with a bad label leave more fees unpaid, but the label decides no single rental."""
    bad = [r for r in rentals if LABEL[r.person]]
    good = [r for r in rentals if not LABEL[r.person]]
    assert 0.06 < sum(r.unpaid for r in bad) / len(bad) < 0.10
    assert 0.005 < sum(r.unpaid for r in good) / len(good) < 0.015


def test_reservations_end_before_their_window() -> None:
    """A pick-up or a cancellation comes within the pick-up window, at every tick length."""
    assert max(day.PICKUP_TO_S, day.CANCEL_WITHIN_S) + 300 < day.PICKUP_WINDOW_S


def test_every_assumption_is_named() -> None:
    """The assumptions have the durations' source and licence, and every share."""
    text = " ".join(day.assumptions())
    for word in ("Bay Area Bike Share", "bikeshare14", "CC0", "12%", "10%", "15%", "30%", "0.4%"):
        assert word in text
