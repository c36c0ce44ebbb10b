"""Drafts of dates as raw files write them: ends that never come, days that nobody knows."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models import guessed_dates, reading, spec
from tests.models.test_draft_columns import written

DAY = datetime.date(2015, 3, 1)


def day(i: int) -> datetime.date:
    return DAY + (i % 90) * datetime.timedelta(1)


def beside(form: str, other: str) -> Callable[[int], str]:
    """Dates in a format, and another cell in every fifth row."""
    return lambda i: f"{day(i):{form}}" if i % 5 else other


def found(folder: Path, cell: Callable[[int], object]) -> tuple[str | None, list[str]]:
    """The format that a draft takes for a column, None for no date, and its notes on it."""
    made = written(folder, "size", cell)
    notes = [it.removeprefix("size: ") for it in made.notes if it.startswith("size: ")]
    is_date = any(it.startswith("a date: use it in [time]") for it in notes)
    form = [line for line in made.text.splitlines() if line.startswith("# format")]
    return (form[0].split('"')[1] if is_date else None), notes[:-1]


@pytest.mark.parametrize(
    ("form", "other"),
    [
        ("%Y-%m-%d", "9999-12-31"), ("%Y-%m-%d", "2999-12-31"), ("%Y-%m-%d", "0001-01-01"),
        ("%d/%m/%Y", "31/12/9999"), ("%Y-%m-%d 10:30:00", "9999-12-31 23:59:59"),
        ("%b-%Y", "Dec-9999"), ("%Y年%m月%d日", "9999年12月31日"), ("%Y-%m-%d", "0"),
        ("%Y%m%d", "99991231"), ("%Y%m%d", "0"), ("%Y%m%d", "18991230"), ("%Y%m%d", "99999999"),
        ("%Y-%m-%d", "0000-00-00"),
    ],
)  # fmt: skip
def test_a_date_that_never_comes_is_no_value(tmp_path: Path, form: str, other: str) -> None:
    """A date of a year that nobody lives in, beside real dates and in any of their formats, counts
    as missing, and the draft names it."""
    taken, notes = found(tmp_path, beside(form, other))
    assert taken is not None
    assert notes == [f"120 cells are no date and count as missing: '{other}'"]


@pytest.mark.parametrize(
    ("form", "other"),
    [
        ("%Y-%m-%d", "1900-01-01"), ("%Y-%m-%d", "1970-01-01"), ("%m/%d/%Y", "12/30/1899"),
        ("%Y-%m-%d", "2099-12-31"), ("%Y%m%d", "19000101"), ("%d.%m.%Y", "01.01.1900"),
    ],
)  # fmt: skip
def test_a_first_day_of_programs_is_no_value(tmp_path: Path, form: str, other: str) -> None:
    """A day such as 1900-01-01 in many rows and far from all other dates counts as missing, and the
    draft names it."""
    taken, notes = found(tmp_path, beside(form, other))
    assert taken is not None
    assert f"120 cells lie far from all other dates and count as missing: '{other}'" in notes


@pytest.mark.parametrize(
    "cell",
    [
        lambda i: "1970-01-01" if i == 7 else day(i),
        lambda i: "1970-01-01" if i % 5 == 0 else f"{1950 + i % 50}-03-01",
        lambda i: "2012-01-01" if i % 5 == 0 else day(i),
        lambda i: "1970-06-05" if i % 5 == 0 else day(i),
        lambda i: "1970-01-01" if i % 50 == 0 else f"{1976 + i % 40}-03-01",
    ],
)
def test_other_dates_stay_what_they_are(tmp_path: Path, cell: Callable[[int], object]) -> None:
    """A day is a value if it is rare, lies among the others or near them, or is none of the days
    that programs put for none."""
    taken, notes = found(tmp_path, cell)
    assert taken == "iso"
    assert not notes


@pytest.mark.parametrize(
    ("form", "taken"),
    [
        ("{0.year}-{0.month}-{0.day}", "%Y-%m-%d"),
        ("{0.year}-{0.month}-{0.day} 4:05:00", "iso"),
        ("{0.year}-{0.month}-{0.day} 4:05", "%Y-%m-%d %H:%M"),
        ("{0.day}.{0.month}.{0.year}", "%d.%m.%Y"),
        ("{0}", "iso"),
    ],
)
def test_months_and_days_of_one_digit_are_dates(tmp_path: Path, form: str, taken: str) -> None:
    """Months and days need no zero before them."""
    assert found(tmp_path, lambda i: form.format(day(i)))[0] == taken


def test_numbers_beside_a_few_dates_are_numbers() -> None:
    """Whole numbers are no dates if more than a few of them are none, or one is neither a date nor
    usual for none."""
    dates = [20150301.0 + i for i in range(28)]
    assert guessed_dates.of_numbers(np.array([*dates, 0.0])) is not None
    for others in (
        [5.0],
        [-5.0],
        [20159999.0],
        [99990000.0 + i for i in (101, 102, 103, 104, 105, 106)],
    ):
        assert guessed_dates.of_numbers(np.array([*dates, *others])) is None
    assert guessed_dates.of_numbers(np.array([*dates, 0.5])) is None


def test_ages_from_days_that_nobody_knows_are_missing(tmp_path: Path) -> None:
    """A draft derives no age of a hundred years from 1900-01-01: the age has no value there."""

    def cells_of(i: int) -> str:
        opened = "1900-01-01" if i % 5 == 0 else day(i) - (30 + i % 800) * datetime.timedelta(1)
        return f"{day(i)},{opened}"

    made = written(tmp_path, "applied,opened", cells_of)
    tree = tomllib.loads(made.text)
    assert [it["of"] for it in tree["derivation"]] == [["opened", "applied"]]
    (opened,) = [it for it in tree["feature"] if it["name"] == "opened"]
    assert opened["missing_tokens"] == ["1900-01-01"]
    (tmp_path / "draft.toml").write_text(made.text, encoding="utf-8")
    data = reading.load(spec.load(tmp_path / "draft.toml"))
    column = data.raw[:, [it.name for it in data.spec.inputs].index("opened")]
    assert np.isnan(column).sum() == 120


def test_the_dates_that_may_split_a_table_have_no_blanks(tmp_path: Path) -> None:
    """The lines about [time] that a draft has as comments name a date that each row has."""
    made = written(
        tmp_path, "ends,begins", lambda i: f"{beside('%Y-%m-%d', '9999-12-31')(i)},{day(i)}"
    )
    assert '# [time]\n# column = "begins"\n' in made.text
