"""Fees by tariffs of arithmetic 2."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from service.domain.errors import InvalidInput, InvariantBroken
from service.domain.segment_tariff import Cap, HourPrice, Rounding, Segment, SegmentTariff
from service.domain.tariff import (
    DAY_US,
    MINUTE_US,
    FeeItem,
    Tariff,
    day_most_minor,
    fee,
    reaches_us,
)
from service.domain.tariff_document import TariffDocument, write_tariff
from tests.domain.segment_tariffs import (
    BEIJING,
    COMPANY,
    RUSH,
    SEGMENT_TARIFFS,
    SHENZHEN,
    SHENZHEN_GRACE,
)
from tests.engine.plain_tariffs import plain_fee

START = 1_767_225_600_000_000
"""Thursday, 1 January 2026, 0:00 UTC."""
HOUR_US = 60 * MINUTE_US
BERLIN = ZoneInfo("Europe/Berlin")


def _us(*clock: int) -> int:
    """An instant of the clock in Berlin, in microseconds since the epoch."""
    return int(datetime(*clock, tzinfo=BERLIN).timestamp()) * 1_000_000  # type: ignore[arg-type, misc]


def _total(tariff: SegmentTariff, used_us: int, start_us: int = START) -> int:
    return fee(tariff, start_us, start_us + used_us).total_minor


def _after(hours: int, minutes: int, seconds: int = 0) -> int:
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000


@pytest.mark.parametrize(
    ("tariff", "used_us", "total_minor"),
    [
        (BEIJING, _after(0, 5) - 1, 0),
        (BEIJING, _after(0, 5), 100),
        (BEIJING, _after(0, 15), 100),
        (BEIJING, _after(0, 30) - 1, 100),
        (BEIJING, _after(0, 30), 200),
        (BEIJING, _after(2, 0), 800),
        (BEIJING, _after(24, 15) - 1, 3_000),
        (BEIJING, _after(24, 15), 3_100),
        (SHENZHEN, _after(0, 5), 0),
        (SHENZHEN, _after(0, 5) + 1, 200),
        (SHENZHEN, _after(0, 35), 200),
        (SHENZHEN, _after(0, 35) + 1, 400),
        (SHENZHEN_GRACE, _after(0, 5), 0),
        (SHENZHEN_GRACE, _after(0, 5) + 1, 200),
        (SHENZHEN_GRACE, _after(0, 30), 200),
        (SHENZHEN_GRACE, _after(0, 30) + 1, 400),
        (COMPANY, _after(2, 0), 600),
        (COMPANY, _after(26, 30), 3_750),
    ],
)
def test_the_rules_of_a_tariff_make_the_fee(
    tariff: SegmentTariff, used_us: int, total_minor: int
) -> None:
    """Rounding, first use, free minutes and caps make the fee at each boundary."""
    assert _total(tariff, used_us) == total_minor


def test_an_item_of_the_beijing_tariff_counts_as_lost_at_74_hours_and_a_quarter() -> None:
    """Three days at the cap and nine quarters of an hour reach the buy-out cap."""
    assert reaches_us(BEIJING, START, BEIJING.buy_out_minor) == START + _after(74, 15)


SEGMENTS = BEIJING._replace(
    rounding=Rounding.STARTED,
    first_use_minutes=0,
    start_fee_minor=30,
    caps=(),
    segments=(
        Segment(0, 60, 30, 100),
        Segment(60, None, 15, 70),
        Segment(90, 120, 0, 500),
        Segment(90, 121, 10, 1),
    ),
)


@pytest.mark.parametrize(
    ("minutes", "more_us", "total_minor"),
    [
        (0, 0, 30),
        (0, 1, 130),
        (60, 0, 230),
        (60, 1, 300),
        (90, 0, 370),
        (90, 1, 941),
        (120, 0, 1_013),
        (120, 1, 1_084),
        (150, 0, 1_154),
    ],
)
def test_segments_follow_each_other_and_add_up(
    minutes: int, more_us: int, total_minor: int
) -> None:
    """Units begin from the beginning of a segment until before its end, overlapping segments add
    up, and an interval of 0 is charged once."""
    assert _total(SEGMENTS, minutes * MINUTE_US + more_us) == total_minor


def test_a_unit_that_its_segment_cuts_is_never_completed() -> None:
    """A COMPLETED unit that would end after its segment is not charged."""
    tariff = SEGMENTS._replace(rounding=Rounding.COMPLETED, start_fee_minor=0)
    cut = tariff._replace(segments=(Segment(0, 40, 30, 100),))
    assert [_total(cut, it * MINUTE_US) for it in (29, 30, 60, 600)] == [0, 100, 100, 100]


@pytest.mark.parametrize(
    ("used_us", "total_minor"),
    [
        (_after(12, 0), 1_000),
        (_after(12, 0) + 1, 1_100),
        (_after(24, 0), 1_500),
        (_after(24, 0) + 1, 1_600),
    ],
)
def test_a_longer_window_counts_what_the_shorter_ones_left(used_us: int, total_minor: int) -> None:
    """Two windows of 12 hours cost at most 1,000 each, and the day that they make 1,500."""
    caps = (Cap(720, 1_000), Cap(1_440, 1_500))
    tariff = COMPANY._replace(free_minutes=0, segments=(Segment(0, None, 30, 100),), caps=caps)
    assert _total(tariff, used_us) == total_minor


def test_the_end_of_a_window_belongs_to_it() -> None:
    """A COMPLETED unit belongs to the window in which it ends, and a STARTED one to that in which
    it begins."""
    caps = (Cap(60, 100),)
    completed = BEIJING._replace(
        first_use_minutes=0, segments=(Segment(0, None, 40, 100),), caps=caps
    )
    ends = [_total(completed, it * MINUTE_US) for it in (40, 80, 120, 160)]
    assert ends == [100, 200, 200, 300]
    started = completed._replace(rounding=Rounding.STARTED)
    begins = [_total(started, it * MINUTE_US + 1) for it in (0, 40, 80, 120)]
    assert begins == [100, 100, 200, 300]


def test_the_start_fee_belongs_to_the_first_window() -> None:
    """The start fee and the units of the first window together cost at most its cap."""
    tariff = COMPANY._replace(start_fee_minor=2_950, free_minutes=0)
    assert [_total(tariff, us) for us in (0, 1, HOUR_US)] == [2_950, 3_000, 3_000]


def test_a_short_first_use_costs_nothing() -> None:
    """Before the first use is over, not even the start fee is charged; then the first unit is."""
    tariff = BEIJING._replace(start_fee_minor=50, rounding=Rounding.STARTED)
    times = [_after(0, 5) - 1, _after(0, 5), _after(0, 15), _after(0, 15) + 1]
    assert [_total(tariff, us) for us in times] == [0, 150, 150, 250]


def test_the_first_unit_belongs_to_the_window_in_which_it_is_due() -> None:
    """A first unit of 40 minutes that is due from 5 minutes on belongs to the first half hour."""
    tariff = BEIJING._replace(
        start_fee_minor=50, segments=(Segment(0, None, 40, 100),), caps=(Cap(30, 120),)
    )
    assert [_total(tariff, it * MINUTE_US) for it in (4, 5, 40, 80)] == [0, 120, 120, 220]


def test_a_quota_is_free_before_all_else() -> None:
    """Minutes of a quota cost nothing, delay the segments, and the start fee too."""
    tariff = COMPANY._replace(start_fee_minor=40)
    quota_us = 10 * MINUTE_US
    totals = [
        fee(tariff, START, START + us, quota_us=quota_us).total_minor
        for us in (quota_us, quota_us + 1, _after(0, 15), _after(0, 15) + 1, _after(0, 45) + 1)
    ]
    assert totals == [0, 40, 40, 190, 340]
    (line, *_) = fee(tariff, START, START + 6 * MINUTE_US, quota_us=quota_us).lines[-1:]
    assert (line.item, line.quantity) == (FeeItem.QUOTA_MINUTES, 6)


# -- prices by the time of day --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "hours", "total_minor"),
    [
        ((2026, 1, 5, 6), 4, 100 + 2 * 200 + 4 * 300 + 2 * 200),
        ((2026, 1, 3, 6), 4, 100 + 8 * 200),
        ((2026, 1, 3, 21), 2, 100 + 2 * 200 + 2 * 50),
        ((2026, 1, 5, 5), 2, 100 + 2 * 50 + 2 * 200),
    ],
)
def test_a_unit_has_the_price_of_the_moment_in_which_it_begins(
    start: tuple[int, ...], hours: int, total_minor: int
) -> None:
    """Mornings of weekdays are dear, and the night after a Sunday is cheap until Monday at 6."""
    assert _total(RUSH._replace(caps=()), hours * HOUR_US, _us(*start)) == total_minor


def test_a_unit_that_began_before_a_change_keeps_its_price() -> None:
    """A unit that begins a microsecond before 7:00 has the price of before 7:00."""
    start_us = _us(2026, 1, 5, 7) - 1
    assert _total(RUSH, 30 * MINUTE_US, start_us) == 300
    assert _total(RUSH, 30 * MINUTE_US, start_us + 1) == 400


def test_a_change_of_clocks_moves_no_unit() -> None:
    """In the night of 29 March 2026 Berlin has no hour from 2 to 3, and on 25 October two: the
    price follows the clock, and the units follow each other."""
    prices = (HourPrice(tuple(range(1, 8)), 2 * 60, 3 * 60, 10),)
    tariff = RUSH._replace(
        start_fee_minor=0, caps=(), segments=(Segment(0, None, 30, 100, prices),)
    )
    assert _total(tariff, 4 * HOUR_US, _us(2026, 3, 28, 0)) == 6 * 100 + 2 * 10
    assert _total(tariff, 4 * HOUR_US, _us(2026, 3, 29, 0)) == 8 * 100
    assert _total(tariff, 4 * HOUR_US, _us(2026, 10, 25, 0)) == 4 * 100 + 4 * 10


def test_a_pause_never_makes_a_unit_dearer() -> None:
    """A unit after a pause has the price by the clock, or the lower one of without the pause."""
    tariff = RUSH._replace(caps=(), start_fee_minor=0)
    start_us, end_us = _us(2026, 1, 5, 6), _us(2026, 1, 5, 9)
    into_rush = (_us(2026, 1, 5, 6, 30), _us(2026, 1, 5, 7, 30))
    assert _paused(tariff, start_us, end_us, into_rush) == 200 + 200 + 300 + 300
    start_us, end_us = _us(2026, 1, 5, 7), _us(2026, 1, 5, 11)
    past_rush = (_us(2026, 1, 5, 7, 30), _us(2026, 1, 5, 9, 30))
    assert _paused(tariff, start_us, end_us, past_rush) == 300 + 200 + 200 + 200


def _paused(tariff: SegmentTariff, start_us: int, end_us: int, pause: tuple[int, int]) -> int:
    paused_us = pause[1] - pause[0]
    return fee(tariff, start_us, end_us, paused_us=paused_us, pauses=(pause,)).total_minor


def test_prices_of_hours_need_the_pauses() -> None:
    """The length of pauses alone does not price the units after them."""
    with pytest.raises(InvariantBroken):
        fee(RUSH, START, START + HOUR_US, paused_us=MINUTE_US)


def test_arithmetic_1_has_no_quota() -> None:
    """A quota of free minutes does not fit a tariff of arithmetic 1."""
    with pytest.raises(InvariantBroken):
        fee(Tariff(0, 0, 15, 100, 3_000, 9_900), START, START + HOUR_US, quota_us=1)


def test_an_end_before_the_start_is_refused() -> None:
    """A rental that ends a microsecond before it starts is invalid input."""
    with pytest.raises(InvalidInput):
        fee(BEIJING, START, START - 1)


def test_the_most_of_a_day_is_the_fee_of_24_hours() -> None:
    """One day costs at most the fee of the first 24 hours, by the clock too."""
    assert day_most_minor(BEIJING, START) == 3_000
    cheap = COMPANY._replace(segments=(Segment(0, None, 60, 10),))
    assert day_most_minor(cheap, START) == 240
    assert day_most_minor(Tariff(0, 0, 60, 10, 3_000, 9_900), START) == 3_000


# -- properties -----------------------------------------------------------------------------------

STARTS = st.one_of(
    st.integers(START, START + 400 * DAY_US),
    st.builds(
        lambda us, beside: us + beside,
        st.sampled_from(
            (_us(2026, 3, 28, 20), _us(2026, 10, 24, 22), _us(2026, 1, 4, 23), _us(2026, 1, 5, 7))
        ),
        st.integers(-2, 2),
    ),
)
# Uses at which fees change: whole minutes, and a microsecond beside them.
USES = st.one_of(
    st.builds(
        lambda minutes, beside: max(0, minutes * MINUTE_US + beside),
        st.one_of(st.integers(0, 200), st.integers(0, 3 * 24 * 60)),
        st.integers(-1, 1),
    ),
    st.integers(0, 4 * DAY_US),
)
QUOTAS = st.one_of(st.just(0), st.integers(0, 90 * MINUTE_US))


@st.composite
def _pauses(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    """Pauses that begin some time after the start or after each other."""
    found, at_us = [], 0
    for _ in range(draw(st.integers(0, 3))):
        begin_us = at_us + draw(USES)
        at_us = begin_us + draw(USES)
        found.append((begin_us, at_us))
    return tuple(found)


def _with_pauses(
    tariff: SegmentTariff,
    start_us: int,
    end_us: int,
    pauses: tuple[tuple[int, int], ...],
    quota_us: int = 0,
) -> int:
    told = tuple((start_us + begin, start_us + end) for begin, end in pauses)
    paused_us = sum(max(0, min(end, end_us) - begin) for begin, end in told)
    moved = told if tariff.by_clock else ()
    made = fee(tariff, start_us, end_us, paused_us=paused_us, pauses=moved, quota_us=quota_us)
    return made.total_minor


@settings(max_examples=400)
@given(SEGMENT_TARIFFS, STARTS, USES, _pauses(), QUOTAS)
def test_the_fee_is_the_sum_of_its_units(
    tariff: SegmentTariff,
    start_us: int,
    used_us: int,
    pauses: tuple[tuple[int, int], ...],
    quota_us: int,
) -> None:
    """The fee equals the sum over the units, one by one, under the caps of their windows."""
    document = write_tariff(TariffDocument("any", "CNY", tariff))
    told = [(start_us + begin, start_us + end) for begin, end in pauses]
    expected = plain_fee(document, start_us, start_us + used_us, told, quota_us)
    assert _with_pauses(tariff, start_us, start_us + used_us, pauses, quota_us) == expected


@given(SEGMENT_TARIFFS, STARTS, USES, QUOTAS)
def test_the_lines_add_up_to_the_total(
    tariff: SegmentTariff, start_us: int, used_us: int, quota_us: int
) -> None:
    """Each line is quantity times unit, all lines add up to the total, and no line is zero."""
    lines, total_minor = fee(tariff, start_us, start_us + used_us, quota_us=quota_us)
    assert all(it.amount_minor == it.quantity * it.unit_minor for it in lines)
    assert sum(it.amount_minor for it in lines) == total_minor
    free = (FeeItem.FREE_MINUTES, FeeItem.QUOTA_MINUTES)
    assert all(it.quantity if it.item in free else it.amount_minor for it in lines)


@given(SEGMENT_TARIFFS, STARTS, USES)
def test_the_fee_is_bounded(tariff: SegmentTariff, start_us: int, used_us: int) -> None:
    """A fee is never negative, and at most the buy-out cap and each cap for each window begun."""
    total_minor = _total(tariff, used_us, start_us)
    assert 0 <= total_minor <= tariff.buy_out_minor
    for cap in tariff.caps:
        begun = used_us // (cap.window_minutes * MINUTE_US) + 1
        assert total_minor <= begun * cap.most_minor


@given(SEGMENT_TARIFFS, STARTS, USES, USES, _pauses())
def test_a_longer_rental_never_costs_less(
    tariff: SegmentTariff,
    start_us: int,
    one_us: int,
    other_us: int,
    pauses: tuple[tuple[int, int], ...],
) -> None:
    """A later end never lowers the fee, by a microsecond or by days, also around pauses."""
    shorter_us, longer_us = sorted((start_us + one_us, start_us + other_us))
    short = _with_pauses(tariff, start_us, shorter_us, pauses)
    assert short <= _with_pauses(tariff, start_us, longer_us, pauses)
    assert short <= _with_pauses(tariff, start_us, shorter_us + 1, pauses)


@given(SEGMENT_TARIFFS, STARTS, USES)
def test_no_instant_adds_more_than_a_unit_of_each_segment(
    tariff: SegmentTariff, start_us: int, used_us: int
) -> None:
    """An instant adds at most one unit of each segment and the start fee: no jump at midnight, at
    a change of clocks, or at the end of a window or of free minutes."""
    most_minor = tariff.start_fee_minor + sum(
        max(it.price_minor, *(price.price_minor for price in it.prices), 0)
        for it in tariff.segments
    )
    before, after = (_total(tariff, us, start_us) for us in (used_us, used_us + 1))
    assert after - before <= most_minor


@given(SEGMENT_TARIFFS, STARTS, USES, _pauses())
def test_a_pause_never_costs(
    tariff: SegmentTariff, start_us: int, used_us: int, pauses: tuple[tuple[int, int], ...]
) -> None:
    """The same use with pauses costs at most what it costs without them; without prices of hours
    it costs the same."""
    end_us = start_us + used_us
    for begin, end in pauses:
        if start_us + begin < end_us:
            end_us += end - begin
    paused, unpaused = (
        _with_pauses(tariff, start_us, end_us, pauses),
        _total(tariff, used_us, start_us),
    )
    assert paused <= unpaused
    if not tariff.by_clock:
        assert paused == unpaused


@given(SEGMENT_TARIFFS, STARTS, st.integers(1, 20_000), st.booleans(), _pauses(), QUOTAS)
@example(BEIJING, START, 0, True, ((0, DAY_US),), 0)
@example(RUSH, START, 0, True, ((0, DAY_US),), 0)
def test_a_fee_is_reached_at_the_first_instant(
    tariff: SegmentTariff,
    start_us: int,
    amount_minor: int,
    buy_out: bool,
    pauses: tuple[tuple[int, int], ...],
    quota_us: int,
) -> None:
    """At the returned instant the fee is at least the amount; a microsecond earlier it is less."""
    amount_minor = tariff.buy_out_minor if buy_out else amount_minor
    assume(amount_minor)
    told = tuple((start_us + begin, start_us + end) for begin, end in pauses)
    reached_us = reaches_us(tariff, start_us, amount_minor, pauses=told, quota_us=quota_us)
    if reached_us is None:
        assert (
            _with_pauses(
                tariff,
                start_us,
                start_us + (91 if tariff.by_clock else 365) * DAY_US,
                pauses,
                quota_us,
            )
            < amount_minor
        )
        return
    assert reached_us >= start_us
    assert _with_pauses(tariff, start_us, reached_us, pauses, quota_us) >= amount_minor
    if reached_us > start_us:
        before = _with_pauses(tariff, start_us, reached_us - 1, pauses, quota_us)
        assert before < amount_minor


@given(SEGMENT_TARIFFS, STARTS, USES)
def test_only_prices_of_hours_depend_on_the_start(
    tariff: SegmentTariff, start_us: int, used_us: int
) -> None:
    """Without prices of hours, the same use costs the same at any time."""
    assume(not tariff.by_clock)
    assert fee(tariff, start_us, start_us + used_us) == fee(tariff, 0, used_us)


@given(
    st.builds(Tariff, *[st.integers(0, 300)] * 2, st.integers(1, 90), *[st.integers(0, 3_000)] * 3),
    USES,
)
def test_the_first_day_is_that_of_arithmetic_1(tariff: Tariff, used_us: int) -> None:
    """On the first day, a tariff of arithmetic 1 and the same in arithmetic 2 cost the same."""
    same = SegmentTariff(
        Rounding.STARTED,
        tariff.start_fee_minor,
        tariff.free_minutes,
        COMPANY.free,
        0,
        tariff.buy_out_minor,
        (Segment(0, None, tariff.interval_minutes, tariff.interval_price_minor),),
        (Cap(1_440, tariff.day_cap_minor),),
    )
    used_us %= DAY_US
    assert _total(same, used_us) == fee(tariff, START, START + used_us).total_minor
