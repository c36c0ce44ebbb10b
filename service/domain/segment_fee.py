"""The fee of a rental by a tariff of arithmetic 2; `segment_tariff.py` has its rules.

All instants are microseconds of use from the start of the rental, unless they are said to be since
the epoch. Amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from service.domain.due_units import Run, Use, due_us, in_grace, runs_between, series_of, starts_us
from service.domain.fee_cycles import stretches
from service.domain.fee_lines import (
    MINUTE_US,
    Fee,
    FeeItem,
    FeeLine,
    line,
    reduction,
    shown,
    total,
)
from service.domain.hour_prices import DAY_MINUTES, USUAL, price_minor
from service.domain.segment_tariff import Cap, FreeMinutes, HourPrice, SegmentTariff

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


class _Tally(NamedTuple):
    """The start fee, the units that are due by their item, the place of their segment and that of
    their price, and the excess over each cap."""

    start_fee_minor: int
    units: dict[tuple[FeeItem, int, int], int]
    over_minor: list[int]


def lines_of(tariff: SegmentTariff, use: Use) -> tuple[FeeLine, ...]:
    """The lines of a use, with the reductions to the caps and to the buy-out cap."""
    if tariff.by_clock or use.quota_us:
        return _lines(tariff, use)
    # All that is due becomes due at a full minute, or a microsecond after it.
    minutes, rest_us = divmod(use.used_us, MINUTE_US)
    return _lines_of_minutes(tariff, minutes, rest_us > 0)


# Most rentals are short, so few numbers of minutes make most of the fees.
@lru_cache(maxsize=4096)
def _lines_of_minutes(tariff: SegmentTariff, minutes: int, more: bool) -> tuple[FeeLine, ...]:
    return _lines(tariff, Use(0, minutes * MINUTE_US + more))


def _lines(tariff: SegmentTariff, use: Use) -> tuple[FeeLine, ...]:
    tally = _tally(tariff, use)
    lines = [line(FeeItem.START_FEE, 1, tally.start_fee_minor)]
    if tariff.place:
        lines.insert(0, line(FeeItem.PLACE, 1, 0)._replace(place=tariff.place))
    if tariff.free is FreeMinutes.DEDUCTED or in_grace(tariff, use):
        lines.append(line(FeeItem.FREE_MINUTES, tariff.free_minutes, 0))
    if use.quota_us:
        # A use of no length takes a minute too, because its start fee would be due.
        started = max(1, -(-min(use.quota_us, use.used_us) // MINUTE_US))
        lines.append(line(FeeItem.QUOTA_MINUTES, started, 0))
    lines += _unit_lines(tariff, tally)
    for cap, over_minor in zip(tariff.caps, tally.over_minor, strict=True):
        reduced = line(FeeItem.CAP_REDUCTION, 1, -over_minor)
        lines.append(reduced._replace(minutes=cap.window_minutes))
    lines.append(reduction(FeeItem.BUY_OUT_REDUCTION, lines, tariff.buy_out_minor))
    return shown(lines)


def sum_minor(tariff: SegmentTariff, use: Use) -> int:
    """The sum of the lines of a use, without making them."""
    tally = _tally(tariff, use)
    found_minor = tally.start_fee_minor - sum(tally.over_minor)
    for (_, place, price), units in tally.units.items():
        found_minor += units * price_minor(tariff.segments[place], price)
    return min(found_minor, tariff.buy_out_minor)


def _tally(tariff: SegmentTariff, use: Use) -> _Tally:
    """All that is due after a use."""
    used_us, quota_us, caps = use.used_us, use.quota_us, tariff.caps
    start_fee_minor = tariff.start_fee_minor if used_us >= starts_us(tariff, quota_us) else 0
    if used_us < due_us(tariff, quota_us):
        return _Tally(start_fee_minor, {}, excesses(caps, start_fee_minor, ()))
    units: dict[tuple[FeeItem, int, int], int] = {}
    over_minor = [0] * len(caps)
    series = list(series_of(tariff, quota_us))
    for from_us, until_us, times in stretches(tariff, use, series, used_us):
        runs = list(runs_between(tariff, use, series, from_us, until_us))
        for run in runs:
            kind = run.item, run.place, run.price
            units[kind] = units.get(kind, 0) + run.units * times
        if caps:
            first_minor = 0 if from_us else start_fee_minor
            for place, minor in enumerate(excesses(caps, first_minor, runs)):
                over_minor[place] += minor * times
    return _Tally(start_fee_minor, units, over_minor)


def _unit_lines(tariff: SegmentTariff, tally: _Tally) -> Iterator[FeeLine]:
    """A line for each segment and price, in the order of the segments."""
    for (item, place, price), units in sorted(tally.units.items(), key=_place):
        segment = tariff.segments[place]
        minutes = segment.interval_minutes
        if item is FeeItem.FIRST_UNIT:
            minutes = tariff.first_use_minutes
        elif item is FeeItem.ONE_TIME:
            minutes = segment.from_minute
        times = "" if price == USUAL else times_of(segment.prices[price])
        unit_minor = price_minor(segment, price)
        amount_minor = units * unit_minor
        yield FeeLine(item, units, unit_minor, amount_minor, minutes, segment.from_minute, times)


def _place(it: tuple[tuple[FeeItem, int, int], int]) -> int:
    return it[0][1]


def excesses(caps: tuple[Cap, ...], start_fee_minor: int, runs: Iterable[Run]) -> list[int]:
    """The excess over each cap; a longer window counts what the shorter ones left."""
    if not caps:
        return []
    found: list[int] = []
    windows: dict[int, int] = {0: start_fee_minor}
    for run in runs:
        _spread(run, caps[0].window_minutes * MINUTE_US, windows)
    for place, cap in enumerate(caps):
        if place:
            several, shorter, windows = (
                cap.window_minutes // caps[place - 1].window_minutes,
                windows,
                {},
            )
            for window, there_minor in shorter.items():
                longer = window // several
                windows[longer] = windows.get(longer, 0) + there_minor
        over_minor = 0
        for window, there_minor in windows.items():
            if there_minor > cap.most_minor:
                over_minor += there_minor - cap.most_minor
                windows[window] = cap.most_minor
        found.append(over_minor)
    return found


def _spread(run: Run, window_us: int, windows: dict[int, int]) -> None:
    """Adds the units of a run to the sums of their windows."""
    left, at_us = run.units, run.at_us
    while left:
        window = at_us // window_us
        there = left
        if run.step_us:
            there = min(left, -(-((window + 1) * window_us - at_us) // run.step_us))
        windows[window] = windows.get(window, 0) + there * run.unit_minor
        at_us += there * run.step_us
        left -= there


def times_of(price: HourPrice) -> str:
    """The days and hours of a price, as in `SAT,SUN 22:00-06:00`."""
    to_minute = price.to_minute
    if to_minute > DAY_MINUTES:
        to_minute -= DAY_MINUTES
    hours = "-".join(f"{it // 60:02}:{it % 60:02}" for it in (price.from_minute, to_minute))
    if len(price.days) == len(DAYS):
        return hours
    return f"{','.join(DAYS[day - 1] for day in price.days)} {hours}"


def fee_of(
    tariff: SegmentTariff,
    use: Use,
    paused_us: int,
    waived_minor: int,
    reserved: tuple[FeeLine, ...] = (),
) -> Fee:
    """The fee of a use after the lines of a reservation; at most `waived_minor` is taken off, and a
    pause is told."""
    return fee_of_lines(tariff, lines_of(tariff, use), paused_us, waived_minor, reserved)


def fee_of_lines(
    tariff: SegmentTariff,
    lines: tuple[FeeLine, ...],
    paused_us: int,
    waived_minor: int,
    reserved: tuple[FeeLine, ...],
) -> Fee:
    """The fee of a use with these lines; see `fee_of`."""
    if reserved:
        lines = (*reserved, *(it for it in lines if it.item is not FeeItem.BUY_OUT_REDUCTION))
        bought_out = reduction(FeeItem.BUY_OUT_REDUCTION, lines, tariff.buy_out_minor)
        lines = shown((*lines, bought_out))
    sum_minor = total(lines)
    if not (paused_us or waived_minor):
        return Fee(lines, sum_minor)
    waived_minor = min(waived_minor, sum_minor)
    more = (
        line(FeeItem.PAUSED_MINUTES, paused_us // MINUTE_US, 0),
        line(FeeItem.WAIVED, 1, -waived_minor),
    )
    return Fee(lines + shown(more), sum_minor - waived_minor)
