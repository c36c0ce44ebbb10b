"""Prices by the time of day: the price of a segment at each moment of its use.

A price counts by what the clock shows in the tariff's time zone. An hour that the clock shows twice
has the same price twice, and an hour that it leaves out has none. The time in between goes on, so a
change of clocks moves no unit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
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
    pieces = [
        Piece(max(from_us, at_us - start_us), price)
        for at_us, price in _steps(segment.prices, zone, start_us + from_us, start_us + until_us)
    ]
    for place, stop in enumerate(stops):
        begin_us = max(from_us, stop.used_us)
        end_us = stops[place + 1].used_us if place + 1 < len(stops) else until_us
        end_us = min(end_us, until_us)
        if begin_us >= end_us:
            continue
        moved_us = start_us + stop.paused_us
        steps = _steps(segment.prices, zone, moved_us + begin_us, moved_us + end_us)
        by_clock = [Piece(max(begin_us, at_us - moved_us), price) for at_us, price in steps]
        lower = _lower(segment, by_clock, _cut(pieces, begin_us, end_us))
        pieces = [*_cut(pieces, from_us, begin_us), *lower, *_cut(pieces, end_us, until_us)]
    return pieces


def _cut(pieces: Sequence[Piece], from_us: int, until_us: int) -> list[Piece]:
    """The pieces between two instants; the first one begins at `from_us`."""
    found: list[Piece] = []
    for piece in pieces:
        if piece.from_us >= until_us or from_us >= until_us:
            break
        if piece.from_us <= from_us:
            found = [Piece(from_us, piece.price)]
        else:
            found.append(piece)
    return found


def _lower(segment: Segment, by_clock: list[Piece], unpaused: list[Piece]) -> list[Piece]:
    """At each moment the lower of two prices, or else the first one; both begin at one instant."""
    found: list[Piece] = []
    for at_us in sorted({it.from_us for it in (*by_clock, *unpaused)}):
        prices = [_at(pieces, at_us) for pieces in (by_clock, unpaused)]
        found.append(Piece(at_us, min(prices, key=lambda it: price_minor(segment, it))))
    return found


def _at(pieces: list[Piece], at_us: int) -> int:
    return next(it.price for it in reversed(pieces) if it.from_us <= at_us)


def _steps(
    prices: tuple[HourPrice, ...], zone: str, from_us: int, until_us: int
) -> Iterator[Piece]:
    """The price at `from_us`, and each later one before `until_us`, since the epoch."""
    minutes, places = _week(prices)
    for span_us, offset_us, end_us in _spans(zone, from_us, until_us):
        local_minute, at_us = (span_us + offset_us) // MINUTE_US + EPOCH_MINUTE, span_us
        week, minute = divmod(local_minute, WEEK_MINUTES)
        place = bisect_right(minutes, minute) - 1
        # The instant at which this week begins by the local clock.
        week_us = (week * WEEK_MINUTES - EPOCH_MINUTE) * MINUTE_US - offset_us
        while at_us < end_us:
            yield Piece(at_us, places[place])
            place += 1
            if place == len(places):
                place, week_us = 0, week_us + WEEK_MINUTES * MINUTE_US
            at_us = week_us + minutes[place] * MINUTE_US


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
        for day in range(from_us // DAY_US, -(-until_us // DAY_US))
        for begin in _offsets_of_day(zone, day)
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


@lru_cache(maxsize=4096)
def _offsets_of_day(zone: str, day: int) -> tuple[tuple[int, int], ...]:
    """The offsets from UTC on a day in UTC: from which instant each counts, and its length.

    All are microseconds. A day has at most one change of clocks.
    """
    from_us, until_us = day * DAY_US, (day + 1) * DAY_US
    before, after = _offset_us(zone, from_us), _offset_us(zone, until_us - 1)
    if before == after:
        return ((from_us, before),)
    low_us, high_us = from_us, until_us - 1
    while high_us - low_us > 1:
        middle_us = (low_us + high_us) // 2
        if _offset_us(zone, middle_us) == before:
            low_us = middle_us
        else:
            high_us = middle_us
    return (from_us, before), (high_us, after)


def _offset_us(zone: str, at_us: int) -> int:
    offset = (EPOCH + timedelta(microseconds=at_us)).astimezone(time_zone(zone)).utcoffset()
    return (offset or timedelta()) // MICROSECOND
