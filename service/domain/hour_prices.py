"""Prices by the time of day: the price of a segment at each moment of its use.

A price counts by what the clock shows in the tariff's time zone. An hour that the clock shows twice
has the same price twice, and an hour that it leaves out has none. The time in between goes on, so a
change of clocks moves no unit.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from service.domain.fee_lines import DAY_US, MINUTE_US
from service.domain.segment_tariff import HourPrice, Segment
from service.domain.time_zones import time_zone

DAY_MINUTES = DAY_US // MINUTE_US
WEEK_MINUTES = 7 * DAY_MINUTES
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_MINUTE = 3 * DAY_MINUTES
"""The minute of the week, from Monday, in which the epoch began: it was a Thursday."""
MICROSECOND = timedelta(microseconds=1)


class Stop(NamedTuple):
    """From `used_us` of use on, all pauses before it together lasted `paused_us`."""

    used_us: int
    paused_us: int


class Piece(NamedTuple):
    """From `from_us` of use on, units have the price of this place; see `price_minor`."""

    from_us: int
    price: int


_from_us = attrgetter("from_us")

USUAL = -1
"""The place of a segment's usual price; the others are places in `Segment.prices`."""


def price_minor(segment: Segment, price: int) -> int:
    """The price at a place of a segment, in minor units."""
    return segment.price_minor if price == USUAL else segment.prices[price].price_minor


def pieces_of(
    segment: Segment,
    zone: str,
    start_us: int,
    from_us: int,
    until_us: int,
    stops: Sequence[Stop] = (),
) -> list[Piece]:
    """The prices of units that begin from `from_us` until before `until_us` microseconds of use.

    `start_us` is the start of the rental since the epoch, `stops` are its pauses. The first piece
    begins at `from_us`. After a pause a moment of use has two prices: by the clock, and as if there
    had been no pause. The lower one counts, or else that by the clock.
    """
    unpaused = _moved(segment, zone, start_us, from_us, until_us)
    place = bisect_right(stops, from_us, key=attrgetter("used_us")) - 1
    if place < 0 and (not stops or stops[0].used_us >= until_us):
        return unpaused
    found, begin_us = list[Piece](), from_us
    while begin_us < until_us:
        end_us = stops[place + 1].used_us if place + 1 < len(stops) else until_us
        end_us = min(end_us, until_us)
        if begin_us < end_us:
            there = _cut(unpaused, begin_us, end_us)
            if place >= 0:
                moved_us = start_us + stops[place].paused_us
                by_clock = _moved(segment, zone, moved_us, begin_us, end_us)
                there = _lower(segment, by_clock, there)
            found += there
        place, begin_us = place + 1, max(begin_us, end_us)
    return found


def _moved(segment: Segment, zone: str, start_us: int, from_us: int, until_us: int) -> list[Piece]:
    """The prices by the clock of a rental that began at `start_us`, without pauses."""
    steps = _steps(segment.prices, zone, start_us + from_us, start_us + until_us)
    return [Piece(at_us - start_us, price) for at_us, price in steps]


def _cut(pieces: Sequence[Piece], from_us: int, until_us: int) -> list[Piece]:
    """The pieces between two instants, of which the first one begins at `from_us`."""
    first = bisect_right(pieces, from_us, key=_from_us) - 1
    return [
        Piece(from_us, pieces[first].price),
        *pieces[first + 1 : bisect_left(pieces, until_us, key=_from_us)],
    ]


def _lower(segment: Segment, by_clock: list[Piece], unpaused: list[Piece]) -> list[Piece]:
    """At each moment the lower of two prices, or else the first one; both begin at one instant."""
    found: list[Piece] = []
    places = [0, 0]
    for at_us in sorted({it.from_us for it in (*by_clock, *unpaused)}):
        for number, pieces in enumerate((by_clock, unpaused)):
            following = places[number] + 1
            if following < len(pieces) and pieces[following].from_us <= at_us:
                places[number] = following
        prices = by_clock[places[0]].price, unpaused[places[1]].price
        found.append(Piece(at_us, min(prices, key=lambda it: price_minor(segment, it))))
    return found


def _steps(
    prices: tuple[HourPrice, ...], zone: str, from_us: int, until_us: int
) -> Iterator[tuple[int, int]]:
    """The price at `from_us`, and each later one before `until_us`, since the epoch."""
    minutes, places = _week(prices)
    for span_us, offset_us, end_us in _spans(zone, from_us, until_us):
        local_minute, at_us = (span_us + offset_us) // MINUTE_US + EPOCH_MINUTE, span_us
        week, minute = divmod(local_minute, WEEK_MINUTES)
        place = bisect_right(minutes, minute) - 1
        # The instant at which this week begins by the local clock.
        week_us = (week * WEEK_MINUTES - EPOCH_MINUTE) * MINUTE_US - offset_us
        while at_us < end_us:
            yield at_us, places[place]
            place += 1
            if place == len(places):
                place, week_us = 0, week_us + WEEK_MINUTES * MINUTE_US
            at_us = week_us + minutes[place] * MINUTE_US


def changes_of_week(prices: tuple[HourPrice, ...]) -> tuple[int, ...]:
    """The minutes of a week, from Monday, at which the price changes."""
    return _week(prices)[0]


@lru_cache(maxsize=4096)
def _week(prices: tuple[HourPrice, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The minutes of a week from Monday at which the price changes, and the prices from then on."""
    begins = {0}
    for price in prices:
        for day in price.days:
            for minute in (price.from_minute, price.to_minute):
                begins.add(((day - 1) * DAY_MINUTES + minute) % WEEK_MINUTES)
    minutes = tuple(sorted(begins))
    return minutes, tuple(_price_at(prices, it) for it in minutes)


def _price_at(prices: tuple[HourPrice, ...], minute: int) -> int:
    """The price at a minute of the week."""
    for place, price in enumerate(prices):
        for day in price.days:
            since = (minute - (day - 1) * DAY_MINUTES - price.from_minute) % WEEK_MINUTES
            if since < price.to_minute - price.from_minute:
                return place
    return USUAL


def _spans(zone: str, from_us: int, until_us: int) -> list[tuple[int, int, int]]:
    """The spans between two instants in which the offset from UTC does not change.

    Each is the instant at which it begins, the offset, and its end; all are microseconds.
    """
    begins = [
        begin
        for month in range(from_us // _MONTH_US, -(-until_us // _MONTH_US))
        for begin in _offsets_of_month(zone, month)
    ]
    found: list[tuple[int, int, int]] = []
    for place, (begin_us, offset_us) in enumerate(begins):
        end_us = begins[place + 1][0] if place + 1 < len(begins) else until_us
        end_us, begin_us = min(end_us, until_us), max(begin_us, from_us)
        if begin_us >= end_us:
            continue
        if found and found[-1][1] == offset_us:
            found[-1] = found[-1][0], offset_us, end_us
        else:
            found.append((begin_us, offset_us, end_us))
    return found


def clock_changes(zone: str, from_us: int, until_us: int) -> list[int]:
    """The instants between two others at which the zone's offset from UTC changes."""
    return [begin_us for begin_us, _, _ in _spans(zone, from_us, until_us)[1:]]


_MONTH_US = 32 * DAY_US
"""The offsets of so much time are kept together."""


@lru_cache(maxsize=4096)
def _offsets_of_month(zone: str, month: int) -> tuple[tuple[int, int], ...]:
    """The offsets from UTC in one of the months of 32 days since the epoch: from which instant each
    counts, and its length.

    All are microseconds. A day has at most one change of clocks.
    """
    from_us = month * _MONTH_US
    before = _offset_us(zone, from_us)
    found = [(from_us, before)]
    for low_us in range(from_us, from_us + _MONTH_US, DAY_US):
        high_us = low_us + DAY_US
        after = _offset_us(zone, high_us)
        if before == after:
            continue
        while high_us - low_us > 1:
            middle_us = (low_us + high_us) // 2
            if _offset_us(zone, middle_us) == before:
                low_us = middle_us
            else:
                high_us = middle_us
        found.append((high_us, after))
        before = after
    return tuple(found)


def _offset_us(zone: str, at_us: int) -> int:
    offset = (EPOCH + timedelta(microseconds=at_us)).astimezone(time_zone(zone)).utcoffset()
    return (offset or timedelta()) // MICROSECOND
