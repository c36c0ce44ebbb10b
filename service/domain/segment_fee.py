"""The fee of a rental by a tariff of arithmetic 2; `segment_tariff.py` has its rules.

All instants are microseconds of use from the start of the rental, unless they are said to be since
the epoch. Amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

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
from service.domain.hour_prices import DAY_MINUTES, USUAL, Stop, pieces_of, price_minor
from service.domain.segment_tariff import (
    Cap,
    FreeMinutes,
    HourPrice,
    Rounding,
    Segment,
    SegmentTariff,
)

HORIZON_MINUTES = 366 * DAY_MINUTES
"""An amount that a year of use does not cost counts as never reached."""
HOURS_HORIZON_MINUTES = 92 * DAY_MINUTES
"""The same for a tariff with prices of hours, because each rental searches these days anew."""
FIRST_STEP_MINUTES = 60
"""The search for an amount doubles its steps, from this one on."""
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


class Use(NamedTuple):
    """The use of an item: the start since the epoch, and the time in which the meter ran.

    `stops` are the pauses; only a tariff with prices of hours needs them. `quota_us` of the use is
    free by a quota.
    """

    start_us: int
    used_us: int
    stops: tuple[Stop, ...] = ()
    quota_us: int = 0


class _Run(NamedTuple):
    """Units of one segment and one price that follow each other.

    `place` is that of the segment in the tariff, and `price` that of the price in the segment. The
    first unit belongs to the windows around `at_us`, each later one is `step_us` later. `minutes`
    are those of the line.
    """

    item: FeeItem
    place: int
    price: int
    unit_minor: int
    units: int
    at_us: int
    step_us: int
    minutes: int


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
    start_fee_minor = tariff.start_fee_minor * _starts(tariff, use)
    lines = [line(FeeItem.START_FEE, 1, start_fee_minor)]
    if tariff.place:
        lines.insert(0, line(FeeItem.PLACE, 1, 0)._replace(place=tariff.place))
    if tariff.free is FreeMinutes.DEDUCTED or _in_grace(tariff, use):
        lines.append(line(FeeItem.FREE_MINUTES, tariff.free_minutes, 0))
    if use.quota_us:
        # A use of no length takes a minute too, because its start fee would be due.
        started = max(1, -(-min(use.quota_us, use.used_us) // MINUTE_US))
        lines.append(line(FeeItem.QUOTA_MINUTES, started, 0))
    runs = list(_runs(tariff, use))
    lines += _unit_lines(tariff, runs)
    for cap, over_minor in zip(
        tariff.caps, _excesses(tariff.caps, start_fee_minor, runs), strict=True
    ):
        reduced = line(FeeItem.CAP_REDUCTION, 1, -over_minor)
        lines.append(reduced._replace(minutes=cap.window_minutes))
    lines.append(reduction(FeeItem.BUY_OUT_REDUCTION, lines, tariff.buy_out_minor))
    return shown(lines)


def _sum_minor(tariff: SegmentTariff, use: Use, runs: Sequence[_Run]) -> int:
    """The sum of the lines for these units, without making them."""
    start_fee_minor = tariff.start_fee_minor * _starts(tariff, use)
    sum_minor = start_fee_minor - sum(_excesses(tariff.caps, start_fee_minor, runs))
    sum_minor += sum(run.units * run.unit_minor for run in runs)
    return min(sum_minor, tariff.buy_out_minor)


def _in_grace(tariff: SegmentTariff, use: Use) -> bool:
    """Whether the use is within the minutes that are free only for short rentals."""
    grace_us = tariff.free_minutes * MINUTE_US if tariff.free is FreeMinutes.GRACE else 0
    return bool(grace_us) and use.used_us - use.quota_us <= grace_us


def _starts(tariff: SegmentTariff, use: Use) -> bool:
    """Whether the start fee is due: not within a quota, a grace, or the first use."""
    if _in_grace(tariff, use) or (use.quota_us and use.used_us <= use.quota_us):
        return False
    return use.used_us - use.quota_us >= tariff.first_use_minutes * MINUTE_US


def _base_us(tariff: SegmentTariff, use: Use) -> int:
    """The use before the minute 0 of the segments."""
    deducted = tariff.free_minutes if tariff.free is FreeMinutes.DEDUCTED else 0
    return use.quota_us + deducted * MINUTE_US


def _first_minute(tariff: SegmentTariff) -> int:
    return min((it.from_minute for it in tariff.segments), default=0)


def _first_due_us(tariff: SegmentTariff, use: Use) -> int:
    """The use before which no unit is due."""
    minutes = _first_minute(tariff) + tariff.first_use_minutes
    return _base_us(tariff, use) + minutes * MINUTE_US


def _runs(tariff: SegmentTariff, use: Use) -> Iterator[_Run]:
    """The units that are due."""
    base_us, first_minute = _base_us(tariff, use), _first_minute(tariff)
    first_due_us = _first_due_us(tariff, use)
    if use.used_us < first_due_us or _in_grace(tariff, use):
        return
    for place, segment in enumerate(tariff.segments):
        begin_us = base_us + segment.from_minute * MINUTE_US
        if not segment.interval_minutes:
            if use.used_us > begin_us:
                yield from _priced(tariff, place, use, FeeItem.ONE_TIME, begin_us, 1)
            continue
        skipped = 0
        if tariff.first_use_minutes and segment.from_minute == first_minute:
            first = next(_priced(tariff, place, use, FeeItem.FIRST_UNIT, begin_us, 1))
            if tariff.rounding is Rounding.COMPLETED:
                first = first._replace(at_us=first_due_us - 1)
            yield first
            skipped = 1
        count = _units(tariff.rounding, segment, use.used_us - begin_us) - skipped
        if count > 0:
            begin_us += skipped * segment.interval_minutes * MINUTE_US
            item = FeeItem.STARTED_UNITS
            if tariff.rounding is Rounding.COMPLETED:
                item = FeeItem.COMPLETED_UNITS
            yield from _priced(tariff, place, use, item, begin_us, count)


def _due(tariff: SegmentTariff, runs: Sequence[_Run], use: Use) -> list[_Run]:
    """The units of runs that are due by now; `runs` are those of a longer use."""
    if use.used_us < _first_due_us(tariff, use) or _in_grace(tariff, use):
        return []
    found = []
    for run in runs:
        if use.used_us > run.at_us:
            units = (use.used_us - run.at_us - 1) // run.step_us + 1 if run.step_us else 1
            found.append(run if units >= run.units else run._replace(units=units))
    return found


def _units(rounding: Rounding, segment: Segment, used_us: int) -> int:
    """The units of a segment that were started, or completed, after `used_us` in it."""
    most_us = used_us
    if segment.to_minute is not None:
        most_us = min(used_us, (segment.to_minute - segment.from_minute) * MINUTE_US)
    length_us = segment.interval_minutes * MINUTE_US
    return max(
        0, most_us // length_us if rounding is Rounding.COMPLETED else -(-most_us // length_us)
    )


def _priced(
    tariff: SegmentTariff, place: int, use: Use, item: FeeItem, begin_us: int, count: int
) -> Iterator[_Run]:
    """The runs of `count` units that follow each other from `begin_us` on, one for each price."""
    segment = tariff.segments[place]
    step_us = segment.interval_minutes * MINUTE_US
    # A window ends with the unit that is completed at its end.
    window_us = begin_us + step_us - 1 if item is FeeItem.COMPLETED_UNITS else begin_us
    minutes = segment.interval_minutes
    if item is FeeItem.FIRST_UNIT:
        minutes = tariff.first_use_minutes
    elif item is FeeItem.ONE_TIME:
        minutes = segment.from_minute
    if not segment.prices:
        yield _Run(item, place, USUAL, segment.price_minor, count, window_us, step_us, minutes)
        return
    end_us = begin_us + (count - 1) * step_us + 1
    zone, start_us, done = tariff.time_zone, use.start_us, 0
    pieces = pieces_of(segment, zone, start_us, begin_us, end_us, use.stops)
    for number, piece in enumerate(pieces, 1):
        until_us = pieces[number].from_us if number < len(pieces) else end_us
        # The units that begin before the next piece.
        before = -(-(until_us - begin_us) // step_us) if step_us else 1
        if before > done:
            at_us = window_us + done * step_us
            unit_minor = price_minor(segment, piece.price)
            more = before - done
            yield _Run(item, place, piece.price, unit_minor, more, at_us, step_us, minutes)
            done = before


def _unit_lines(tariff: SegmentTariff, runs: Sequence[_Run]) -> Iterator[FeeLine]:
    """A line for each segment and price; runs of the same price are counted together."""
    kinds: dict[tuple[FeeItem, int, int], _Run] = {}
    for run in runs:
        kind = run.item, run.place, run.price
        other = kinds.get(kind)
        kinds[kind] = run if other is None else other._replace(units=other.units + run.units)
    for run in kinds.values():
        segment = tariff.segments[run.place]
        times = "" if run.price == USUAL else times_of(segment.prices[run.price])
        amount_minor = run.units * run.unit_minor
        place = run.minutes, segment.from_minute, times
        yield FeeLine(run.item, run.units, run.unit_minor, amount_minor, *place)


def _excesses(caps: tuple[Cap, ...], start_fee_minor: int, runs: Sequence[_Run]) -> list[int]:
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
            for window, sum_minor in shorter.items():
                longer = window // several
                windows[longer] = windows.get(longer, 0) + sum_minor
        over_minor = 0
        for window, sum_minor in windows.items():
            if sum_minor > cap.most_minor:
                over_minor += sum_minor - cap.most_minor
                windows[window] = cap.most_minor
        found.append(over_minor)
    return found


def _spread(run: _Run, window_us: int, windows: dict[int, int]) -> None:
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


def reaches(tariff: SegmentTariff, use: Use, amount_minor: int) -> int | None:
    """The least use that costs `amount_minor`; None if no use within the horizon does.

    `used_us` of the use does not matter.
    """
    if amount_minor > tariff.buy_out_minor:
        return None
    if not tariff.by_clock:
        return _reaches(tariff, use, amount_minor, 0, HORIZON_MINUTES)
    # It is no earlier than with the dearest prices all day, and no later than with the cheapest.
    earliest_us = _reaches_flat(flat(tariff, max), use.quota_us, amount_minor)
    latest_us = _reaches_flat(flat(tariff, min), use.quota_us, amount_minor)
    if earliest_us is None or earliest_us == 0:
        return earliest_us
    least, most = (
        HORIZON_MINUTES if it is None else max(0, it - use.quota_us) // MINUTE_US
        for it in (earliest_us, latest_us)
    )
    most = min(most, HOURS_HORIZON_MINUTES)
    if least > most:
        return None
    return _reaches(tariff, use, amount_minor, least, most)


@lru_cache(maxsize=4096)
def _reaches_flat(tariff: SegmentTariff, quota_us: int, amount_minor: int) -> int | None:
    return _reaches(tariff, Use(0, 0, (), quota_us), amount_minor, 0, HORIZON_MINUTES)


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


def _reaches(
    tariff: SegmentTariff, use: Use, amount_minor: int, least: int, most: int
) -> int | None:
    """The least use that costs an amount, if it is found between two minutes of use."""

    # All that is due becomes due at a full minute after the quota, or a microsecond after it.
    def after(minutes: int) -> Use:
        return use._replace(used_us=use.quota_us + minutes * MINUTE_US + 1)

    begin = use._replace(used_us=0)
    if not least and _sum_minor(tariff, begin, list(_runs(tariff, begin))) >= amount_minor:
        return 0
    below, step = least - 1, FIRST_STEP_MINUTES
    while True:
        minutes = min(most, below + step)
        runs = list(_runs(tariff, after(minutes)))
        if _sum_minor(tariff, after(minutes), runs) >= amount_minor:
            break
        if minutes == most:
            return None
        below, step = minutes, step * 2

    def costs(it: Use) -> bool:
        return _sum_minor(tariff, it, _due(tariff, runs, it)) >= amount_minor

    while minutes - below > 1:
        middle = (below + minutes) // 2
        below, minutes = (below, middle) if costs(after(middle)) else (middle, minutes)
    full = after(minutes)._replace(used_us=use.quota_us + minutes * MINUTE_US)
    return full.used_us if costs(full) else full.used_us + 1


def fee_of(
    tariff: SegmentTariff,
    use: Use,
    paused_us: int,
    waived_minor: int,
    reserved: tuple[FeeLine, ...] = (),
) -> Fee:
    """The fee of a use after the lines of a reservation; at most `waived_minor` is taken off, and a
    pause is told."""
    lines = lines_of(tariff, use)
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
