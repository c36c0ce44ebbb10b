"""The fee of a rental by its product's tariff, line by line, and the time of reaching an amount.

There are two arithmetics. Arithmetic 2 is that of `segment_tariff.py`. The rest of this text is
about arithmetic 1, which is that of products without a stored `tariff`. It never changes, because
rentals, receipts and hashes of prices depend on it.

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

from service.domain.due_units import Use
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
from service.domain.fee_reach import reaches
from service.domain.hour_prices import Stop
from service.domain.reservation_fee import after_reservation, reservation_lines
from service.domain.segment_fee import fee_of
from service.domain.segment_tariff import SegmentTariff

__all__ = [
    "DAY_US", "MINUTE_US", "AnyTariff", "Fee", "FeeItem", "FeeLine", "Pauses", "Tariff",
    "day_most_minor", "fee", "interval_minutes", "reaches_us",
]  # fmt: skip


class Tariff(NamedTuple):
    """A tariff of arithmetic 1: prices of one product, in minor units and minutes."""

    start_fee_minor: int
    free_minutes: int
    interval_minutes: int
    interval_price_minor: int
    day_cap_minor: int
    buy_out_minor: int

    @property
    def quotas(self) -> tuple[()]:
        """A tariff of arithmetic 1 has no quotas of free minutes."""
        return ()

    @property
    def passes(self) -> tuple[()]:
        """A tariff of arithmetic 1 sells no passes."""
        return ()

    @property
    def reservation(self) -> None:
        """A tariff of arithmetic 1 has no price for a reservation."""
        return None

    @property
    def place(self) -> str:
        """Empty: a tariff of arithmetic 1 has no prices of places."""
        return ""

    @property
    def by_clock(self) -> bool:
        """False: no fee depends on the time of day at which the rental begins."""
        return False


AnyTariff = Tariff | SegmentTariff


# A settlement needs its fee twice: for the amount, and for the receipt.
@lru_cache(maxsize=256)
def fee(
    tariff: AnyTariff,
    start_us: int,
    end_us: int,
    *,
    paused_us: int = 0,
    waived_minor: int = 0,
    free_us: int | None = None,
    pauses: Pauses = (),
    quota_us: int = 0,
    reserved_us: int = 0,
) -> Fee:
    """The fee of a rental from `start_us` to `end_us`, both in microseconds since the epoch.

    For `paused_us` of that time the meter stood. At most `waived_minor` is taken off the fee. A
    rental of at most `free_us` counts as cancelled in time and costs nothing; None means no such
    rule. A tariff with prices of hours also needs the `pauses` themselves, in the order of time: a
    pause moves the units after it to other hours. `quota_us` of the use is free by a quota, and
    `reserved_us` before the start the item was reserved; only a tariff of arithmetic 2 has prices
    for these. A rental that counts as cancelled in time costs what its reservation does.

    Raises InvalidInput if the end lies before the start. Raises InvariantBroken if the tariff has a
    negative number or intervals without length, or if the pauses or the quota do not fit it.
    """
    if end_us < start_us:
        raise InvalidInput.of("end_time", "end_time.before_start", "must not lie before the start")
    used_us = end_us - start_us - paused_us
    reserved = reservation_lines(tariff, reserved_us) if reserved_us else ()
    if free_us is not None and used_us <= free_us:
        return after_reservation(reserved, cancelled_in_time(free_us, paused_us), waived_minor)
    if isinstance(tariff, SegmentTariff):
        stops = stops_of(start_us, end_us, pauses) if tariff.by_clock else ()
        if tariff.by_clock and paused_us != (stops[-1].paused_us if stops else 0):
            raise InvariantBroken("a tariff with prices of hours needs all pauses of the rental")
        use = Use(start_us, used_us, stops, quota_us)
        return fee_of(tariff, use, paused_us, waived_minor, reserved)
    _require_sound(tariff)
    if quota_us:
        raise InvariantBroken("a tariff of arithmetic 1 has no quota of free minutes")
    full_days, today_us = divmod(used_us, DAY_US)
    free_minutes = 0 if full_days else tariff.free_minutes
    billable_us = max(0, today_us - free_minutes * MINUTE_US)
    intervals = _ceil_div(billable_us, tariff.interval_minutes * MINUTE_US)
    return _composed(tariff, full_days, intervals, paused_us // MINUTE_US, waived_minor)


def used_until(tariff: SegmentTariff, start_us: int, end_us: int, pauses: Pauses) -> Use:
    """The use of a rental until an instant; its stops only matter for prices of hours."""
    stops = stops_of(start_us, end_us, pauses)
    paused_us = stops[-1].paused_us if stops else 0
    return Use(start_us, end_us - start_us - paused_us, stops if tariff.by_clock else ())


Pauses = tuple[tuple[int, int], ...]
"""Times in which the meter stood: from when until when, in microseconds since the epoch."""


def stops_of(start_us: int, end_us: int, pauses: Pauses) -> tuple[Stop, ...]:
    """The pauses until the end of a rental, by the use before them."""
    found, paused_us = list[Stop](), 0
    for from_us, until_us in pauses:
        if from_us < end_us and from_us < until_us:
            used_us = from_us - start_us - paused_us
            paused_us += min(until_us, end_us) - from_us
            found.append(Stop(used_us, paused_us))
    return tuple(found)


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


def reaches_us(
    tariff: AnyTariff, start_us: int, amount_minor: int, *, pauses: Pauses = (), quota_us: int = 0
) -> int | None:
    """The first microsecond at which a rental started at `start_us` costs `amount_minor`.

    It is `start_us` itself if the rental costs the amount from the beginning, for example an amount
    of 0. It is None if the fee never reaches the amount, for example because the amount is above
    the buy-out cap. For arithmetic 2 it is also None if a year of use does not cost the amount,
    or 92 days of use with prices of hours.

    At the buy-out cap the rental counts as lost. A buy-out cap of 0 gives the start itself, so
    check for a cap first. The result is exact, and may be too late for any calendar, for example
    with a cap of 1 a day and a large amount. Compare it with the present before you store or show
    it. `pauses` and `quota_us` are those of `fee`; arithmetic 1 takes neither: there a pause moves
    the instant by its length. Raises InvariantBroken as `fee` does.
    """
    if amount_minor <= 0:
        return start_us
    if isinstance(tariff, SegmentTariff):
        return _segments_reach_us(tariff, start_us, amount_minor, pauses, quota_us)
    _require_sound(tariff)
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


def _segments_reach_us(
    tariff: SegmentTariff, start_us: int, amount_minor: int, pauses: Pauses, quota_us: int
) -> int | None:
    stops = stops_of(start_us, max((until_us for _, until_us in pauses), default=0), pauses)
    priced = stops if tariff.by_clock else ()
    used_us = reaches(tariff, Use(start_us, 0, priced, quota_us), amount_minor)
    if used_us is None:
        return None
    paused_us = max((it.paused_us for it in stops if it.used_us < used_us), default=0)
    return start_us + used_us + paused_us


def interval_minutes(tariff: AnyTariff) -> int:
    """The length of the intervals of arithmetic 1; 0 for arithmetic 2, whose lines tell it."""
    return 0 if isinstance(tariff, SegmentTariff) else tariff.interval_minutes


def day_most_minor(tariff: AnyTariff, start_us: int) -> int:
    """The most that one day costs: the day cap, or by arithmetic 2 the fee of the first 24 hours.

    `start_us` is the start of the rental in microseconds since the epoch.
    """
    if isinstance(tariff, SegmentTariff):
        return fee(tariff, start_us, start_us + DAY_US).total_minor
    return tariff.day_cap_minor


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
