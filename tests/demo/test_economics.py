"""The same day under other rules."""

from __future__ import annotations

import pytest

from service.demo import economics
from service.demo.economics import (
    Ride,
    World,
    break_even_abandonment,
    deposit_for_everyone,
    free_for_everyone,
    interest_minor,
    item_loss_minor,
)

DAY_S = 86_400
PAID = Ride(300, 20_000, 100_000, DAY_S, unpaid=False, lost=False, lost_paid=False)
UNPAID = Ride(500, 20_000, 100_000, DAY_S, unpaid=True, lost=False, lost_paid=False)
LOST = Ride(300, 20_000, 100_000, DAY_S, unpaid=False, lost=True, lost_paid=False)
BOUGHT = Ride(300, 20_000, 100_000, DAY_S, unpaid=False, lost=True, lost_paid=True)
CHEAP = Ride(100, 5_000, 4_000, DAY_S, unpaid=False, lost=True, lost_paid=True)


def test_interest() -> None:
    """Interest is 4 % a year on deposit times time, rounded down."""
    assert interest_minor(1_000_000 * 365 * DAY_S) == 40_000
    assert interest_minor(1) == 0


def test_item_loss() -> None:
    """An item costs its value less what was collected for it, at least zero."""
    assert item_loss_minor(100, 30) == 70
    assert item_loss_minor(100, 130) == 0


def test_deposit_for_everyone() -> None:
    """With a deposit no fee stays unpaid, and a lost item costs its value less the deposit."""
    world = deposit_for_everyone([PAID, UNPAID, LOST, BOUGHT, CHEAP], 0)
    assert (world.rides, world.fees_minor, world.unpaid_minor) == (5, 800, 0)
    assert world.items_minor == 80_000 + 80_000 + 0
    assert world.interest_minor == interest_minor(2 * 20_000 * 3 * DAY_S)
    assert world.result_minor == 800 - 160_000 + world.interest_minor


@pytest.mark.parametrize("percent", economics.ABANDONMENT_PERCENT)
def test_abandonment_is_proportional(percent: int) -> None:
    """People who walk away take the same share of fees, losses and interest with them."""
    rides = [PAID] * 1_000 + [LOST] * 10
    everyone, some = deposit_for_everyone(rides, 0), deposit_for_everyone(rides, percent)
    assert some.fees_minor == everyone.fees_minor * (100 - percent) // 100
    assert some.items_minor == everyone.items_minor * (100 - percent) // 100
    assert abs(some.result_minor * 100 - everyone.result_minor * (100 - percent)) <= 300


def test_free_for_everyone() -> None:
    """Without deposits unpaid fees are lost, and lost items too unless the charge is paid."""
    world = free_for_everyone([PAID, UNPAID, LOST, BOUGHT, CHEAP])
    assert (world.fees_minor, world.unpaid_minor) == (800, 500)
    assert world.items_minor == 100_000 + 80_000 + 0
    assert world.interest_minor == 0


def test_break_even() -> None:
    """At the break-even share of people who give up, a deposit for everybody would earn as much as
    the day did."""
    as_run = World("as run", 0, 900, 50, 50, 0)
    everyone = World("deposit", 0, 1_000, 0, 0, 0)
    assert break_even_abandonment(as_run, everyone) == pytest.approx(0.2)


def test_there_may_be_no_break_even() -> None:
    """If a deposit for everybody loses money, there is no break-even."""
    as_run = World("as run", 0, 900, 0, 0, 0)
    assert break_even_abandonment(as_run, World("deposit", 0, 100, 0, 200, 0)) is None


def test_break_even_loss() -> None:
    """At the break-even loss, rentals without any deposit would earn as much as the day did."""
    as_run = World("as run", 0, 900, 50, 50, 0)
    free = World("free", 0, 1_000, 50, 50, 0)
    assert economics.break_even_loss_factor(as_run, free) == pytest.approx(2.0)
    assert economics.break_even_loss_factor(as_run, World("free", 0, 1_000, 0, 0, 0)) is None


def test_formulas_are_stated() -> None:
    """Result, both rules, float and break-even are among the assumptions."""
    text = " ".join(economics.assumptions())
    for word in ("Result =", "Deposit for everyone", "Free for everyone", "Float", "Break-even"):
        assert word in text
