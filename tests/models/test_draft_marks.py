"""Marks that may mean two things: points and commas in numbers, and years of two digits."""

from __future__ import annotations

import datetime
import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models import cells, checking, drafting, errors, reading, spec
from models.drafting import Draft
from models.spec_columns import LAST_YEAR, Notation
from tests.models import reading_tables
from tests.models.reading_tables import TODAY
from tests.models.test_drafting import QUESTION

ROWS = 200
DRAWN = random.Random(7).sample(range(100, 60_000), ROWS)
POINTS = {"decimal": ",", "thousands": "."}
COMMAS = {"thousands": ","}


def drafted(folder: Path, **columns: Callable[[int], object]) -> Draft:
    """The draft of a table of columns whose cells are these functions of the row's number."""
    head = ["y", "width", *(name.replace("_", " ") for name in columns)]
    lines = [";".join(head)]
    for i in range(ROWS):
        cell = [i * 7 % 10 // 6, DRAWN[i] % 83, *(make(i) for make in columns.values())]
        lines.append(";".join(map(str, cell)))
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = drafting.draft(folder / "table.csv", folder / "draft.toml", QUESTION, TODAY)
    (folder / "draft.toml").write_text(made.text, encoding="utf-8")
    return made


def features(made: Draft) -> dict[str, dict[str, Any]]:
    return {it["name"]: it for it in tomllib.loads(made.text)["feature"]}


def marks(made: Draft, name: str) -> dict[str, Any]:
    return {k: v for k, v in features(made)[name].items() if k in ("decimal", "thousands")}


def grouped(mark: str, low: int = 1) -> Callable[[int], str]:
    """Whole numbers with a mark between groups of three digits."""
    return lambda i: f"{max(low, DRAWN[i] // 500 * 500):,}".replace(",", mark)


def test_points_that_can_only_mark_thousands_are_read_so(tmp_path: Path) -> None:
    """Numbers below 1,000 without a point beside 1.500 and 12.000 have points between thousands,
    for no writer of decimals leaves the last zeros out of some and not of others; the draft says
    so, and its values are those amounts."""
    made = drafted(tmp_path, paid=lambda i: grouped(".")(i) if i % 9 else 500)
    assert marks(made, "paid") == POINTS
    assert features(made)["paid"]["type"] == "integer"
    assert any(
        it.startswith("paid: a point marks thousands: 1.500 is read as") for it in made.notes
    )
    data = reading.load(spec.load(tmp_path / "draft.toml"))
    paid = data.raw[:, [f.name for f in data.spec.inputs].index("paid")]
    wanted = [max(1, DRAWN[i] // 500 * 500) if i % 9 else 500 for i in range(ROWS)]
    assert paid.tolist() == wanted


@pytest.mark.parametrize(
    ("cell", "note"),
    [
        (lambda i: f"{1 + DRAWN[i] / 1_000:.3f}", "point: if it marks thousands, write decimal"),
        (grouped(".", 1_000), "point: if it marks thousands, write decimal"),
        (lambda i: f"{1 + DRAWN[i] / 1_000:.3f}".rstrip("0"), None),
        (lambda i: f"{DRAWN[i] / 100_000:.3f}", None),
        (lambda i: DRAWN[i] % 1_000, None),
        (lambda i: f"{1 + DRAWN[i] / 1_000:.3f}" if i < 11 else 5, None),
        (lambda i: "5.50" if i == ROWS - 1 else grouped(".")(i), None),
    ],
)
def test_points_that_may_be_either_are_decimals_with_a_note(
    tmp_path: Path, cell: Callable[[int], object], note: str | None
) -> None:
    """Points are decimals where anything speaks for it, and where each number has three digits
    after its point the draft says what to write if they mark thousands."""
    made = drafted(tmp_path, paid=cell)
    assert marks(made, "paid") == {}
    said = [it for it in made.notes if it.startswith("paid: each number has three digits")]
    assert len(said) == (note is not None)
    assert all(note is not None and note in it for it in said)


@pytest.mark.parametrize(
    ("cell", "wanted", "notes"),
    [
        (lambda i: f"{DRAWN[i] / 7_000:.3f}".replace(".", ","), {"decimal": ","}, 0),
        (grouped(",", 1_000), COMMAS, 1),
        (lambda i: grouped(",")(i) if i % 9 else 500, COMMAS, 0),
        (lambda i: grouped(",")(i) if i % 9 else "1,234,500", COMMAS, 0),
    ],
)
def test_nothing_stands_between_thousands_after_a_zero(
    tmp_path: Path, cell: Callable[[int], object], wanted: dict[str, str], notes: int
) -> None:
    """A comma in 0,250 is a decimal mark, in the whole column; three digits after each comma and
    no smaller number get a note."""
    made = drafted(tmp_path, paid=cell)
    found = marks(made, "paid")
    assert found.get("decimal", ".") == wanted.get("decimal", ".")
    assert wanted.items() <= found.items()
    said = [it for it in made.notes if it.startswith("paid: each number has three digits")]
    assert len(said) == notes


def month(year: int, i: int) -> str:
    return f"{('Jan', 'Feb', 'Mar')[i % 3]}-{year % 100:02d}"


def test_years_of_two_digits_are_not_after_today(tmp_path: Path) -> None:
    """A draft reads Jan-62 as 1962, says so, and derives the right age; a date whose name says that
    it lies ahead may do so."""
    made = drafted(
        tmp_path,
        first_line=lambda i: month(1950 + DRAWN[i] % 60, i),
        applied=lambda i: month(2013 + i % 3, i),
        maturity=lambda i: month(2016 + DRAWN[i] % 40, i),
    )
    assert tomllib.loads(made.text)["data"]["last_year"] == TODAY.year
    said = f"years of two digits are read as {TODAY.year - 99} to {TODAY.year}: else change"
    assert any(it.startswith(f"first line: {said}") for it in made.notes)
    assert any("maturity: years of two digits are read as 1970 to 2069" in it for it in made.notes)
    assert features(made)["maturity"]["role"] == "excluded"
    data = reading.load(spec.load(tmp_path / "draft.toml"))
    opened = data.raw[:, [f.name for f in data.spec.inputs].index("first line")]
    years = opened.astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970
    assert years.tolist() == [1950 + DRAWN[i] % 60 for i in range(ROWS)]


@pytest.mark.parametrize(
    ("last_year", "years"),
    [(LAST_YEAR, (2062, 2069, 1970, 2000)), (2026, (1962, 1969, 1970, 2000)),
     (1999, (1962, 1969, 1970, 1900)), (2100, (2062, 2069, 2070, 2100))],
)  # fmt: skip
def test_two_digits_are_a_year_of_the_hundred_up_to_the_last(
    last_year: int, years: tuple[int, ...]
) -> None:
    """Two digits mean the year with these digits among the hundred up to `last_year`, and a leap
    day that its century lacks is no date."""
    text = pl.Series(["28-Feb-62", "28-Feb-69", "28-Feb-70", "28-Feb-00", "29-Feb-00", ""])
    read = cells.days(text, "%d-%b-%y", Notation(last_year=last_year))
    assert read.wrong.tolist() == [False] * 4 + [years[3] != 2000, False]
    found = read.values[:4].astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970
    assert tuple(found.tolist()) == years
    whole = cells.days(pl.Series(["28-02-1962"]), "%d-%m-%Y", Notation(last_year=1900))
    assert np.isnan(read.values[5])
    assert whole.values[0] == -2_864


@pytest.mark.parametrize(
    ("last_year", "years"), [(None, (2069, 2068, 2000)), (2026, (1969, 1968, 2000)),
                             (1999, (1969, 1968, None)), (2168, (2069, 2168, 2100))],
)  # fmt: skip
def test_dates_of_a_spec_are_in_the_hundred_years_of_their_columns(
    tmp_path: Path, last_year: int | None, years: tuple[int, int, int | None]
) -> None:
    """Two digits of `oot_from`, `before` and `after` mean the year that they mean in the column,
    and a leap day that its century lacks is refused."""
    form = "%d-%m-%y"

    def found(text: str) -> tuple[float, ...]:
        dated = {"column": "day", "format": form}
        the_spec = reading_tables.spec_of(
            tmp_path,
            "x,day,bad\n1,1,0\n",
            data={} if last_year is None else {"last_year": last_year},
            time={**dated, "oot_from": text},
            exclude=[{**dated, "reason": key, key: text} for key in ("before", "after")],
        )
        (before, after), time = the_spec.exclusions, the_spec.time
        assert time is not None
        assert before.before is not None
        assert after.after is not None
        read = cells.seconds(pl.Series([text]), form, the_spec.data.notation)
        assert read.values[0] == time.oot_from
        return time.oot_from, before.before, after.after

    for text, year in zip(("01-03-69", "01-03-68"), years[:2], strict=True):
        wanted = datetime.datetime(year or 0, 3, 1, tzinfo=datetime.UTC).timestamp()
        assert found(text) == (wanted,) * 3
    if years[2] == 2000:
        assert found("29-02-00") == (951_782_400,) * 3
    else:
        with pytest.raises(errors.SpecError, match="must be a date") as caught:
            found("29-02-00")
        assert {it.key for it in (caught.value, *caught.value.others)} == {
            "time.oot_from", "exclude[0].before", "exclude[1].after"
        }  # fmt: skip


def test_a_check_names_dates_that_a_century_splits(tmp_path: Path) -> None:
    """A check of a spec without `last_year` warns where dates lie at both ends of the hundred
    years, and says what to write; dates in one piece are right as they are."""
    opened = {"name": "opened", "type": "date", "role": "input", "format": "%b-%y"}
    for first, warned in ((1950, True), (1990, False), (2010, False)):
        rows = [f"{i % 7},{month(first + i % 50, i)},{i * 7 % 10 // 6}" for i in range(600)]
        content = "\n".join(["x,opened,bad", *rows]) + "\n"
        for column in (opened, {**opened, "role": "protected"}):
            the_spec = reading_tables.spec_of(tmp_path, content, feature=[reading_tables.X, column])
            findings = reading.Findings()
            checking.check(the_spec, None, findings)
            found = [it for it in findings.warnings if it.startswith("opened: years of two")]
            assert len(found) == warned
            assert all(
                "none from 2000 to 2049; if none is after 1999, write last_year = 1999" in it
                for it in found
            )
