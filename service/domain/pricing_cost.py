"""The cost of one pricing by a tariff: how many steps its arithmetic takes at most.

The writer prices rentals while other calls wait. A tariff whose windows, units and hours hardly
ever repeat takes a step for each window of months, and once more for each number of free minutes
that it compares. So a tariff comes into force only if its pricing is short. The bound is rough: it
counts how much `fee_cycles.py` cannot skip, and the numbers of minutes that `least_fee.py` looks
at.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import gcd, lcm

from service.domain.day_tariff_document import DayTariffDocument
from service.domain.due_units import Use
from service.domain.errors import Violation
from service.domain.fee_cycles import LEAST_CYCLES
from service.domain.fee_lines import MINUTE_US
from service.domain.fee_reach import HORIZON_MINUTES, HOURS_HORIZON_MINUTES, flat, reaches
from service.domain.hour_prices import DAY_MINUTES, WEEK_MINUTES, changes_of_week
from service.domain.least_fee import MOST_LOOKS
from service.domain.segment_tariff import FreeMinutes, Rounding, Segment, SegmentTariff
from service.domain.tariff import AnyTariff
from service.domain.tariff_document import TariffDocument
from service.domain.terms_readers import tariffs_of

MOST_STEPS = 60_000
"""The most steps of one pricing. They take 1 or 2 ms, and at worst about 10."""
STEPS_OF_A_PRICE = 12
"""Finding a price of hours takes as long as adding up so many windows."""
STEPS_OF_A_SEGMENT = 20
"""The same for the units of a segment in a part of the use."""
STEPS_OF_A_PART = 30
"""The same for a part of the use."""
CHANGES_OF_CLOCKS = 2
"""The usual number of changes within the longest time that is searched."""
SEARCHES = 3
"""The time of a loss is a pricing, and a search that takes about two."""


def slow_prices(
    document: DayTariffDocument | TariffDocument, pass_minutes: int = 0
) -> Iterator[Violation]:
    """The faults of a document with prices that take too long to compute.

    `pass_minutes` are the most free minutes of a pass that another revision of a product with this
    tariff sold. A fault of the usual prices is not told again for a place. Tariffs that are in
    force already stay so.
    """
    usual = list(_faults(document.tariff, pass_minutes))
    for path, tariff in tariffs_of(document):
        for fault in _faults(tariff, pass_minutes):
            if not path or fault not in usual:
                yield fault._replace(field=f"{path}{fault.field}")


def _faults(tariff: AnyTariff, pass_minutes: int) -> Iterator[Violation]:
    """The faults of one tariff; their fields are keys of its document."""
    if not isinstance(tariff, SegmentTariff):
        return
    free = free_minutes(tariff, pass_minutes)
    looks, steps = most_looks(tariff, free), SEARCHES * most_steps(tariff)
    if looks and steps <= MOST_STEPS:
        steps += looks * most_steps(tariff, _minutes_of_loss(tariff, free))
    if looks > MOST_LOOKS:
        text = (
            f"makes a rental compare up to {looks} numbers of free minutes, but at most"
            f" {MOST_LOOKS} are allowed: use fewer segments, longer units, units that divide the"
            " shortest window, or fewer minutes in quotas and passes"
        )
        yield Violation("segment", "segment.too_many_free", text)
    elif steps > MOST_STEPS:
        text = (
            f"takes {steps / MOST_STEPS:.1f} times as long to price as is allowed: use units that"
            " divide the windows of caps, windows that divide a week, longer windows, fewer prices"
            " of hours, or fewer minutes in quotas and passes"
        )
        yield Violation("segment", "segment.too_slow", text)


def most_looks(tariff: SegmentTariff, free: int) -> int:
    """The most numbers of free minutes, up to `free`, that a rental compares."""
    if not free or not (tariff.caps or tariff.by_clock):
        return 1 if free else 0
    moves = tariff.first_use_minutes and tariff.rounding is Rounding.COMPLETED
    (first, *others) = tariff.segments or (Segment(0, None, 1, 0),)
    if not others and first.to_minute is None and not moves and first.interval_minutes:
        free = min(free, first.interval_minutes)
    # Four turns are those of the start fee, of a grace, and of the first unit.
    return min(free, 4 + sum(_turns(tariff, it, free) for it in tariff.segments))


def free_minutes(tariff: SegmentTariff, pass_minutes: int = 0) -> int:
    """The most minutes that the tariff's quotas and a pass make free."""
    most = max([pass_minutes, *(it.minutes for it in tariff.passes)])
    return sum(it.minutes for it in tariff.quotas) + most


def _turns(tariff: SegmentTariff, it: Segment, free: int) -> int:
    """The numbers of free minutes, up to `free`, with which units of a segment move to other
    windows or hours."""
    interval = it.interval_minutes
    several = -(-free // interval) if interval else 1
    found = several
    if tariff.caps:
        found += -(-free // gcd(interval, tariff.caps[0].window_minutes))
    if it.prices:
        found += _minutes_of_changes(it) * several if interval else free
    return found


def _minutes_of_changes(it: Segment) -> int:
    """The minutes of a unit at which the price may change, whenever the rental begins."""
    interval = it.interval_minutes
    repeats = gcd(interval, WEEK_MINUTES)
    found = len({minute % repeats for minute in changes_of_week(it.prices)})
    found *= interval // repeats
    # A change of clocks moves them by an hour.
    return min(interval, found * (1 + CHANGES_OF_CLOCKS) if 60 % interval else found)


def _minutes_of_loss(tariff: SegmentTariff, free: int) -> int:
    """About the latest minute at which a rental compares numbers of free minutes: a day after the
    loss at the cheapest hours."""
    use = Use(0, 0, (), free * MINUTE_US)
    lost_us = reaches(flat(tariff, min), use, tariff.buy_out_minor) if tariff.buy_out_minor else 0
    return HORIZON_MINUTES if lost_us is None else lost_us // MINUTE_US + DAY_MINUTES


def most_steps(tariff: SegmentTariff, within_minutes: int = HORIZON_MINUTES) -> int:
    """The most steps of the fee of a use of so many minutes."""
    horizon = min(within_minutes, HOURS_HORIZON_MINUTES if tariff.by_clock else HORIZON_MINUTES)
    found = STEPS_OF_A_PART + STEPS_OF_A_SEGMENT * len(tariff.segments)
    if not (tariff.caps or tariff.by_clock):
        return found
    base = tariff.free_minutes if tariff.free is FreeMinutes.DEDUCTED else 0
    marks = {0, horizon}
    for it in tariff.segments:
        begin = base + it.from_minute
        marks |= {begin, begin + it.interval_minutes}
        marks |= set() if it.to_minute is None else {base + it.to_minute}
    for begin, end in pairwise(sorted(it for it in marks if it <= horizon)):
        found += _steps(tariff, base, begin, end)
    return found


def _steps(tariff: SegmentTariff, base: int, begin: int, end: int) -> int:
    """The steps between two minutes of use, between which no segment begins or ends."""
    there = [
        it
        for it in tariff.segments
        if base + it.from_minute <= begin and (it.to_minute is None or end <= base + it.to_minute)
    ]
    window = tariff.caps[-1].window_minutes if tariff.caps else 1
    priced = any(it.prices for it in there)
    cycle = lcm(window, *(it.interval_minutes or 1 for it in there), WEEK_MINUTES if priced else 1)
    parts = 1 + CHANGES_OF_CLOCKS if priced else 1
    # A cycle, and what is left before it and after it.
    length, found = end - begin, 0
    if cycle * LEAST_CYCLES * parts <= length:
        length = min(length, parts * (3 * cycle // 2 + window))
        found = 2 * parts * (STEPS_OF_A_PART + STEPS_OF_A_SEGMENT * len(there))
    found += sum(_steps_of(tariff, it, length) for it in there)
    return found + sum(-(-length // it.window_minutes) for it in tariff.caps)


def _steps_of(tariff: SegmentTariff, it: Segment, length: int) -> int:
    """The steps of one segment in so many minutes."""
    units = -(-length // it.interval_minutes) if it.interval_minutes else 1
    windows = -(-length // tariff.caps[0].window_minutes) if tariff.caps else 1
    changes = 0
    if it.prices:
        changes = -(-length * len(changes_of_week(it.prices)) // WEEK_MINUTES)
    return min(units, windows + changes) + min(units, changes) * STEPS_OF_A_PRICE
