"""Tariffs of arithmetic 1 as tariffs of arithmetic 2."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.domain.day_tariff_segments import segments_of_days
from service.domain.errors import InvalidInput
from service.domain.tariff import DAY_US, MINUTE_US, Tariff, fee
from service.domain.tariff_document import TariffDocument, read_tariff, write_tariff

COMPANY = Tariff(0, 5, 30, 150, 3_000, 9_900)
BIKE = Tariff(150, 0, 15, 100, 3_000, 19_900)
UMBRELLA = Tariff(0, 15, 60, 100, 1_000, 5_900)

TARIFFS = st.builds(
    Tariff,
    st.integers(0, 500),
    st.integers(0, 90),
    st.sampled_from([1, 7, 15, 30, 45, 60, 90, 1_440]),
    st.integers(0, 300),
    st.integers(0, 3_000),
    st.integers(0, 10_000),
)
INSTANTS = st.one_of(
    st.integers(0, 5 * DAY_US),
    st.builds(
        lambda minute, off: max(0, minute * MINUTE_US + off),
        st.one_of(st.integers(0, 7_200), st.integers(0, 5).map(lambda day: day * 1_440)),
        st.integers(-1, 1),
    ),
)


@given(st.one_of(st.sampled_from([COMPANY, BIKE, UMBRELLA]), TARIFFS), INSTANTS)
def test_both_arithmetics_cost_the_same(tariff: Tariff, used_us: int) -> None:
    """After every microsecond of any day the tariff of arithmetic 2 costs the same."""
    try:
        segments = segments_of_days(tariff)
    except InvalidInput:
        assume(False)
        raise
    assert fee(segments, 0, used_us).total_minor == fee(tariff, 0, used_us).total_minor


@pytest.mark.parametrize("tariff", [COMPANY, BIKE, UMBRELLA])
def test_a_default_tariff_has_segments(tariff: Tariff) -> None:
    """Each tariff of a new operator has a document of arithmetic 2 with the same fees."""
    it = TariffDocument("t", "CNY", segments_of_days(tariff))
    assert read_tariff(write_tariff(it)) == it


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"interval_minutes": 7}, "interval_minutes"),
        ({"day_cap_minor": 7_201}, "day_cap_minor"),
        ({"free_minutes": 1_440}, "free_minutes"),
    ],
)
def test_other_days_have_no_segments(changes: dict[str, int], field: str) -> None:
    """Units that a day cuts, a cap that a full day does not reach, and a whole free day have no
    equal in arithmetic 2."""
    with pytest.raises(InvalidInput) as refused:
        segments_of_days(COMPANY._replace(**changes))
    assert [it.field for it in refused.value.violations] == [field]
