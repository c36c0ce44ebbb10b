"""The fee of a rental, and the time at which a fee is reached."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.domain.errors import InvalidInput, InvariantBroken
from service.domain.tariff import DAY_US, MINUTE_US, Fee, FeeItem, FeeLine, Tariff, fee, reaches_us

BIKE = Tariff(150, 0, 15, 100, 3_000, 19_900)
UMBRELLA = Tariff(0, 15, 60, 100, 1_000, 5_900)
POWER_BANK = Tariff(0, 5, 30, 150, 3_000, 9_900)
ALL = Tariff(100, 10, 30, 200, 1_000, 5_000)
CHEAP = Tariff(10, 0, 60, 1, 1_000, 5_000)
"""A day of it, used minute for minute, costs far less than its day cap."""
FREE = Tariff(0, 0, 1, 0, 0, 0)

START = 1_767_225_600_000_000
HOUR_US = 60 * MINUTE_US


def _tariffs(most_minor: int) -> st.SearchStrategy[Tariff]:
    prices = st.integers(0, most_minor)
    minutes = st.one_of(st.integers(1, 90), st.sampled_from((240, 720, 1_440, 2_000)))
    free = st.one_of(st.just(0), minutes)
    caps, buy_outs = st.integers(0, 20 * most_minor), st.integers(0, 80 * most_minor)
    return st.builds(Tariff, prices, free, minutes, prices, caps, buy_outs)


TARIFFS = st.one_of(
    st.sampled_from((BIKE, UMBRELLA, POWER_BANK, ALL, CHEAP, FREE)), _tariffs(5), _tariffs(500)
)
# Ends at which fees change: whole minutes and days, and one microsecond beside them.
DURATIONS = st.one_of(
    st.builds(
        lambda days, minutes, beside: max(0, days * DAY_US + minutes * MINUTE_US + beside),
        st.integers(0, 3),
        st.one_of(st.just(0), st.integers(0, 24 * 60)),
        st.integers(-1, 1),
    ),
    st.integers(0, 4 * DAY_US),
)


def _total(tariff: Tariff, duration_us: int) -> int:
    return fee(tariff, START, START + duration_us).total_minor


def _walked(tariff: Tariff, duration_us: int) -> int:
    """The fee, found interval by interval."""
    total, day_from = 0, 0
    while day_from + DAY_US <= duration_us:
        total += tariff.day_cap_minor
        day_from += DAY_US
    today, at = 0, day_from
    if not day_from:
        today, at = tariff.start_fee_minor, tariff.free_minutes * MINUTE_US
    while at < duration_us:
        today += tariff.interval_price_minor
        at += tariff.interval_minutes * MINUTE_US
    return min(tariff.buy_out_minor, total + min(tariff.day_cap_minor, today))


@pytest.mark.parametrize(
    ("duration_us", "total_minor"),
    [
        (0, 100),
        (10 * MINUTE_US, 100),
        (10 * MINUTE_US + 1, 300),
        (40 * MINUTE_US, 300),
        (40 * MINUTE_US + 1, 500),
        (130 * MINUTE_US, 900),
        (130 * MINUTE_US + 1, 1_000),
        (DAY_US - 1, 1_000),
        (DAY_US, 1_000),
        (DAY_US + 1, 1_200),
        (DAY_US + 30 * MINUTE_US, 1_200),
        (DAY_US + 30 * MINUTE_US + 1, 1_400),
        (2 * DAY_US + 1, 2_200),
        (5 * DAY_US, 5_000),
        (5 * DAY_US + 1, 5_000),
        (400 * DAY_US, 5_000),
    ],
)
def test_the_parts_of_a_tariff_make_the_fee(duration_us: int, total_minor: int) -> None:
    """Start fee, free minutes, started intervals, day cap and buy-out cap make the fee."""
    assert _total(ALL, duration_us) == total_minor


@pytest.mark.parametrize(
    ("duration_us", "intervals"),
    [(0, 0), (1, 1), (15 * MINUTE_US, 1), (15 * MINUTE_US + 1, 2), (30 * MINUTE_US, 2)],
)
def test_the_first_microsecond_starts_an_interval(duration_us: int, intervals: int) -> None:
    """Exactly fifteen minutes are one interval, one microsecond more makes two, and a duration of
    zero has none."""
    assert _total(BIKE, duration_us) == 150 + intervals * 100


@pytest.mark.parametrize(
    ("tariff", "duration_us", "lines"),
    [
        (FREE, 3 * DAY_US + 1, ()),
        (UMBRELLA, 15 * MINUTE_US, ((FeeItem.FREE_MINUTES, 15, 0, 0),)),
        (
            ALL,
            HOUR_US,
            (
                (FeeItem.START_FEE, 1, 100, 100),
                (FeeItem.FREE_MINUTES, 10, 0, 0),
                (FeeItem.INTERVALS, 2, 200, 400),
            ),
        ),
        (
            BIKE,
            10 * HOUR_US,
            (
                (FeeItem.START_FEE, 1, 150, 150),
                (FeeItem.INTERVALS, 40, 100, 4_000),
                (FeeItem.DAY_CAP_REDUCTION, 1, -1_150, -1_150),
            ),
        ),
        (BIKE, DAY_US, ((FeeItem.FULL_DAYS, 1, 3_000, 3_000),)),
        (
            BIKE,
            6 * DAY_US + 10 * HOUR_US,
            (
                (FeeItem.FULL_DAYS, 6, 3_000, 18_000),
                (FeeItem.INTERVALS, 40, 100, 4_000),
                (FeeItem.DAY_CAP_REDUCTION, 1, -1_000, -1_000),
                (FeeItem.BUY_OUT_REDUCTION, 1, -1_100, -1_100),
            ),
        ),
    ],
)
def test_a_fee_is_itemised(
    tariff: Tariff, duration_us: int, lines: tuple[tuple[FeeItem, int, int, int], ...]
) -> None:
    """The lines are days, start fee, free minutes, intervals, then the reductions by the caps."""
    expected = tuple(FeeLine(*line) for line in lines)
    total_minor = sum(line.amount_minor for line in expected)
    assert fee(tariff, START, START + duration_us) == Fee(expected, total_minor)


@given(TARIFFS, DURATIONS)
def test_the_fee_is_the_sum_of_its_intervals(tariff: Tariff, duration_us: int) -> None:
    """The fee equals the sum over the rental's intervals."""
    assert _total(tariff, duration_us) == _walked(tariff, duration_us)


@given(TARIFFS, DURATIONS)
def test_the_lines_add_up_to_the_total(tariff: Tariff, duration_us: int) -> None:
    """Each line is quantity times unit, all lines add up to the total, and no line is zero."""
    lines, total_minor = fee(tariff, START, START + duration_us)
    assert all(line.amount_minor == line.quantity * line.unit_minor for line in lines)
    assert sum(line.amount_minor for line in lines) == total_minor
    assert all(line.amount_minor or line.item is FeeItem.FREE_MINUTES for line in lines)
    items = [line.item for line in lines]
    assert items == [item for item in FeeItem if item in items]


@given(TARIFFS, DURATIONS)
def test_the_fee_is_bounded(tariff: Tariff, duration_us: int) -> None:
    """A fee is never negative, and at most the buy-out cap and the day caps of the days begun."""
    total_minor = _total(tariff, duration_us)
    begun = duration_us // DAY_US + 1
    assert 0 <= total_minor <= min(tariff.buy_out_minor, begun * tariff.day_cap_minor)


@given(TARIFFS, DURATIONS, DURATIONS)
@example(CHEAP, DAY_US - 1, DAY_US)
@example(ALL, DAY_US - 1, DAY_US + 1)
def test_a_longer_rental_never_costs_less(tariff: Tariff, one_us: int, other_us: int) -> None:
    """A later end never lowers the fee, by a microsecond or by days."""
    shorter_us, longer_us = sorted((one_us, other_us))
    assert _total(tariff, shorter_us) <= _total(tariff, longer_us)
    assert _total(tariff, shorter_us) <= _total(tariff, shorter_us + 1)


@given(TARIFFS, DURATIONS, st.integers(-(2**62), 2**62))
def test_only_the_duration_counts(tariff: Tariff, duration_us: int, start_us: int) -> None:
    """The day begins with the rental: the same duration costs the same at any time of day."""
    assert fee(tariff, start_us, start_us + duration_us) == fee(tariff, 0, duration_us)


def test_a_full_day_costs_the_day_cap() -> None:
    """A full 24 hours cost the day cap, even where their intervals cost less."""
    assert [_total(CHEAP, us) for us in (DAY_US - 1, DAY_US)] == [34, 1_000]


def test_free_minutes_end_with_the_first_day() -> None:
    """Free minutes beyond the first day have no effect."""
    tariff = ALL._replace(free_minutes=2_000)
    assert [_total(tariff, us) for us in (DAY_US - 1, DAY_US, DAY_US + 1)] == [100, 1_000, 1_200]


def test_an_end_before_the_start_is_refused() -> None:
    """A rental that ends before it starts, even by a microsecond, is invalid input."""
    with pytest.raises(InvalidInput) as refused:
        fee(ALL, START, START - 1)
    (violation,) = refused.value.violations
    assert (violation.field, violation.rule) == ("end_time", "end_time.before_start")


@pytest.mark.parametrize(
    "tariff",
    [
        ALL._replace(start_fee_minor=-1),
        ALL._replace(free_minutes=-1),
        ALL._replace(interval_minutes=0),
        ALL._replace(interval_price_minor=-1),
        ALL._replace(day_cap_minor=-1),
        ALL._replace(buy_out_minor=-1),
    ],
)
def test_an_unsound_tariff_gives_no_fee(tariff: Tariff) -> None:
    """A negative number or an interval of no length in a tariff is a defect and gives no fee."""
    with pytest.raises(InvariantBroken):
        fee(tariff, START, START)
    with pytest.raises(InvariantBroken):
        reaches_us(tariff, START, 1)


@pytest.mark.parametrize(
    ("tariff", "amount_minor", "after_us"),
    [
        (ALL, -1, 0),
        (ALL, 0, 0),
        (ALL, 100, 0),
        (ALL, 101, 10 * MINUTE_US + 1),
        (ALL, 300, 10 * MINUTE_US + 1),
        (ALL, 301, 40 * MINUTE_US + 1),
        (ALL, 1_000, 130 * MINUTE_US + 1),
        (ALL, 1_001, DAY_US + 1),
        (ALL, 5_001, None),
        (CHEAP, 34, 23 * HOUR_US + 1),
        (CHEAP, 35, DAY_US),
        (CHEAP, 1_000, DAY_US),
        (CHEAP, 1_001, DAY_US + 1),
        (CHEAP, 1_025, 2 * DAY_US),
        (ALL._replace(free_minutes=2_000), 101, DAY_US),
        (ALL._replace(interval_price_minor=0), 101, DAY_US),
        (ALL._replace(start_fee_minor=2_000), 1_000, 0),
        (ALL._replace(start_fee_minor=2_000), 1_001, DAY_US + 1),
        (ALL._replace(day_cap_minor=0), 1, None),
        (FREE, 0, 0),
        (FREE, 1, None),
    ],
)
def test_the_time_at_which_a_fee_is_reached(
    tariff: Tariff, amount_minor: int, after_us: int | None
) -> None:
    """A fee is reached at the start of an interval, at the end of a full day, at the start of the
    rental, or never."""
    expected = None if after_us is None else START + after_us
    assert reaches_us(tariff, START, amount_minor) == expected


@pytest.mark.parametrize(
    ("tariff", "after_us"),
    [
        (BIKE, 6 * DAY_US + 18 * 15 * MINUTE_US + 1),
        (UMBRELLA, 5 * DAY_US + 8 * HOUR_US + 1),
        (POWER_BANK, 3 * DAY_US + 5 * 30 * MINUTE_US + 1),
    ],
)
def test_when_an_item_counts_as_lost(tariff: Tariff, after_us: int) -> None:
    """An item of the default products counts as lost when the interval starts that reaches the
    buy-out cap."""
    assert reaches_us(tariff, START, tariff.buy_out_minor) == START + after_us


@given(TARIFFS, st.integers(-2, 12_000), st.booleans())
def test_a_fee_is_reached_at_the_first_instant(
    tariff: Tariff, amount_minor: int, buy_out: bool
) -> None:
    """At the returned instant the fee is at least the amount; a microsecond earlier it is less."""
    amount_minor = tariff.buy_out_minor if buy_out else amount_minor
    reached_us = reaches_us(tariff, START, amount_minor)
    if reached_us is None:
        assert _total(tariff, 10**6 * DAY_US) < amount_minor
        return
    assert reached_us >= START
    assert fee(tariff, START, reached_us).total_minor >= amount_minor
    if reached_us > START:
        assert fee(tariff, START, reached_us - 1).total_minor < amount_minor


@given(TARIFFS, DURATIONS)
def test_a_fee_is_reached_no_later_than_it_is_due(tariff: Tariff, duration_us: int) -> None:
    """The fee at a rental's end is reached no later than that end."""
    reached_us = reaches_us(tariff, START, _total(tariff, duration_us))
    assert reached_us is not None
    assert START <= reached_us <= START + duration_us


def test_a_far_amount_is_computed_at_once() -> None:
    """An amount that takes longer than any calendar is computed without stepping through time."""
    tariff = Tariff(0, 0, 1, 1, 1, 10**15)
    assert reaches_us(tariff, START, 10**15) == START + (10**15 - 1) * DAY_US + 1
