"""A quota of free minutes lowers a fee or leaves it as it is, and never brings a loss nearer."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.books.walked_fees import walked_minor
from service.domain import least_fee
from service.domain.due_units import Use
from service.domain.fee_lines import DAY_US, MINUTE_US, FeeItem
from service.domain.hold import lost_after_us
from service.domain.least_fee import MOST_LOOKS, fewest_minutes
from service.domain.meter import Meter
from service.domain.metered import fee_between
from service.domain.segment_fee import sum_minor
from service.domain.segment_tariff import Cap, HourPrice, Quota, QuotaPeriod, Segment, SegmentTariff
from tests.domain.segment_tariffs import DAY_CAP, DEDUCTED, SEGMENT_TARIFFS, STARTED

STARTS = st.integers(1_750_000_000, 1_790_000_000).map(lambda it: it * 1_000_000)
USES = st.one_of(st.integers(0, 3_000), st.integers(0, 10_000)).flatmap(
    lambda minutes: st.integers(0, 1).map(lambda more: minutes * MINUTE_US + more)
)
FREE = st.integers(1, 1_440)
DEARER_LATER = SegmentTariff(
    STARTED, 0, 0, DEDUCTED, 0, 1_000,
    (Segment(0, None, 60, 100, (HourPrice((1, 2, 3, 4, 5, 6, 7), 540, 600, 900),)),),
    (Cap(120, 1_000),), "Asia/Shanghai",
)  # fmt: skip
"""1.00 for each started hour, and 9.00 for one that begins between 9 and 10."""
HALF_PAST_SEVEN_US = 1_767_223_800 * 1_000_000
"""07:30 in Shanghai."""


@given(SEGMENT_TARIFFS, STARTS, USES, FREE, st.booleans())
def test_a_quota_never_raises_a_fee(
    tariff: SegmentTariff, start_us: int, used_us: int, minutes: int, fixed: bool
) -> None:
    """A fee with a quota is at most the fee without it at the same instant, whether its minutes are
    left or were used by the settlement."""
    end_us = start_us + used_us
    without = fee_between(tariff, start_us, end_us, Meter())
    meter = Meter(quota_minutes=minutes, quota_fixed=fixed)
    found = fee_between(tariff, start_us, end_us, meter)
    assert found.total_minor <= without.total_minor
    taken = sum(it.quantity for it in found.lines if it.item is FeeItem.QUOTA_MINUTES)
    assert taken <= minutes
    assert found.total_minor == walked_minor(tariff, start_us, end_us, (), taken * MINUTE_US)


@given(SEGMENT_TARIFFS, STARTS, USES, st.integers(1, 200))
def test_a_rental_takes_the_fewest_minutes_with_the_least_fee(
    tariff: SegmentTariff, start_us: int, used_us: int, minutes: int
) -> None:
    """Of up to 200 free minutes a rental takes the fewest for which the least is due."""
    end_us = start_us + used_us
    most = min(minutes, max(1, -(-used_us // MINUTE_US)))
    fees = [walked_minor(tariff, start_us, end_us, (), it * MINUTE_US) for it in range(most + 1)]
    found = fee_between(tariff, start_us, end_us, Meter(quota_minutes=minutes))
    taken = sum(it.quantity for it in found.lines if it.item is FeeItem.QUOTA_MINUTES)
    assert (found.total_minor, taken) == min((fee, it) for it, fee in enumerate(fees))


@given(SEGMENT_TARIFFS, STARTS, USES, st.integers(1, MOST_LOOKS), st.integers(1, MOST_LOOKS))
def test_more_free_minutes_never_cost_more(
    tariff: SegmentTariff, start_us: int, used_us: int, fewer: int, more: int
) -> None:
    """The fee with a larger quota is at most that with a smaller one."""
    fewer, more = sorted((fewer, more))
    small, large = (
        fee_between(tariff, start_us, start_us + used_us, Meter(quota_minutes=it)).total_minor
        for it in (fewer, more)
    )
    assert large <= small


@pytest.mark.parametrize(
    ("start", "end", "minutes", "minor", "taken"),
    [
        (0, 120, 40, 200, 0),
        (0, 120, 60, 100, 60),
        (0, 120, 110, 100, 60),
        (0, 120, 120, 0, 120),
        (140, 190, 9, 900, 0),
        (140, 190, 20, 100, 10),
        (140, 190, 50, 0, 50),
    ],
)
def test_a_rental_takes_the_minutes_that_miss_a_dear_hour(
    start: int, end: int, minutes: int, minor: int, taken: int
) -> None:
    """From 07:30 to 09:30 with 110 free minutes, 60 leave one hour from 08:30 for 1.00; all would
    leave one that begins in the dear hour, for 9.00. From 09:50 to 10:40 it takes the 10 minutes
    until the dear hour is over."""
    start_us, end_us = (HALF_PAST_SEVEN_US + it * MINUTE_US for it in (start, end))
    found = fee_between(DEARER_LATER, start_us, end_us, Meter(quota_minutes=minutes))
    assert found.total_minor == minor
    assert taken == sum(it.quantity for it in found.lines if it.item is FeeItem.QUOTA_MINUTES)


@pytest.mark.parametrize(("interval", "most_looks"), [(60, 40), (1, 30)])
def test_a_long_quota_takes_few_looks(
    interval: int, most_looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A use of ten days with a quota of a week, a dear hour and a cap of the day is billed after
    few looks at fees of numbers of minutes, also with units of one minute."""
    (segment,) = DEARER_LATER.segments
    segment = segment._replace(interval_minutes=interval)
    tariff = DEARER_LATER._replace(segments=(segment,), caps=DAY_CAP, buy_out_minor=10**6)
    used, looks = Use(HALF_PAST_SEVEN_US, 10 * DAY_US), list[int]()

    def looked(tariff: SegmentTariff, use: Use) -> int:
        looks.append(use.quota_us)
        return sum_minor(tariff, use)

    monkeypatch.setattr(least_fee, "sum_minor", looked)
    assert fewest_minutes(tariff, used, 7 * 1_440, int)
    assert len(looks) <= most_looks


@given(SEGMENT_TARIFFS, STARTS, FREE)
def test_a_quota_never_brings_a_loss_nearer(
    tariff: SegmentTariff, start_us: int, minutes: int
) -> None:
    """An item under a quota counts as lost no earlier than without it, and at the first instant at
    which the fee with the quota is the buy-out cap."""
    assume(tariff.buy_out_minor)
    tariff = tariff._replace(time_zone=tariff.time_zone or "Asia/Shanghai")
    without_us = lost_after_us(tariff._replace(quotas=()), start_us)
    quotas = (Quota("daily", minutes, QuotaPeriod.DAY),)
    lost_us = lost_after_us(tariff._replace(quotas=quotas), start_us)
    if lost_us is None:
        return
    assert without_us is not None
    assert lost_us >= without_us
    meter = Meter(quota_minutes=minutes)
    at, before = (
        fee_between(tariff, start_us, start_us + it, meter).total_minor
        for it in (lost_us, max(0, lost_us - 1))
    )
    assert at == tariff.buy_out_minor
    assert before < tariff.buy_out_minor or not lost_us


def test_minutes_that_were_used_do_not_raise_a_corrected_fee() -> None:
    """A use of 80 minutes from 07:30 has two cheap hours. Ninety free minutes that the settlement
    used leave nothing of it; forty would move the second hour into the dear one, and do not
    count."""
    end_us = HALF_PAST_SEVEN_US + 120 * MINUTE_US
    for minutes, minor in ((0, 200), (40, 200), (120, 0)):
        meter = Meter(quota_minutes=minutes, quota_fixed=True)
        fee = fee_between(DEARER_LATER, HALF_PAST_SEVEN_US, end_us, meter)
        assert fee.total_minor == minor


def test_a_loss_is_not_nearer_by_dearer_hours() -> None:
    """Free minutes would move the second hour of a rental from 08:30 into the dear hour, and with
    it the loss to 09:10; without them it is at 09:30."""
    with_quota = DEARER_LATER._replace(quotas=(Quota("q", 40, QuotaPeriod.DAY),))
    usual = lost_after_us(DEARER_LATER, HALF_PAST_SEVEN_US)
    assert usual is not None
    found = lost_after_us(with_quota, HALF_PAST_SEVEN_US)
    assert found is not None
    assert found >= usual
