"""The total exposure of a person with lines in several currencies."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.exposure import Rate, TotalExposure


class Line(NamedTuple):
    """A line with a limit and its free part, in minor units."""

    currency: str
    limit_minor: int
    available_minor: int


TOTAL = TotalExposure("CNY", {"EUR": Rate(785, 100), "JPY": Rate(5, 1)})
"""One euro is 7.85 yuan, and one yen, which has no minor unit, is 5 fen."""


@pytest.mark.parametrize(
    ("line", "others", "free_minor"),
    [
        # Nothing is held: the whole line, and no more than the total's limit.
        (Line("CNY", 50_000, 50_000), [], 50_000),
        (Line("EUR", 5_000, 5_000), [Line("CNY", 50_000, 50_000)], 5_000),
        (Line("EUR", 9_000, 9_000), [Line("CNY", 50_000, 50_000)], 6_369),
        # 10.00 euros are held: 78.50 yuan less are free.
        (Line("CNY", 50_000, 50_000), [Line("EUR", 5_000, 4_000)], 42_150),
        # 1 cent is held: 7.85 fen count as 8.
        (Line("CNY", 50_000, 50_000), [Line("EUR", 5_000, 4_999)], 49_992),
        # All three lines count.
        (
            Line("JPY", 9_000, 8_000),
            [Line("CNY", 50_000, 40_000), Line("EUR", 5_000, 4_000)],
            5_430,
        ),
        # The total is used up, or beyond: a rate rose.
        (Line("EUR", 5_000, 5_000), [Line("CNY", 50_000, 0)], 0),
        (Line("CNY", 50_000, 50_000), [Line("EUR", 50_000, 0)], 0),
        # No line in the total's currency, and no rate.
        (Line("EUR", 5_000, 5_000), [], 0),
        (Line("USD", 5_000, 5_000), [Line("CNY", 50_000, 50_000)], 0),
        (Line("CNY", 50_000, 50_000), [Line("USD", 5_000, 4_999)], 0),
        (Line("CNY", 50_000, 50_000), [Line("USD", 5_000, 5_000)], 50_000),
    ],
)
def test_lines_in_several_currencies_have_one_total(
    line: Line, others: list[Line], free_minor: int
) -> None:
    """A hold on one line may take what the limit in the total's currency leaves of it, after the
    exposures of all lines at their rates."""
    assert TOTAL.free_minor(line, others) == free_minor


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=3, max_size=3),
    st.sampled_from(["CNY", "EUR", "JPY"]),
    st.data(),
)
def test_a_hold_within_the_free_part_stays_within_the_total(
    lines: list[tuple[int, int]], currency: str, data: st.DataObject
) -> None:
    """Whatever is free may be held in full: the exposures together, in fractions of a fen, then are
    at most the limit in the total's currency."""
    made = {
        name: Line(name, limit, min(limit, free))
        for name, (limit, free) in zip(("CNY", "EUR", "JPY"), lines, strict=True)
    }
    line = made.pop(currency)
    free_minor = TOTAL.free_minor(line, made.values())
    assert 0 <= free_minor <= line.available_minor
    taken = data.draw(st.integers(0, free_minor))
    if not taken:
        return
    made[currency] = line._replace(available_minor=line.available_minor - taken)
    rates = {"CNY": (1, 1), **TOTAL.rates}
    worth = sum(
        (it.limit_minor - it.available_minor) * rates[name][0] * 100 // rates[name][1]
        for name, it in made.items()
    )
    assert worth <= made["CNY"].limit_minor * 100
