"""A long use is priced by its cycles, and a tariff that has none that help is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.domain import fee_cycles, least_fee
from service.domain.due_units import Use
from service.domain.fee_lines import DAY_US, MINUTE_US
from service.domain.fee_reach import reaches
from service.domain.hold import LONGEST_US, lost_after_us
from service.domain.hour_prices import Stop
from service.domain.meter import Meter, Pause
from service.domain.metered import fee_between, quota_minutes
from service.domain.pricing_cost import (
    MOST_STEPS,
    free_minutes,
    most_looks,
    most_steps,
    slow_prices,
)
from service.domain.segment_fee import lines_of
from service.domain.segment_tariff import (
    Cap,
    HourPrice,
    Pass,
    PassGift,
    Quota,
    QuotaPeriod,
    Segment,
    SegmentTariff,
)
from service.domain.tariff import Pauses, Tariff, reaches_us
from service.domain.tariff_document import (
    Place,
    TariffDocument,
    arithmetic_of,
    read_tariff,
    tariff_of,
    write_tariff,
)
from tests.domain.segment_tariffs import (
    BEIJING,
    COMPANY,
    COMPLETED,
    DAY_CAP,
    DEDUCTED,
    NAMED,
    RUSH,
    SEGMENT_TARIFFS,
)

STARTS = st.integers(1_750_000_000, 1_790_000_000).map(lambda it: it * 1_000_000)
LONG_USES = st.integers(0, 400 * 1_440).flatmap(
    lambda minutes: st.integers(0, 1).map(lambda more: minutes * MINUTE_US + more)
)
QUOTAS = st.one_of(st.just(0), st.integers(1, 3_000).map(lambda it: it * MINUTE_US))
STOPS = st.lists(st.tuples(LONG_USES, st.integers(1, 10 * DAY_US)), max_size=3)
START_US = 1_767_223_800 * 1_000_000
WEEKLY = (Quota("weekly", 3_000, QuotaPeriod.WEEK),)
HOURLY = BEIJING._replace(
    caps=(Cap(60, 600), *DAY_CAP), buy_out_minor=300_000, quotas=WEEKLY, time_zone="Asia/Shanghai"
)
"""Units of 15 minutes, of which the first one is due early; caps of an hour and a day."""


@contextmanager
def _without_cycles() -> Iterator[None]:
    """Every window of a use is added up."""
    with patch.object(fee_cycles, "LEAST_CYCLES", 10**9):
        yield


def _stops(it: list[tuple[int, int]]) -> tuple[Stop, ...]:
    found, paused_us = list[Stop](), 0
    for used_us, length_us in sorted(it):
        paused_us += length_us
        found.append(Stop(used_us, paused_us))
    return tuple(found)


@given(SEGMENT_TARIFFS, STARTS, LONG_USES, STOPS, QUOTAS)
def test_a_long_use_costs_what_its_windows_cost(
    tariff: SegmentTariff, start_us: int, used_us: int, stops: Any, quota_us: int
) -> None:
    """The lines of a use of up to 400 days are the same with and without cycles."""
    use = Use(start_us, used_us, _stops(stops) if tariff.by_clock else (), quota_us)
    with _without_cycles():
        added = _lines(tariff, use)
    assert _lines(tariff, use) == added


def _lines(tariff: SegmentTariff, use: Use) -> Any:
    # A use without hours and without a quota is kept by its minutes.
    return lines_of(tariff, use._replace(quota_us=use.quota_us or MINUTE_US))


@given(SEGMENT_TARIFFS, STARTS, STOPS, QUOTAS, st.integers(1, 20_000))
def test_a_long_use_reaches_an_amount_as_its_windows_do(
    tariff: SegmentTariff, start_us: int, stops: Any, quota_us: int, amount_minor: int
) -> None:
    """The use that costs an amount is the same with and without cycles."""
    tariff = tariff._replace(buy_out_minor=20_000)
    use = Use(start_us, 0, _stops(stops) if tariff.by_clock else (), quota_us)
    with _without_cycles():
        # Uses without hours are kept.
        added = reaches(tariff._replace(place="other"), use, amount_minor)
    assert reaches(tariff, use, amount_minor) == added


def _lost_by_fees(tariff: SegmentTariff, start_us: int, pauses: Pauses) -> int | None:
    """The time of a loss, by a search that asks for whole fees: that of builds before this test."""
    most = sum(it.minutes for it in tariff.quotas)
    most += max((it.minutes for it in tariff.passes), default=0)
    meter = Meter(tuple(Pause(*it) for it in pauses), quota_minutes=most)
    minutes, lost_us = most, start_us
    while True:
        reached_us = reaches_us(
            tariff, start_us, tariff.buy_out_minor, pauses=pauses, quota_us=minutes * MINUTE_US
        )
        if reached_us is None or reached_us > start_us + LONGEST_US:
            return None
        lost_us = max(lost_us, reached_us)
        usage = fee_between(tariff, start_us, lost_us, meter) if most else None
        if usage is None or usage.total_minor >= tariff.buy_out_minor:
            return lost_us - start_us
        minutes = quota_minutes(usage)


@given(
    SEGMENT_TARIFFS,
    STARTS,
    st.integers(0, 200),
    st.integers(0, 200),
    st.tuples(LONG_USES, st.integers(1, DAY_US)),
)
def test_a_loss_is_where_no_number_of_free_minutes_costs_less(
    tariff: SegmentTariff, start_us: int, of_quota: int, of_pass: int, paused: tuple[int, int]
) -> None:
    """The time of a loss with quotas, passes and a pause is the one that whole fees show."""
    assume(tariff.buy_out_minor)
    tariff = tariff._replace(
        quotas=(Quota("daily", of_quota, QuotaPeriod.DAY),) if of_quota else (),
        passes=(Pass("day", 1, 1, PassGift.MINUTES_A_DAY, of_pass),) if of_pass else (),
    )
    begin_us = start_us + paused[0]
    pauses = ((begin_us, begin_us + paused[1]),)
    assert lost_after_us(tariff, start_us, pauses) == _lost_by_fees(tariff, start_us, pauses)


def _calls(act: Callable[[], object]) -> int:
    """The number of calls of Python functions."""
    found = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal found
        found += event == "call"

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return found


DAY_AND_NIGHT = (HourPrice((1, 2, 3, 4, 5, 6, 7), 22 * 60, 30 * 60, 50),)
LONG_TARIFFS = {
    "a day's cap and a day's quota": COMPANY._replace(
        buy_out_minor=270_000, quotas=(Quota("q", 30, QuotaPeriod.DAY),), time_zone="Asia/Shanghai"
    ),
    "a first unit and caps of an hour": HOURLY._replace(quotas=(Quota("q", 60, QuotaPeriod.DAY),)),
    "hours": RUSH._replace(buy_out_minor=360_000),
    "hours and a day's pass": RUSH._replace(
        segments=(Segment(0, None, 60, 200, DAY_AND_NIGHT),),
        buy_out_minor=250_000,
        passes=(Pass("p", 1, 1, PassGift.MINUTES_A_DAY, 1_440),),
    ),
    "a cheaper second month": COMPANY._replace(
        segments=(Segment(0, 43_200, 30, 150), Segment(43_200, None, 60, 100)),
        buy_out_minor=250_000,
    ),
}


@pytest.mark.parametrize("name", LONG_TARIFFS)
def test_the_time_of_a_far_loss_is_found_fast(name: str) -> None:
    """A loss 70 to 100 days away is found by few calls of functions, and so is the fee of that
    time."""
    tariff = LONG_TARIFFS[name]
    assert not list(_slow(tariff))
    lost_after_us(tariff, START_US)
    lost_after_us.cache_clear()
    least_fee.cheapest.cache_clear()
    found = lost_after_us(tariff, START_US + 60_000_000 * (not tariff.by_clock))
    assert found is not None
    assert 70 * DAY_US < found < 100 * DAY_US
    lost_after_us.cache_clear()
    assert _calls(lambda: lost_after_us(tariff, START_US)) < 12_000
    minutes = sum(it.minutes for it in tariff.quotas) + sum(it.minutes for it in tariff.passes)
    meter = Meter(quota_minutes=minutes)
    end_us = START_US + found
    assert _calls(lambda: fee_between(tariff, START_US, end_us, meter)) < 12_000


def _slow(tariff: SegmentTariff) -> Iterator[Any]:
    return slow_prices(TariffDocument("any", "CNY", tariff))


@pytest.mark.parametrize(
    ("tariff", "rule"),
    [
        (HOURLY, "segment.too_many_free"),
        (
            COMPANY._replace(
                segments=(Segment(0, 1_440, 1, 5), Segment(1_440, None, 1, 3)), quotas=WEEKLY
            ),
            "segment.too_many_free",
        ),
        (
            SegmentTariff(
                COMPLETED, 0, 0, DEDUCTED, 0, 10**8,
                tuple(Segment(0, None, it, 7) for it in (7, 11, 13, 61)),
                (Cap(15, 90), Cap(45, 99)),
            ),
            "segment.too_slow",
        ),
        (
            RUSH._replace(
                segments=(Segment(0, None, 7, 20, DAY_AND_NIGHT),), caps=(Cap(11, 50), Cap(253, 90))
            ),
            "segment.too_slow",
        ),
    ],
)  # fmt: skip
def test_a_tariff_that_is_slow_to_price_is_refused(tariff: SegmentTariff, rule: str) -> None:
    """A tariff whose windows, units and hours do not repeat for months, or that compares many
    numbers of free minutes, has a fault that names its remedies."""
    (fault,) = _slow(tariff)
    assert (fault.field, fault.rule) == ("segment", rule)
    assert "fewer minutes in quotas" in fault.description or "fewer segments" in fault.description


def test_usual_tariffs_are_not_slow() -> None:
    """Tariffs of one segment with caps of days, prices of hours, and free minutes of a day or a
    ride have no such fault; nor has a tariff of arithmetic 1."""
    assert not list(slow_prices(TariffDocument("any", "CNY", Tariff(0, 0, 30, 150, 3_000, 9_900))))  # type: ignore[arg-type]
    for tariff in (*NAMED, *LONG_TARIFFS.values()):
        assert not list(_slow(tariff))
        assert most_looks(tariff, free_minutes(tariff)) <= least_fee.MOST_LOOKS
        assert most_steps(tariff) < MOST_STEPS


def test_a_slow_tariff_of_before_is_still_read() -> None:
    """A slow tariff that an earlier build stored is read, and prices as before."""
    assert tariff_of(arithmetic_of(HOURLY)) == HOURLY
    document = TariffDocument("hourly", "CNY", HOURLY)
    assert read_tariff(write_tariff(document)) == document


def test_a_slow_place_is_named_once() -> None:
    """A place with slow prices of its own is named; one that has the usual slow prices is not."""
    slow = HOURLY._replace(place="airport")
    document = TariffDocument("any", "CNY", BEIJING, (Place(("t1",), slow),))
    assert [it.field for it in slow_prices(document)] == ["place[0].segment"]
    (fault,) = slow_prices(document._replace(tariff=HOURLY))
    assert fault.field == "segment"
