"""The result of the same day under other deposit rules. Pure, in fen.

The result of a day is the common result of the operator and Freehold; either may bear a loss:

    result = fees charged - fees never paid - items not recovered + interest on cash deposits

- item not recovered = replacement value - the amount collected for the item, at least 0: a charge
  beyond the item's value is no income.
- interest = deposit x (rental + REFUND_AFTER_S) x FLOAT_BP a year: the holder of a deposit can use
  the money until the refund. Without a deposit this float is lost.
- deposit for everyone: a share a of the people walks away, evenly; the others' fees and lost items
  are taken from the deposit. result(a) = (1 - a) x result(0).
- free for everyone: no person is asked for a deposit, and nobody walks away. The same people pay
  fees and charges for lost items as in the day as it was run.
- break-even loss: the factor on its losses at which free for everyone earns as much as the actual
  day. People who risk nothing may return and pay less than they do today.
- break-even abandonment: the share a at which deposit for everyone earns as much as the actual day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ABANDONMENT_PERCENT = (10, 30, 50)
FLOAT_BP = 400
REFUND_AFTER_S = 2 * 24 * 3600
_YEAR_S = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Ride:
    """One rental that would take place if no deposit prevented it; amounts in fen.

    `duration_s` is the time for which a deposit would be held, in seconds, without the time until
    its refund.
    """

    fee_minor: int
    deposit_minor: int
    replacement_minor: int
    duration_s: int
    unpaid: bool
    lost: bool
    lost_paid: bool


@dataclass(frozen=True, slots=True)
class World:
    """The day under one deposit rule; amounts in fen."""

    name: str
    rides: int
    fees_minor: int
    unpaid_minor: int
    items_minor: int
    interest_minor: int

    @property
    def loss_minor(self) -> int:
        """Fees never paid and items not recovered."""
        return self.unpaid_minor + self.items_minor

    @property
    def result_minor(self) -> int:
        """The day's result, as the module's docstring defines it."""
        return self.fees_minor - self.loss_minor + self.interest_minor

    def as_json(self) -> dict[str, object]:
        """The row for the report."""
        return {
            "name": self.name,
            "rides": self.rides,
            "fees_minor": self.fees_minor,
            "unpaid_minor": self.unpaid_minor,
            "items_not_recovered_minor": self.items_minor,
            "loss_minor": self.loss_minor,
            "interest_minor": self.interest_minor,
            "result_minor": self.result_minor,
        }


def interest_minor(cash_minor_s: int) -> int:
    """Interest on `cash_minor_s`, the sum of fen times seconds, rounded down."""
    return cash_minor_s * FLOAT_BP // (10_000 * _YEAR_S)


def item_loss_minor(replacement_minor: int, collected_minor: int) -> int:
    """The loss from an item that never came back, less the amount collected for the item."""
    return max(0, replacement_minor - collected_minor)


def deposit_for_everyone(rides: Iterable[Ride], abandonment_percent: int) -> World:
    """The day if everybody is asked for the whole deposit in cash, and a share walks away."""
    rides = tuple(rides)
    stay = 100 - abandonment_percent
    items = sum(item_loss_minor(r.replacement_minor, r.deposit_minor) for r in rides if r.lost)
    cash = sum(r.deposit_minor * (r.duration_s + REFUND_AFTER_S) for r in rides if not r.lost)
    return World(
        name=f"deposit, {abandonment_percent} % leave",
        rides=len(rides) * stay // 100,
        fees_minor=sum(r.fee_minor for r in rides if not r.lost) * stay // 100,
        unpaid_minor=0,
        items_minor=items * stay // 100,
        interest_minor=interest_minor(cash) * stay // 100,
    )


def free_for_everyone(rides: Iterable[Ride]) -> World:
    """The day if nobody is asked for a deposit or scored."""
    rides = tuple(rides)
    back = [r for r in rides if not r.lost]
    return World(
        name="free for everyone",
        rides=len(rides),
        fees_minor=sum(r.fee_minor for r in back),
        unpaid_minor=sum(r.fee_minor for r in back if r.unpaid),
        items_minor=sum(
            item_loss_minor(r.replacement_minor, r.deposit_minor if r.lost_paid else 0)
            for r in rides
            if r.lost
        ),
        interest_minor=0,
    )


def break_even_abandonment(as_run: World, everyone_stays: World) -> float | None:
    """The share of people who walk away at which deposit for everyone earns as much as `as_run`.

    `everyone_stays` is the result of deposit for everyone if nobody walks away. Returns None if
    this result is not positive. A share below 0 means that `as_run` earns more even then.
    """
    if everyone_stays.result_minor <= 0:
        return None
    return 1 - as_run.result_minor / everyone_stays.result_minor


def break_even_loss_factor(as_run: World, free: World) -> float | None:
    """The factor on the losses of `free` at which `free` earns as much as `as_run`.

    Returns None if `free` has no loss. A factor below 1 means that `free` already earns less.
    """
    if free.loss_minor <= 0:
        return None
    return (free.fees_minor + free.interest_minor - as_run.result_minor) / free.loss_minor


def assumptions() -> list[str]:
    """The formulas and their assumptions, in sentences."""
    return [
        (
            "Result = fees charged - fees never paid - items not recovered + interest on cash "
            "deposits, for operator and Freehold together. Item not recovered = replacement value "
            "- what was collected for it, at least 0."
        ),
        (
            "Deposit for everyone: a share of people walks away, evenly over risk and fee. The "
            "fees and lost items of the others are taken from the deposit. Free for everyone: "
            "nobody walks away, and no more people default or keep the item than today."
        ),
        (
            f"Float: a cash deposit earns its holder {FLOAT_BP / 100:g} % a year from the start "
            f"until {REFUND_AFTER_S // 86400} days after the return, when the refund is through."
        ),
        (
            "Break-even abandonment = the share of people who must walk away so that deposit for "
            "everyone earns as little as the day as it was run."
        ),
    ]
