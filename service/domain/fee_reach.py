"""The use after which a rental costs an amount by a tariff of arithmetic 2.

A fee does not fall as time goes on, so the parts of the use (`fee_cycles.py`) are added up until
they cost the amount. A part in which windows repeat is divided. Within the part that reaches the
amount, the window of the longest cap is searched, then the window of the next shorter cap in it,
and at last the unit.

All instants are microseconds of use from the start of the rental. Amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from service.domain.due_units import Series, Use, due_us, runs_between, series_of, starts_us
from service.domain.fee_cycles import Stretch, stretches, window_us
from service.domain.fee_lines import MINUTE_US
from service.domain.hour_prices import DAY_MINUTES
from service.domain.segment_fee import excesses
from service.domain.segment_tariff import Cap, SegmentTariff

HORIZON_MINUTES = 366 * DAY_MINUTES
"""An amount that a year of use does not cost counts as never reached."""
HOURS_HORIZON_MINUTES = 92 * DAY_MINUTES
"""The same for a tariff with prices of hours, because each rental searches these days anew."""
FIRST_PART_US = 60 * MINUTE_US
"""A long part without cycles is added up in parts that double, from about this length on."""


class _Priced(NamedTuple):
    """A use whose amounts are asked for, with its series of units."""

    tariff: SegmentTariff
    use: Use
    series: list[Series]

    def minor(self, caps: tuple[Cap, ...], from_us: int, until_us: int) -> int:
        """The amount due between two instants, after these caps, of which the longest window
        begins at the first instant."""
        runs = list(runs_between(self.tariff, self.use, self.series, from_us, until_us))
        first_minor = 0 if from_us else self.tariff.start_fee_minor
        found_minor = first_minor + sum(it.units * it.unit_minor for it in runs)
        return found_minor - sum(excesses(caps, first_minor, runs))


def reaches(tariff: SegmentTariff, use: Use, amount_minor: int) -> int | None:
    """The least use that costs `amount_minor`; None if no use within the horizon does.

    `used_us` of the use does not matter.
    """
    if amount_minor > tariff.buy_out_minor:
        return None
    if not tariff.by_clock:
        return _reaches(tariff, Use(0, 0, (), use.quota_us), amount_minor)
    return _found(tariff, use, amount_minor, HOURS_HORIZON_MINUTES)


@lru_cache(maxsize=4096)
def _reaches(tariff: SegmentTariff, use: Use, amount_minor: int) -> int | None:
    return _found(tariff, use, amount_minor, HORIZON_MINUTES)


def _found(tariff: SegmentTariff, use: Use, amount_minor: int, most_minutes: int) -> int | None:
    last_us = use.quota_us + most_minutes * MINUTE_US + 1
    if min([tariff.start_fee_minor, *(it.most_minor for it in tariff.caps)]) >= amount_minor:
        begin_us = starts_us(tariff, use.quota_us)
        return begin_us if begin_us <= last_us else None
    begin_us = due_us(tariff, use.quota_us)
    if begin_us > last_us:
        return None
    it = _Priced(tariff, use, list(series_of(tariff, use.quota_us)))
    left_minor = amount_minor
    for from_us, until_us, times in _parts(it, last_us):
        minor = it.minor(tariff.caps, from_us, until_us)
        if minor * times < left_minor:
            left_minor -= minor * times
            continue
        # The first of the cycles that reaches the amount.
        skipped = (left_minor - 1) // minor
        moved_us = skipped * (until_us - from_us)
        cycle = Stretch(from_us + moved_us, until_us + moved_us)
        at_us = _within(it, cycle, left_minor - skipped * minor)
        return max(at_us, begin_us)
    return None


def _parts(it: _Priced, until_us: int) -> Iterator[Stretch]:
    """The parts of the use, of which none is much longer than all before it."""
    window = window_us(it.tariff)
    for stretch in stretches(it.tariff, it.use, it.series, until_us):
        from_us, end_us, times = stretch
        if times > 1:
            yield stretch
            continue
        while from_us < end_us:
            step_us = max(FIRST_PART_US, from_us)
            next_us = min(end_us, -(-(from_us + step_us) // window) * window)
            yield Stretch(from_us, next_us)
            from_us = next_us


def _within(it: _Priced, stretch: Stretch, left_minor: int) -> int:
    """The use after which a part costs an amount, which it does in the end."""
    from_us, until_us, caps = stretch.from_us, stretch.until_us, it.tariff.caps
    while caps:
        window = caps[-1].window_minutes * MINUTE_US
        first, last = from_us // window, -(-until_us // window)
        while last - first > 1:
            middle = (first + last) // 2
            minor = it.minor(caps, first * window, middle * window)
            if minor >= left_minor:
                last = middle
            else:
                first, left_minor = middle, left_minor - minor
        from_us, until_us, caps = first * window, min(until_us, last * window), caps[:-1]
    runs = list(runs_between(it.tariff, it.use, it.series, from_us, until_us))
    if not from_us:
        left_minor -= it.tariff.start_fee_minor

    def costs(used_us: int) -> bool:
        minor = 0
        for run in runs:
            if used_us > run.at_us:
                units = (used_us - run.at_us - 1) // run.step_us + 1 if run.step_us else 1
                minor += min(units, run.units) * run.unit_minor
        return minor >= left_minor

    # Units become due at a full minute after the quota, or a microsecond after it.
    rest_us = it.use.quota_us % MINUTE_US
    low, high = (from_us - rest_us) // MINUTE_US - 1, -(-(until_us - rest_us) // MINUTE_US)
    while high - low > 1:
        middle = (low + high) // 2
        reached = costs(middle * MINUTE_US + rest_us + 1)
        low, high = (low, middle) if reached else (middle, high)
    full_us = high * MINUTE_US + rest_us
    return full_us if costs(full_us) else full_us + 1


@lru_cache(maxsize=4096)
def flat(tariff: SegmentTariff, pick: Callable[[list[int]], int]) -> SegmentTariff:
    """The tariff with the dearest or the cheapest of its prices at all hours."""
    segments = [
        it._replace(
            price_minor=pick([it.price_minor, *(price.price_minor for price in it.prices)]),
            prices=(),
        )
        for it in tariff.segments
    ]
    return tariff._replace(segments=tuple(segments))
