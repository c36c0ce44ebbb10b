"""The fee by a tariff of arithmetic 2, computed a second time: unit by unit.

`domain/segment_fee.py` counts units by division, and prices by pieces of time. This file walks from
unit to unit and asks the clock about each one, so that a wrong count or a wrong piece is noticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from service.domain.fee_lines import MINUTE_US
from service.domain.segment_tariff import FreeMinutes, Rounding, Segment, SegmentTariff
from service.domain.tariff import AnyTariff
from service.domain.time_zones import time_zone

Stood = Sequence[tuple[int, int]]
"""The times in which the meter did not run, in microseconds since the epoch, in their order."""


def walked_minor(
    tariff: SegmentTariff, start_us: int, end_us: int, stood: Stood, quota_us: int = 0
) -> int:
    """The fee of a rental before waivers, in minor units; `quota_us` of the use are free."""
    used_us = (
        end_us - start_us - sum(min(end, end_us) - begin for begin, end in stood if begin < end_us)
    )
    grace = tariff.free is FreeMinutes.GRACE
    if grace and tariff.free_minutes and used_us - quota_us <= tariff.free_minutes * MINUTE_US:
        return 0
    charges = [(0, tariff.start_fee_minor)]
    billed_us = used_us - quota_us
    if billed_us < tariff.first_use_minutes * MINUTE_US or (quota_us and billed_us <= 0):
        charges = []
    for window_us, segment, begin_us in _units(tariff, used_us, quota_us):
        charges.append((window_us, _price_minor(tariff, segment, start_us, begin_us, stood)))
    return min(tariff.buy_out_minor, _capped_minor(tariff, charges))


def _units(
    tariff: SegmentTariff, used_us: int, quota_us: int
) -> Iterator[tuple[int, Segment, int]]:
    """The units that are due: an instant in their windows, their segments, and their beginnings.

    Instants are microseconds of use.
    """
    free = tariff.free_minutes if tariff.free is FreeMinutes.DEDUCTED else 0
    first = min((it.from_minute for it in tariff.segments), default=0)
    first_due_us = quota_us + (free + first + tariff.first_use_minutes) * MINUTE_US
    if used_us < first_due_us:
        return
    completed = tariff.rounding is Rounding.COMPLETED
    for segment in tariff.segments:
        minute = segment.from_minute
        while segment.to_minute is None or minute < segment.to_minute:
            begin_us = quota_us + (free + minute) * MINUTE_US
            if begin_us >= used_us:
                break
            end_us = begin_us + segment.interval_minutes * MINUTE_US
            last = minute + segment.interval_minutes
            cut = segment.to_minute is not None and last > segment.to_minute
            is_first = bool(tariff.first_use_minutes) and minute == first
            if not segment.interval_minutes or not completed:
                yield begin_us, segment, begin_us
            elif is_first:
                yield first_due_us - 1, segment, begin_us
            elif end_us <= used_us and not cut:
                yield end_us - 1, segment, begin_us
            if not segment.interval_minutes:
                break
            minute = last


def _price_minor(
    tariff: SegmentTariff, segment: Segment, start_us: int, begin_us: int, stood: Stood
) -> int:
    """The price of a unit that begins after `begin_us` of use."""
    if not segment.prices:
        return segment.price_minor
    at_us = start_us + begin_us
    for begin, end in stood:
        if begin <= at_us:
            at_us += end - begin
    moments = {start_us + begin_us, at_us}
    return min(_at_moment_minor(tariff, segment, moment_us) for moment_us in moments)


def _at_moment_minor(tariff: SegmentTariff, segment: Segment, moment_us: int) -> int:
    local = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=moment_us)
    local = local.astimezone(time_zone(tariff.time_zone))
    today = local.isoweekday()
    for price in segment.prices:
        # A price of yesterday may go on after midnight.
        for day, minutes in ((today, 0), (today - 1 or 7, 24 * 60)):
            minute = local.hour * 60 + local.minute + minutes
            if day in price.days and price.from_minute <= minute < price.to_minute:
                return price.price_minor
    return segment.price_minor


def _capped_minor(tariff: SegmentTariff, charges: list[tuple[int, int]]) -> int:
    """The sum of charges, each with an instant of use, after the caps."""
    for cap in tariff.caps:
        window_us = cap.window_minutes * MINUTE_US
        sums: dict[int, int] = {}
        for at_us, amount_minor in charges:
            window = at_us // window_us
            sums[window] = sums.get(window, 0) + amount_minor
        charges = [
            (window * window_us, min(sum_minor, cap.most_minor))
            for window, sum_minor in sums.items()
        ]
    return sum(amount_minor for _, amount_minor in charges)


def walked_reservation_minor(tariff: AnyTariff, reserved_us: int) -> int:
    """The fee of a reservation of `reserved_us` microseconds, in minor units."""
    if not isinstance(tariff, SegmentTariff) or tariff.reservation is None:
        return 0
    it, sum_minor = tariff.reservation, 0
    most_minor = tariff.buy_out_minor if it.most_minor is None else it.most_minor
    most_minor = min(most_minor, tariff.buy_out_minor)
    begin_us = it.free_minutes * MINUTE_US
    while begin_us < reserved_us and sum_minor < most_minor:
        end_us = begin_us + it.interval_minutes * MINUTE_US
        if tariff.rounding is Rounding.COMPLETED and end_us > reserved_us:
            break
        sum_minor, begin_us = sum_minor + it.price_minor, end_us
        if not it.interval_minutes:
            break
    return min(sum_minor, most_minor)
