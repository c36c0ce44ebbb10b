"""The groups by which `freehold model impact` tells people apart."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli.impact_segments import MOST_GROUPS, bins, of_values, periods
from service.engine.feature_values import pack
from service.engine.records.users import UserFeatures
from service.engine.segments import Segment

FIRST, LAST = (it.toordinal() - date(1970, 1, 1).toordinal() for it in (date.min, date.max))


def day(text: str) -> float:
    return float(date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal())


def group_of(value: float, lows: Any, names: Any, special: Any) -> str:
    segment = Segment("a", {"s": ("a",)}, lows=lows, names=names, special=special)
    return segment.group_of(UserFeatures("ann", True, 1, "s", pack([value]), 0))


@pytest.mark.parametrize(
    ("days", "names"),
    [
        (["2026-01-31", "2026-11-01"], ["2026-01", "2026-11"]),
        ([f"20{y}-0{m}-15" for y in (25, 26) for m in range(1, 8)],
         ["2025-01 to 2025-03", "2025-04 to 2025-06", "2025-07 to 2025-09",
          "2026-01 to 2026-03", "2026-04 to 2026-06", "2026-07 to 2026-09"]),
        ([f"20{y}-0{m}-15" for y in range(20, 24) for m in range(1, 10, 2)],
         ["2020-01 to 2020-03", "2020-04 to 2020-06", "2020-07 to 2020-09",
          "2021-01 to 2021-03", "2021-04 to 2021-06", "2021-07 to 2021-09",
          "2022-01 to 2022-03", "2022-04 to 2022-06", "2022-07 to 2022-09",
          "2023-01 to 2023-03", "2023-04 to 2023-06", "2023-07 to 2023-09"]),
        ([f"20{y}-06-15" for y in range(10, 25)],
         ["2010 to 2014", "2015 to 2019", "2020 to 2024"]),
        ([f"{y}-06-15" for y in range(1900, 2030)],
         ["1900 to 1949", "1950 to 1999", "2000 to 2049"]),
    ],
)  # fmt: skip
def test_dates_fall_into_calendar_periods(days: list[str], names: list[str]) -> None:
    """Dates are told apart by months, quarters, years, or 5, 10, 50 or 100 years: the shortest
    periods of which at most 12 have a date."""
    found = periods(day(it) for it in days)
    assert found.names == names
    for text in days:
        name = group_of(day(text), *found)
        first, _, last = name.partition(" to ")
        assert first <= text[: len(first)]
        assert text[: len(last or first)] <= (last or first)


@given(st.lists(st.integers(FIRST - 3, LAST + 3) | st.sampled_from([1e300, -1e300]), max_size=40))
def test_every_date_has_a_period(days: list[float]) -> None:
    """Any dates make at most 12 periods, and each lies in one of them; a number that is no date is
    its own group."""
    found = periods(days)
    assert len(found.names) <= MOST_GROUPS
    for it in days:
        assert (group_of(it, *found) in found.names) == (FIRST <= it <= LAST)


def test_few_numbers_are_groups_and_many_are_binned() -> None:
    """Up to 12 values are groups in their order; more fall into ten groups of about the same
    size with their bounds as names, and special values stay apart."""
    few = of_values([3.0, 1.0, 2.5, 1.0], ())
    assert [group_of(it, *few) for it in (1.0, 2.5, 3.0)] == few.names == ["1", "2.5", "3"]
    values = [float(it) for it in range(100)]
    many = of_values([*values, *[-9.0] * 50], {-9.0})
    assert many.names[0] == "up to 9"
    assert many.names[-1] == "over 89"
    groups = [group_of(it, *many) for it in values]
    assert len(many.names) == 10
    assert all(9 <= groups.count(name) <= 11 for name in many.names)
    assert group_of(-9.0, *many) == "-9"
    assert bins([]) == ([], ["all numbers"])
