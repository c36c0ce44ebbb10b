"""The lines of a fee. Both arithmetics of tariffs (see `tariff.py`) write their fees in them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

MINUTE_US = 60 * 1_000_000
DAY_US = 24 * 60 * MINUTE_US


class FeeItem(StrEnum):
    """The kind of a fee's line, in the order of the lines."""

    RESERVATION = "RESERVATION"
    RESERVATION_CAP_REDUCTION = "RESERVATION_CAP_REDUCTION"
    CANCELLATION_FEE = "CANCELLATION_FEE"
    PLACE = "PLACE"
    FULL_DAYS = "FULL_DAYS"
    START_FEE = "START_FEE"
    FREE_MINUTES = "FREE_MINUTES"
    PASS_MINUTES = "PASS_MINUTES"
    QUOTA_MINUTES = "QUOTA_MINUTES"
    INTERVALS = "INTERVALS"
    FIRST_UNIT = "FIRST_UNIT"
    STARTED_UNITS = "STARTED_UNITS"
    COMPLETED_UNITS = "COMPLETED_UNITS"
    ONE_TIME = "ONE_TIME"
    DAY_CAP_REDUCTION = "DAY_CAP_REDUCTION"
    CAP_REDUCTION = "CAP_REDUCTION"
    BUY_OUT_REDUCTION = "BUY_OUT_REDUCTION"
    PASS_DISCOUNT = "PASS_DISCOUNT"
    ORDER_FEE_REDUCTION = "ORDER_FEE_REDUCTION"
    PAID_ELSEWHERE = "PAID_ELSEWHERE"
    PAUSED_MINUTES = "PAUSED_MINUTES"
    WAIVED = "WAIVED"


class FeeLine(NamedTuple):
    """One line of the arithmetic: `amount_minor` is `quantity` times `unit_minor`.

    These lines have a price of 0, and explain the others: PLACE names the place whose prices count
    in `place`, which is empty in all other lines; FREE_MINUTES counts the tariff's
    free minutes, PASS_MINUTES and QUOTA_MINUTES the started minutes of the person's pass and of
    quotas that the rental used, PAUSED_MINUTES the full minutes for which the meter stood.
    Reductions, PASS_DISCOUNT and WAIVED have quantity 1 and a negative amount. BUY_OUT_REDUCTION
    is the excess of the whole rental over the buy-out cap, PASS_DISCOUNT the share of the fee that
    the person's pass takes off, and ORDER_FEE_REDUCTION the excess over the known fee of the order.
    PAID_ELSEWHERE takes the whole fee off, because the order says that it is paid elsewhere.

    Arithmetic 1 writes FULL_DAYS, full 24 hours at the day cap; INTERVALS, the started intervals of
    the day under way; DAY_CAP_REDUCTION, the excess of that day over the day cap.

    Arithmetic 2 writes RESERVATION, the units of the time before the pick-up, and
    RESERVATION_CAP_REDUCTION, their excess over the cap of a reservation. CANCELLATION_FEE is the
    product's flat fee for a late cancellation. Of a segment it writes the units at one price:
    STARTED_UNITS, COMPLETED_UNITS, or FIRST_UNIT, which is due from the first use on; ONE_TIME for
    a segment that is charged once; and CAP_REDUCTION, the excess of all windows of one length over
    their cap. `minutes` is the length of a unit, or 0 for a reservation that is charged once; in
    FIRST_UNIT the minutes of the first use; in ONE_TIME the minutes before the charge; in
    CAP_REDUCTION the length of the window. `from_minute` is the minute at which the units of the
    segment or the reservation begin. `times` names the hours of the price, as in
    `Mon-Fri 07:00-09:00`; it is empty for the usual price.
    """

    item: FeeItem
    quantity: int
    unit_minor: int
    amount_minor: int
    minutes: int = 0
    from_minute: int = 0
    times: str = ""
    place: str = ""


class Fee(NamedTuple):
    """A fee and its lines, whose amounts add up to `total_minor` exactly.

    The total is at least 0 and at most the buy-out cap. Lines of 0 are left out, except
    PLACE and those of minutes; a fee of 0 may have no lines.
    """

    lines: tuple[FeeLine, ...]
    total_minor: int


FREE = frozenset(
    {
        *(FeeItem.PLACE, FeeItem.FREE_MINUTES, FeeItem.PASS_MINUTES, FeeItem.QUOTA_MINUTES),
        FeeItem.PAUSED_MINUTES,
    }
)
"""Lines without a price, which explain the others."""


def line(item: FeeItem, quantity: int, unit_minor: int) -> FeeLine:
    """A line of `quantity` units at `unit_minor` minor units each."""
    return FeeLine(item, quantity, unit_minor, quantity * unit_minor)


def reduction(item: FeeItem, lines: Iterable[FeeLine], cap_minor: int) -> FeeLine:
    """The line that reduces the sum of the earlier lines to the cap; 0 if below the cap."""
    return line(item, 1, min(0, cap_minor - total(lines)))


def total(lines: Iterable[FeeLine]) -> int:
    """The sum of lines in minor units."""
    return sum(it.amount_minor for it in lines)


def shown(lines: Iterable[FeeLine]) -> tuple[FeeLine, ...]:
    """The lines without those of 0 that explain nothing."""
    return tuple(it for it in lines if it.amount_minor or (it.item in FREE and it.quantity))


def cancelled_in_time(free_us: int, paused_us: int) -> Fee:
    """The fee of a rental that counts as cancelled in time: 0.

    Both arguments are microseconds: the policy's time of a free cancellation, and the time for
    which the meter stood.
    """
    return Fee(
        shown(
            (
                line(FeeItem.FREE_MINUTES, free_us // MINUTE_US, 0),
                line(FeeItem.PAUSED_MINUTES, paused_us // MINUTE_US, 0),
            )
        ),
        0,
    )
