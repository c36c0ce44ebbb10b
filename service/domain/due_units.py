"""The units of a use by a tariff of arithmetic 2; `segment_tariff.py` has the rules.

All instants are microseconds of use from the start of the rental, unless they are said to be since
the epoch. Amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from service.domain.fee_lines import MINUTE_US, FeeItem
from service.domain.hour_prices import USUAL, Stop, pieces_of, price_minor
from service.domain.segment_tariff import FreeMinutes, Rounding, SegmentTariff


class Use(NamedTuple):
    """The use of an item: the start since the epoch, and the time in which the meter ran.

    `stops` are the pauses; only a tariff with prices of hours needs them. `quota_us` of the use is
    free by a quota.
    """

    start_us: int
    used_us: int
    stops: tuple[Stop, ...] = ()
    quota_us: int = 0


class Series(NamedTuple):
    """Units of one segment that follow each other.

    `place` is that of the segment in the tariff. The first unit begins at `begin_us` and is due
    after `at_us`, which lies in its windows; each later one is `step_us` later. There are at most
    `most` units; None means that they do not end.
    """

    item: FeeItem
    place: int
    begin_us: int
    at_us: int
    step_us: int
    most: int | None

    @property
    def end_us(self) -> int | None:
        """The instant after which no more units are due; None if they do not end."""
        return None if self.most is None else self.at_us + (self.most - 1) * self.step_us + 1

    def before(self, at_us: int) -> int:
        """The number of units that belong to windows around instants before this one."""
        if at_us <= self.at_us:
            return 0
        count = -(-(at_us - self.at_us) // self.step_us) if self.step_us else 1
        return count if self.most is None else min(count, self.most)


class Run(NamedTuple):
    """Units of one series and one price that follow each other; `price` is its place in the
    segment."""

    item: FeeItem
    place: int
    price: int
    unit_minor: int
    units: int
    at_us: int
    step_us: int


def in_grace(tariff: SegmentTariff, use: Use) -> bool:
    """True if the use is within the minutes that are free only for short rentals."""
    grace_us = _grace_us(tariff)
    return bool(grace_us) and use.used_us - use.quota_us <= grace_us


def _grace_us(tariff: SegmentTariff) -> int:
    return tariff.free_minutes * MINUTE_US if tariff.free is FreeMinutes.GRACE else 0


def starts_us(tariff: SegmentTariff, quota_us: int) -> int:
    """The least use with a start fee: not within a quota, a grace, or the first use."""
    first_us, grace_us = tariff.first_use_minutes * MINUTE_US, _grace_us(tariff)
    after_us = grace_us + 1 if grace_us else (1 if quota_us else 0)
    return quota_us + max(first_us, after_us)


def due_us(tariff: SegmentTariff, quota_us: int) -> int:
    """The least use for which units are due."""
    first_us = quota_us + (_deducted(tariff) + _first_minute(tariff)) * MINUTE_US
    first_us += tariff.first_use_minutes * MINUTE_US
    grace_us = _grace_us(tariff)
    return max(first_us, quota_us + grace_us + 1) if grace_us else first_us


def _deducted(tariff: SegmentTariff) -> int:
    return tariff.free_minutes if tariff.free is FreeMinutes.DEDUCTED else 0


def _first_minute(tariff: SegmentTariff) -> int:
    return min((it.from_minute for it in tariff.segments), default=0)


def series_of(tariff: SegmentTariff, quota_us: int) -> Iterator[Series]:
    """The units of the segments, in their order."""
    base_us, first_minute = quota_us + _deducted(tariff) * MINUTE_US, _first_minute(tariff)
    completed = tariff.rounding is Rounding.COMPLETED
    item = FeeItem.COMPLETED_UNITS if completed else FeeItem.STARTED_UNITS
    for place, segment in enumerate(tariff.segments):
        begin_us = base_us + segment.from_minute * MINUTE_US
        length_us = segment.interval_minutes * MINUTE_US
        if not length_us:
            yield Series(FeeItem.ONE_TIME, place, begin_us, begin_us, 0, 1)
            continue
        most = None
        if segment.to_minute is not None:
            most_us = (segment.to_minute - segment.from_minute) * MINUTE_US
            most = most_us // length_us if completed else -(-most_us // length_us)
        if tariff.first_use_minutes and segment.from_minute == first_minute:
            # A first unit is due early, although the later ones are charged at their ends.
            first_us = begin_us + tariff.first_use_minutes * MINUTE_US - 1
            at_us = first_us if completed else begin_us
            yield Series(FeeItem.FIRST_UNIT, place, begin_us, at_us, 0, 1)
            begin_us, most = begin_us + length_us, None if most is None else most - 1
        if most is None or most > 0:
            # A window ends with the unit that is completed at its end.
            at_us = begin_us + length_us - 1 if completed else begin_us
            yield Series(item, place, begin_us, at_us, length_us, most)


def runs_between(
    tariff: SegmentTariff, use: Use, series: Iterable[Series], from_us: int, until_us: int
) -> Iterator[Run]:
    """The units of the series that belong to the windows from one instant until before another."""
    for it in series:
        done = it.before(from_us)
        count = it.before(until_us) - done
        if count > 0:
            yield from _priced(tariff, use, it, done, count)


def _priced(tariff: SegmentTariff, use: Use, it: Series, done: int, count: int) -> Iterator[Run]:
    """The runs of `count` units after the first `done` ones of a series, one for each price."""
    segment, step_us = tariff.segments[it.place], it.step_us
    begin_us, window_us = it.begin_us + done * step_us, it.at_us + done * step_us
    if not segment.prices:
        yield Run(it.item, it.place, USUAL, segment.price_minor, count, window_us, step_us)
        return
    end_us = begin_us + (count - 1) * step_us + 1
    zone, start_us, done = tariff.time_zone, use.start_us, 0
    pieces = pieces_of(segment, zone, start_us, begin_us, end_us, use.stops)
    for number, piece in enumerate(pieces, 1):
        until_us = pieces[number].from_us if number < len(pieces) else end_us
        # The units that begin before the next piece.
        before = -(-(until_us - begin_us) // step_us) if step_us else 1
        if before > done:
            at_us, minor = window_us + done * step_us, price_minor(segment, piece.price)
            yield Run(it.item, it.place, piece.price, minor, before - done, at_us, step_us)
            done = before
