"""The cycles of a tariff: parts of a long use that cost the same as often as they come back.

Units, windows and hours repeat: after the least common multiple of their lengths, all windows have
the same units at the same prices again. So a use of a year is not counted window by window. It is
cut where the order changes: where a segment begins or ends, at a change of clocks, and at a pause.
Between two cuts one cycle is counted once, and taken as often as it fits.

All instants are microseconds of use from the start of the rental, unless they are said to be since
the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from math import lcm
from typing import NamedTuple

from service.domain.due_units import Series, Use
from service.domain.fee_lines import DAY_US, MINUTE_US
from service.domain.hour_prices import clock_changes
from service.domain.segment_tariff import SegmentTariff

WEEK_US = 7 * DAY_US
LEAST_CYCLES = 3
"""A part of a use with fewer cycles is counted as it is: finding the cycles takes time too."""


class Stretch(NamedTuple):
    """A part of a use, and how often it comes one after the other. It begins and ends with a window
    of the longest cap, but for the last one, whose window may go on."""

    from_us: int
    until_us: int
    times: int = 1


def window_us(tariff: SegmentTariff) -> int:
    """The length of the longest window: parts that begin with one do not depend on each other.

    Without caps it is a minute, because no unit depends on another.
    """
    return tariff.caps[-1].window_minutes * MINUTE_US if tariff.caps else MINUTE_US


@lru_cache(maxsize=4096)
def least_cycle_us(tariff: SegmentTariff) -> int:
    """The length of the shortest cycle without prices of hours, if it were that of one segment."""
    lengths = [it.interval_minutes for it in tariff.segments if it.interval_minutes]
    return max(min(lengths, default=1) * MINUTE_US, window_us(tariff))


def stretches(
    tariff: SegmentTariff, use: Use, series: Sequence[Series], until_us: int
) -> Iterator[Stretch]:
    """The parts of the first `until_us` microseconds of a use, in their order."""
    by_clock = tariff.by_clock
    plain = not (tariff.caps or by_clock)
    least_us = WEEK_US if by_clock else least_cycle_us(tariff)
    if plain or until_us < LEAST_CYCLES * least_us:
        yield Stretch(0, until_us)
        return
    window, done_us = window_us(tariff), 0
    for begin_us, end_us in pairwise(_cuts(tariff, use, series, until_us)):
        if end_us - begin_us < LEAST_CYCLES * window:
            continue
        first_us = -(-begin_us // window) * window
        cycle_us = _cycle_us(tariff, series, window, begin_us)
        times = (end_us - first_us) // cycle_us
        if times >= LEAST_CYCLES:
            if first_us > done_us:
                yield Stretch(done_us, first_us)
            yield Stretch(first_us, first_us + cycle_us, times)
            done_us = first_us + cycle_us * times
    if done_us < until_us:
        yield Stretch(done_us, until_us)


def _cycle_us(tariff: SegmentTariff, series: Iterable[Series], window: int, from_us: int) -> int:
    """The time after which the windows of the units that are due from an instant on repeat."""
    cycle_us = window
    for it in series:
        ended = it.end_us is not None and it.end_us <= from_us
        if it.step_us and it.at_us < from_us and not ended:
            cycle_us = lcm(cycle_us, it.step_us)
            if tariff.segments[it.place].prices:
                cycle_us = lcm(cycle_us, WEEK_US)
    return cycle_us


def _cuts(tariff: SegmentTariff, use: Use, series: Iterable[Series], until_us: int) -> list[int]:
    """The instants at which the order of the units or of their prices may change."""
    # The start fee is in the first window, so no cycle begins with that one.
    cuts, clocks = {1, until_us}, list[int]()
    if tariff.by_clock:
        clocks = _clock_cuts(tariff, use, until_us)
    for it in series:
        # The first unit is in no cycle: the window around it has no unit before that.
        cuts |= {it.at_us, it.at_us + 1, it.at_us if it.end_us is None else it.end_us}
        if tariff.segments[it.place].prices:
            # Units have the prices of their beginnings.
            cuts |= {one + it.at_us - it.begin_us for one in clocks}
    return [*sorted(it for it in cuts if 0 < it < until_us), until_us]


def _clock_cuts(tariff: SegmentTariff, use: Use, until_us: int) -> list[int]:
    """The instants of use at which a pause ended, or the clocks change, with and without pauses."""
    cuts, start_us = [it.used_us for it in use.stops], use.start_us
    paused = {0, *(it.paused_us for it in use.stops)}
    last_us = start_us + until_us + max(paused)
    changes = clock_changes(tariff.time_zone, start_us, last_us)
    return cuts + [it - start_us - by_us for it in changes for by_us in paused]
