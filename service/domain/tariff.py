"""The fee of a rental by its product's tariff, line by line, and the time of reaching an amount.

A day is 24 hours, counted from the start of the rental; calendars and time zones do not matter.
Every full day costs the day cap. The day under way costs at most the day cap: on the first day the
start fee and, after the free minutes, the started intervals; on a later day its started intervals,
counted afresh, without start fee or free minutes. The whole rental costs at most the buy-out cap.

The first microsecond of an interval starts it: exactly 15 minutes are one interval of 15 minutes,
one microsecond more makes two, and a duration of 0 makes none. So a fee never falls as time goes
on.

Times are microseconds since the epoch, UTC; amounts are minor units of the product's currency.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from service.domain.errors import InvalidInput, InvariantBroken
from service.domain.fee_lines import (
    DAY_US,
    MINUTE_US,
    Fee,
    FeeItem,
    FeeLine,
    cancelled_in_time,
    line,
    reduction,
    shown,
    total,
)

__all__ = [
    "DAY_US", "MINUTE_US", "Fee", "FeeItem", "FeeLine", "Tariff", "fee", "reaches_us",
]  # fmt: skip


class Tariff(NamedTuple):
    """Prices of one product, in minor units and minutes."""

    start_fee_minor: int
    free_minutes: int
    interval_minutes: int
    interval_price_minor: int
    day_cap_minor: int
    buy_out_minor: int


# A settlement needs its fee twice: for the amount, and for the receipt.
@lru_cache(maxsize=256)
def fee(
    tariff: Tariff,
    start_us: int,
    end_us: int,
    *,
    paused_us: int = 0,
    waived_minor: int = 0,
    free_us: int | None = None,
) -> Fee:
    """The fee of a rental from `start_us` to `end_us`, both in microseconds since the epoch.

    For `paused_us` of that time the meter stood. At most `waived_minor` is taken off the fee. A
    rental of at most `free_us` counts as cancelled in time and costs nothing; None means no such
    rule.

    Raises InvalidInput if the end lies before the start. Raises InvariantBroken if the tariff has a
    negative number or intervals without length.
    """
    _require_sound(tariff)
    if end_us < start_us:
        raise InvalidInput.of("end_time", "end_time.before_start", "must not lie before the start")
    used_us = end_us - start_us - paused_us
    if free_us is not None and used_us <= free_us:
        return cancelled_in_time(free_us, paused_us)
    full_days, today_us = divmod(used_us, DAY_US)
    free_minutes = 0 if full_days else tariff.free_minutes
    billable_us = max(0, today_us - free_minutes * MINUTE_US)
    intervals = _ceil_div(billable_us, tariff.interval_minutes * MINUTE_US)
    return _composed(tariff, full_days, intervals, paused_us // MINUTE_US, waived_minor)


# Many rentals have the same few numbers of intervals.
@lru_cache(maxsize=4096)
def _composed(
    tariff: Tariff, full_days: int, intervals: int, paused_minutes: int, waived_minor: int
) -> Fee:
    """The fee of a rental with these full days, and intervals of the day under way."""
    lines = []
    if full_days:
        lines.append(line(FeeItem.FULL_DAYS, full_days, tariff.day_cap_minor))
    else:
        lines.append(line(FeeItem.START_FEE, 1, tariff.start_fee_minor))
        lines.append(line(FeeItem.FREE_MINUTES, tariff.free_minutes, 0))
    lines.append(line(FeeItem.INTERVALS, intervals, tariff.interval_price_minor))
    capped_minor = (full_days + 1) * tariff.day_cap_minor
    lines.append(reduction(FeeItem.DAY_CAP_REDUCTION, lines, capped_minor))
    lines.append(reduction(FeeItem.BUY_OUT_REDUCTION, lines, tariff.buy_out_minor))
    lines.append(line(FeeItem.PAUSED_MINUTES, paused_minutes, 0))
    if waived_minor:
        lines.append(line(FeeItem.WAIVED, 1, -min(waived_minor, total(lines))))
    return Fee(shown(lines), total(lines))


def reaches_us(tariff: Tariff, start_us: int, amount_minor: int) -> int | None:
    """The first microsecond at which a rental started at `start_us` costs `amount_minor`.

    It is `start_us` itself if the rental costs the amount from the beginning, for example an amount
    of 0. It is None if the fee never reaches the amount, because the amount is above the buy-out
    cap or the day cap is 0.

    At the buy-out cap the rental counts as lost. A buy-out cap of 0 gives the start itself, so
    check for a cap first. The result is exact, and may be too late for any calendar, for example
    with a cap of 1 a day and a large amount. Compare it with the present before you store or show
    it. Raises InvariantBroken as `fee` does.
    """
    _require_sound(tariff)
    if amount_minor <= 0:
        return start_us
    if amount_minor > tariff.buy_out_minor or not tariff.day_cap_minor:
        return None
    # The day under way must cost 1 to day_cap_minor; this fixes the number of full days.
    full_days = (amount_minor - 1) // tariff.day_cap_minor
    missing_minor = amount_minor - full_days * tariff.day_cap_minor
    free_minutes = 0
    if not full_days:
        missing_minor -= tariff.start_fee_minor
        free_minutes = tariff.free_minutes
    if missing_minor <= 0:
        return start_us
    today_us = DAY_US
    if tariff.interval_price_minor:
        intervals = _ceil_div(missing_minor, tariff.interval_price_minor)
        # The last interval is charged from its first microsecond.
        before_minutes = free_minutes + (intervals - 1) * tariff.interval_minutes
        # A full day costs the cap, however many intervals it has.
        today_us = min(DAY_US, before_minutes * MINUTE_US + 1)
    return start_us + full_days * DAY_US + today_us


def _require_sound(tariff: Tariff) -> None:
    """Raises InvariantBroken for a tariff that the CHECKs of the products' table refuse.

    With a negative price a fee could fall as time goes on.
    """
    least = min(
        tariff.start_fee_minor,
        tariff.free_minutes,
        tariff.interval_minutes - 1,
        tariff.interval_price_minor,
        tariff.day_cap_minor,
        tariff.buy_out_minor,
    )
    if least < 0:
        raise InvariantBroken("a tariff has a negative number or intervals without length")


def _ceil_div(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
