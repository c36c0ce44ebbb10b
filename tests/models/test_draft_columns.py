"""A draft's guesses about single columns: codes, numbers, dates, texts, ids and ages."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models import drafting
from models.drafting import Draft
from tests.models.reading_tables import TODAY
from tests.models.small_tables import table
from tests.models.test_cases import file_of, lines
from tests.models.test_drafting import QUESTION

DAY = datetime.date(2019, 1, 1)


def written(folder: Path, name: str, cell: Callable[[int], object]) -> Draft:
    """The draft of a table with a column whose cells are `cell` of the row's number."""
    rows = [f"{line},{cell(i)}" for i, line in enumerate(lines(table()))]
    (folder / "table.csv").write_text(file_of(rows, f"n,a,b,y,{name}"), encoding="utf-8")
    return drafting.draft(folder / "table.csv", folder / "draft.toml", QUESTION, TODAY)


def column(folder: Path, name: str, cell: Callable[[int], object]) -> dict[str, Any]:
    """The drafted feature of such a column."""
    found: dict[str, Any]
    features = tomllib.loads(written(folder, name, cell).text)["feature"]
    (found,) = [it for it in features if it["name"] == name]
    return found


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        (lambda i: -9 if i % 7 == 0 else 2 + i % 7, [-9]),
        (lambda i: 99 if i % 50 == 0 else i % 5, [99]),
        (lambda i: 365_243 if i % 6 == 0 else -10 - 17 * i, [365_243]),
        (lambda i: 0 if i % 8 == 0 else 500 + i % 90, [0]),
        (lambda i: -1 if i % 3 == 0 else i % 4, None),
        (lambda i: 365_243 if i == 5 else -10 - 17 * i, None),
        (lambda i: 0 if i % 8 == 0 else 100 + i % 90, None),
    ],
)
def test_a_value_apart_from_all_amounts_is_a_code(
    tmp_path: Path, cell: Callable[[int], object], codes: list[int] | None
) -> None:
    """A value is taken for a code and no amount if it is a usual code that lies apart from the
    others, or if it is frequent and very far from them; one outlier is none, and no small scale."""
    assert column(tmp_path, "months", cell).get("special") == codes


@pytest.mark.parametrize(
    ("cell", "kind", "tokens"),
    [
        (lambda i: "error" if i % 200 == 9 else 3 * i, "integer", ["error"]),
        (lambda i: "1976A" if i == 9 else 1950 + i % 60, "integer", ["1976A"]),
        (lambda i: "#REF!" if i == 9 else f'"${i},500.25 "', "number", ["#REF!"]),
        (lambda i: "XNA" if i % 3 else i, "integer", ["XNA"]),
        (lambda i: f'"R$ {i}.100,50"', "number", None),
        (lambda i: f"CHF {i}'100.50", "number", None),
        (lambda i: "0000-00-00" if i % 3 else DAY + i * datetime.timedelta(1), None, None),
        (lambda i: "x" if i % 50 == 9 else i % 60 if i % 2 else 7, "text", None),
        (lambda i: "x" if i == 9 else i % 3, "text", None),
    ],
)
def test_a_few_cells_do_not_make_a_column_of_numbers_a_text(
    tmp_path: Path, cell: Callable[[int], object], kind: str | None, tokens: list[str] | None
) -> None:
    """A column of many numbers, also of amounts of money, stays one where a few cells are none, or
    where few words stand beside numbers of all kinds: these count as missing, by name. Else the
    column is a text. A date without digits above 0 is no date."""
    found = column(tmp_path, "size", cell)
    assert found.get("type") == kind
    assert found.get("missing_tokens") == tokens


@pytest.mark.parametrize(
    ("cell", "dates"),
    [
        (lambda i: f"{DAY + i * datetime.timedelta(1):%Y%m%d}", True),
        (lambda i: f"{2000 + i % 20}{1 + i % 12:02}", True),
        (lambda i: 20_190_101 + i // 3, False),
        (lambda i: 201_001 + i % 10, False),
    ],
)
def test_dates_that_are_written_as_numbers_are_dates(
    tmp_path: Path, cell: Callable[[int], object], dates: bool
) -> None:
    """Whole numbers such as 20190131 or 201901, all of them dates, are dates and no amounts."""
    assert (column(tmp_path, "opened", cell)["role"] == "excluded") == dates


@pytest.mark.parametrize(
    "form",
    [
        "%d-%m-%y", "%m/%d/%Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%S.000+0000", "%Y-%m-%d %H:%M:%S+00:00",
        "%b %d, %Y",
    ],
)  # fmt: skip
def test_usual_forms_of_dates_are_known(tmp_path: Path, form: str) -> None:
    """Dates with hours, in universal time, or with a year of two digits are dates and no texts."""
    found = written(tmp_path, "opened", lambda i: f'"{DAY + i * datetime.timedelta(1):{form}}"')
    assert any(it.startswith("opened: a date") for it in found.notes)


def test_rows_without_an_outcome_are_named(tmp_path: Path) -> None:
    """A draft says how many rows it leaves out because their label is neither bad nor good."""
    rows = [line[:-1] + "NA" if i % 100 == 0 else line for i, line in enumerate(lines(table()))]
    (tmp_path / "table.csv").write_text(file_of(rows), encoding="utf-8")
    made = drafting.draft(tmp_path / "table.csv", tmp_path / "draft.toml", QUESTION, TODAY)
    said = "label: 6 rows are neither bad nor good and are left out: 'NA'"
    assert said in made.notes


@pytest.mark.parametrize(
    ("cell", "role"),
    [
        (lambda i: f"bank {i if i % 3 else 1}", "input"),
        (lambda i: f"name {i}", "excluded"),
        (lambda i: f"name {i % 200}", "excluded"),
    ],
)
def test_a_text_that_hardly_any_rows_share_is_left_out(
    tmp_path: Path, cell: Callable[[int], object], role: str
) -> None:
    """A text is an input if enough rows have texts that are frequent enough to learn from, however
    many others there are; names and remarks are left out."""
    assert column(tmp_path, "bank", cell)["role"] == role


@pytest.mark.parametrize(
    ("cell", "role"),
    [
        (lambda i: 1_000_014_003 + 7 * (599 - i), "excluded"),
        (lambda i: 9_999_900 + 7 * (37 * i % 600), "input"),
        (lambda i: 10_000_000 + 7 * (i % 500), "input"),
    ],
)
def test_long_numbers_without_a_repetition_are_an_id(
    tmp_path: Path, cell: Callable[[int], object], role: str
) -> None:
    """Whole numbers of eight digits or more, all equally long and another one in each row, are an
    id and no input, whatever the column's name."""
    assert column(tmp_path, "LoanNr_ChkDgt", cell)["role"] == role


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("age", "protected"), ("borrower age", "protected"), ("card_holder_age", "protected"),
        ("OWN_CAR_AGE", "input"), ("AVERAGE.ACCT.AGE", "input"), ("Age_Oldest_TL", "input"),
        ("age of the house", "input"), ("NAME_FAMILY_STATUS", "protected"),
        ("civil status", "protected"),
    ],
)  # fmt: skip
def test_only_a_persons_age_is_protected(tmp_path: Path, name: str, role: str) -> None:
    """The age of a person is kept from the model, and so is the family status; the age of a car or
    of an account is an input."""
    assert column(tmp_path, name, lambda i: 18 + i % 60)["role"] == role
