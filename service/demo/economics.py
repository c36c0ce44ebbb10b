"""What the same day would have earned under other deposit rules. Pure, in fen.

The result of a day is what operator and Freehold have together, whoever bears what:

    result = fees charged - fees never paid - items not recovered + interest on cash deposits

- item not recovered = replacement value - what was collected for it, at least 0: a charge beyond
  the item's value is no income.
- interest = deposit x (rental + REFUND_AFTER_S) x FLOAT_BP a year: who holds a deposit has its
  use until it is back; waiving it costs that float.
- deposit for everyone: a share a of the people walks away, evenly; the others' fees and lost items
  are taken from the deposit. result(a) = (1 - a) x result(0).
- free for everyone: nobody is asked for anything, nobody walks away; fees and charges for lost
  items are paid by those who pay.
- break-even loss: how many times its loss free for everyone could bear before it earns less than
  the day as it was run; people who risk nothing may return and pay less than they do today.
- break-even abandonment: the a at which deposit for everyone equals the day as it was run.
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
    """One rental that would take place if no deposit stood in the way; amounts in fen.

    `duration_s` is how long a deposit would be held, without the time of its refund.
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
        """See the module's first lines."""
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
    """What an item that never came back costs after what was collected for it."""
    return max(0, replacement_minor - collected_minor)


def deposit_for_everyone(rides: Iterable[Ride], abandonment_percent: int) -> World:
    """Everybody is asked for the whole deposit in cash; a share walks away."""
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
    """Nobody is asked for a deposit or looked at."""
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
    """The share that must walk away for `as_run` to earn as much; None where there is none.

    `everyone_stays` is deposit for everyone at 0 %. A value below 0 says that the day as run beats
    even a deposit that nobody minds.
    """
    if everyone_stays.result_minor <= 0:
        return None
    return 1 - as_run.result_minor / everyone_stays.result_minor


def break_even_loss_factor(as_run: World, free: World) -> float | None:
    """How many times its loss `free` could bear and still earn as much as `as_run`.

    None where it has no loss. Below 1 it already earns less.
    """
    if free.loss_minor <= 0:
        return None
    return (free.fees_minor + free.interest_minor - as_run.result_minor) / free.loss_minor


def assumptions() -> list[str]:
    """The formulas in sentences."""
    return [
        (
            "Result = fees charged - fees never paid - items not recovered + interest on cash "
            "deposits, for operator and Freehold together. Item not recovered = replacement value "
            "- what was collected for it, at least 0."
        ),
        (
            "Deposit for everyone: a share of people walks away, evenly over risk and fee; the "
            "others' fees and lost items are taken from the deposit. Free for everyone: nobody "
            "walks away, and no more people default or keep the item than today."
        ),
        (
            f"Float: a cash deposit earns its holder {FLOAT_BP / 100:g} % a year from the start "
            f"until {REFUND_AFTER_S // 86400} days after the return, when the refund is through."
        ),
        (
            "Break-even abandonment = the share of people at whose loss the result of deposit for "
            "everyone is that of the day as it was run."
        ),
    ]
