"""Quotes see a line roughly, and compute fees by the arithmetic of the settlement."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvalidInput
from service.domain.meter import Pause
from service.domain.quotes import cost_of, quote_usage, rough_minor
from service.domain.tariff import DAY_US, MINUTE_US, fee
from tests.domain.lives import BIKE

AMOUNTS = st.integers(0, 10**12)


@given(AMOUNTS, AMOUNTS)
def test_a_rough_amount_is_below_and_keeps_the_order(one_minor: int, other_minor: int) -> None:
    """A rough amount is at most the amount and more than three quarters of it. A larger amount is
    never seen as less."""
    rough = rough_minor(one_minor)
    assert rough <= one_minor
    assert rough * 4 >= one_minor * 3 or one_minor < 10
    low, high = sorted((one_minor, other_minor))
    assert rough_minor(low) <= rough_minor(high)
    assert rough_minor(rough) == rough


def test_a_power_of_ten_has_ten_rough_amounts() -> None:
    """From 100.00 to 999.99 a quote tells ten amounts apart: 100, 120, 150, 200, 250, 300, 400,
    500, 600 and 800."""
    seen = sorted({rough_minor(it) for it in range(10_000, 100_000)})
    hundreds = (100, 120, 150, 200, 250, 300, 400, 500, 600, 800)
    assert seen == [100 * it for it in hundreds]
    assert [rough_minor(it) for it in (0, 9, 10, 11, 12)] == [0, 0, 10, 10, 12]


def test_the_least_and_the_most_cost() -> None:
    """A bike costs at least its starting fee, and at most the buy-out cap. With a free cancellation
    it costs at least nothing. A known fee lowers the least and the most for the usage, and not the
    price of a lost item."""
    tariff = BIKE.tariff
    most_minor = tariff.buy_out_minor
    assert cost_of(BIKE) == (tariff.start_fee_minor, most_minor, most_minor)
    lenient = replace(BIKE, policy=replace(BIKE.policy, free_cancellation_us=MINUTE_US))
    assert cost_of(lenient) == (0, most_minor, most_minor)
    assert cost_of(BIKE, 700) == (tariff.start_fee_minor, 700, most_minor)
    assert cost_of(BIKE, 100) == (100, 100, most_minor)
    assert cost_of(BIKE, 0) == (0, 0, most_minor)


@given(st.integers(0, 366 * DAY_US), st.integers(0, 60), st.integers(0, 60))
def test_a_quoted_fee_is_the_fee(length_us: int, from_minute: int, minutes: int) -> None:
    """A quoted fee is the fee of the settlement, with the same pauses."""
    pause = Pause(from_minute * MINUTE_US, (from_minute + minutes) * MINUTE_US)
    pauses = (pause,) if pause.until_us <= length_us else ()
    paused_us = sum(it.length_us for it in pauses)
    quoted = quote_usage(BIKE, 0, length_us, pauses)
    assert quoted.fee == fee(BIKE.tariff, 0, length_us, paused_us=paused_us)


@pytest.mark.parametrize(
    ("end_us", "pauses", "field", "rule"),
    [
        (-1, (), "end_time", "end_time.before_start"),
        (366 * DAY_US + 1, (), "end_time", "end_time.too_late"),
        (DAY_US, [(-1, 5)], "pauses[0]", "pauses.within"),
        (DAY_US, [(5, 4)], "pauses[0]", "pauses.within"),
        (DAY_US, [(5, DAY_US + 1)], "pauses[0]", "pauses.within"),
        (DAY_US, [(5, 7), (6, 8)], "pauses[1].start_time", "pauses.in_order"),
        (3 * DAY_US, [(0, DAY_US + 1)], "pauses", "pauses.longest"),
        (DAY_US, [(2 * it, 2 * it + 1) for it in range(11)], "pauses", "pauses.most"),
    ],
)
def test_a_wrong_usage_is_refused(
    end_us: int, pauses: list[tuple[int, int]], field: str, rule: str
) -> None:
    """A usage is refused if it ends before its start or is longer than 366 days. Its pauses must
    lie within it, in order, and within the policy's bounds."""
    with pytest.raises(InvalidInput) as caught:
        quote_usage(BIKE, 0, end_us, tuple(Pause(*it) for it in pauses))
    assert [it[:2] for it in caught.value.violations] == [(field, rule)]


def test_the_bounds_themselves_are_allowed() -> None:
    """366 days, ten pauses and 24 hours of pauses are allowed."""
    length_us = BIKE.policy.pause_limit_us // 10
    pauses = tuple(Pause(it * length_us, (it + 1) * length_us) for it in range(10))
    quote_usage(BIKE, 0, 366 * DAY_US, pauses)
