"""The fewest free minutes with the least fee.

Free minutes come before the segments of a tariff. So they move units to other windows of its caps,
and to other hours, and more minutes can cost more: a rental takes as many as lower its fee the
most. (The tariffs' texts do not say how many it takes, so the reading that is cheaper for the user
counts.)

The fee changes only at some numbers of minutes, its turns: where one unit less is due, and where a
unit gets into another window or another hour. Only these are looked at. If a tariff has one segment
without an end, one interval more takes the first unit away and leaves all others in their places.
Then the fee does not rise from interval to interval, so the last interval has the least fee.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from heapq import merge
from itertools import groupby, islice
from math import gcd
from typing import NamedTuple

from service.domain.due_units import Use
from service.domain.fee_lines import MINUTE_US
from service.domain.fee_reach import flat
from service.domain.hour_prices import pieces_of
from service.domain.segment_fee import sum_minor
from service.domain.segment_tariff import FreeMinutes, Rounding, Segment, SegmentTariff

MOST_LOOKS = 250
"""At most so many turns are looked at, from the most minutes down. A tariff with more of them does
not come into force any more (`pricing_cost.py`); some that did before have more."""


class _Turns(NamedTuple):
    """Numbers of minutes at which the fee may change: `first`, and each that is a multiple of
    `step` before or after it. With a step of 0 it is one number."""

    first: int
    step: int


def fewest_minutes(
    tariff: SegmentTariff, use: Use, most: int, due_minor: Callable[[int], int]
) -> int:
    """The fewest minutes, from 0 to `most`, for which the least is due.

    `due_minor` gives the amount that is due for a sum of lines, and does not fall as the sum rises.
    The quota of the use does not matter.
    """
    step, floor = _step(tariff), cheapest(tariff)

    def due_after(minutes: int, by: SegmentTariff = tariff) -> int:
        return due_minor(_sum_after(by, use, minutes))

    least_minor = without_minor = due_after(0)
    found = list[int]()
    for number, minutes in enumerate(islice(_looks(tariff, use, most, step), MOST_LOOKS)):
        if number and due_after(minutes, floor) > least_minor:
            break
        minor = due_after(minutes)
        if minor < least_minor:
            least_minor, found = minor, [minutes]
        elif minor == least_minor < without_minor:
            found.append(minutes)
    return min((_earliest(it, step, due_after, least_minor) for it in found), default=0)


def _sum_after(tariff: SegmentTariff, use: Use, minutes: int) -> int:
    return sum_minor(tariff, use._replace(quota_us=minutes * MINUTE_US))


def cheaper_minutes(tariff: SegmentTariff, use: Use, most: int, amount_minor: int) -> int | None:
    """A number of free minutes, from 0 to `most`, with which a use costs less than an amount; None
    if there is none.

    Of the minutes from one turn until before the next one, which all cost the same, it is the last:
    its units are due the latest.
    """
    following = most + 1
    most = min(most, max(1, -(-use.used_us // MINUTE_US)))
    for minutes in islice(_looks(tariff, use, most, _step(tariff)), MOST_LOOKS):
        if _sum_after(tariff, use, minutes) < amount_minor:
            return following - 1
        following = minutes
    return 0 if _sum_after(tariff, use, 0) < amount_minor else None


@lru_cache(maxsize=4096)
def cheapest(tariff: SegmentTariff) -> SegmentTariff:
    """A tariff without caps and prices of hours, whose fees are no higher for any use."""
    buy_out_minor = min((tariff.buy_out_minor, *(it.most_minor for it in tariff.caps)))
    return flat(tariff, min)._replace(caps=(), buy_out_minor=buy_out_minor)


def _step(tariff: SegmentTariff) -> int:
    """The number of minutes by which more of them never cost more; 0 if there is none."""
    if not (tariff.caps or tariff.by_clock):
        return 1
    if len(tariff.segments) != 1 or tariff.segments[0].to_minute is not None:
        return 0
    # A first unit is due earlier than the completed one that it replaces.
    moves = tariff.first_use_minutes and tariff.rounding is Rounding.COMPLETED
    return 0 if moves else tariff.segments[0].interval_minutes


def _looks(tariff: SegmentTariff, use: Use, most: int, step: int) -> Iterator[int]:
    """The turns up to `most`, the largest first; with a step, one for all that are multiples of it
    apart."""
    above = max(0, most - step) if step else 0
    ranges = []
    for it in _turns(tariff, use):
        if it.step or step:
            last = most - (most - it.first) % (it.step or step)
            ranges.append(range(last, above, -(it.step or step)))
        elif it.first <= most:
            ranges.append(range(it.first, above, -most))
    return (minutes for minutes, _ in groupby(merge(*ranges, reverse=True)))


def _turns(tariff: SegmentTariff, use: Use) -> Iterator[_Turns]:
    """The numbers of minutes at which the fee may change."""
    deducted = tariff.free_minutes if tariff.free is FreeMinutes.DEDUCTED else 0
    full, started = use.used_us // MINUTE_US, -(-use.used_us // MINUTE_US)
    first_due = min((it.from_minute for it in tariff.segments), default=0)
    first_due += deducted + tariff.first_use_minutes
    # The start fee, the end of a grace, and the first unit that is due.
    yield _Turns(max(1, started), 0)
    yield _Turns(full - tariff.first_use_minutes + 1, 0)
    yield _Turns(started - tariff.free_minutes, 0)
    yield _Turns(full - first_due + 1, 0)
    completed = tariff.rounding is Rounding.COMPLETED
    if tariff.caps and tariff.first_use_minutes and completed:
        yield _Turns(1 - first_due, tariff.caps[0].window_minutes)
    for segment in tariff.segments:
        interval, offset = segment.interval_minutes, deducted + segment.from_minute
        # A unit counts after its first microsecond, or at its end.
        after = completed and interval > 0
        yield _Turns((full + 1 if after else started) - offset, interval)
        if tariff.caps:
            yield _Turns(after - offset, gcd(interval, tariff.caps[0].window_minutes))
        for minute in _changes(tariff, segment, use):
            yield _Turns(minute - offset, interval)


def _changes(tariff: SegmentTariff, segment: Segment, use: Use) -> set[int]:
    """The minutes of use from which on a unit may have another price than before."""
    if not segment.prices:
        return set()
    pieces = pieces_of(segment, tariff.time_zone, use.start_us, 0, use.used_us + 1, use.stops)
    interval = segment.interval_minutes
    minutes = {-(-it.from_us // MINUTE_US) for it in pieces}
    return {it % interval for it in minutes} if interval else minutes


def _earliest(minutes: int, step: int, due_after: Callable[[int], int], least_minor: int) -> int:
    """The fewest minutes that are multiples of `step` before `minutes` and have the same fee."""
    if not step:
        return minutes
    low, high = 0, minutes // step + 1
    while high - low > 1:
        middle = (low + high) // 2
        if due_after(minutes - middle * step) <= least_minor:
            low = middle
        else:
            high = middle
    return minutes - low * step
