"""Guesses of a draft about a file's form, its ids and its persons."""

from __future__ import annotations

import contextlib
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import checking, drafting, encodings, reading, sniffing, spec
from models.drafting import Question
from models.errors import DatasetError
from tests.models.reading_tables import TODAY
from tests.models.small_tables import table
from tests.models.test_cases import file_of, lines

QUESTION = Question("y", ("1",), (), "missed", "a month", "made up")

ARFF = """% A table of small loans.
@RELATION loans
@attribute id numeric
@attribute 'net income' real [0.0, 9.0]
@attribute b {0,1,2}
@attribute y {0, 1}
@inputs id, 'net income', b
@data
"""


def drafted(folder: Path, content: str) -> dict[str, Any]:
    """The drafted spec of such a file, which can be read."""
    (folder / "table.csv").write_text(content, encoding="utf-8")
    made = drafting.draft(folder / "table.csv", folder / "draft.toml", QUESTION, TODAY)
    (folder / "draft.toml").write_text(made.text, encoding="utf-8")
    return tomllib.loads(made.text)


def test_a_file_with_declared_columns_is_read_by_its_names(tmp_path: Path) -> None:
    """A file that declares its columns in lines that begin with @, as Weka and KEEL write it, has
    those names, and its rows begin after @data."""
    it = table()
    made = drafted(tmp_path, ARFF + "\n".join(lines(it)) + "\n")
    assert made["data"]["columns"] == ["id", "net income", "b", "y"]
    assert made["data"]["skip_lines"] == 8
    data = reading.load(spec.load(tmp_path / "draft.toml"))
    assert data.raw[:, 0].tolist() == it.a.tolist()
    assert data.label.tolist() == it.y.tolist()


def test_a_file_that_begins_with_blank_lines_is_read_at_once(tmp_path: Path) -> None:
    """Blank lines at the beginning of a file are no declared columns, and take no time to see."""
    head = "\n" * 20_000
    (tmp_path / "blank.csv").write_text(head + file_of(lines(table())), encoding="utf-8")
    found: dict[str, Any] = {}
    with contextlib.suppress(DatasetError):
        found = sniffing.sniff(tmp_path / "blank.csv", "y", tmp_path).keys
    assert "columns" not in found


def test_a_draft_does_not_depend_on_the_columns_that_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of any width is drafted some columns at a time, with the same text for any number of
    them, its label, its ids and its total row included."""
    rows = [f"{line},{i % 7},K{i},2023-01-{1 + i % 28:02}" for i, line in enumerate(lines(table()))]
    for last in ([], [",,,,,Total,"]):
        content = file_of([*rows, *last], "id,a,b,y,c,key,day")
        (tmp_path / "table.csv").write_text(content, encoding="utf-8")
        drafts = set()
        for cells in (drafting.CELLS_AT_ONCE, 3 * len(rows), 1):
            with monkeypatch.context() as few:
                few.setattr(drafting, "CELLS_AT_ONCE", cells)
                spec = tmp_path / "it.toml"
                drafts.add(drafting.draft(tmp_path / "table.csv", spec, QUESTION, TODAY))
        (made,) = drafts
        assert ("a total" in made.text) == bool(last)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "cp1252", "latin-1"])
def test_the_encoding_of_a_long_file_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """The encoding of a file follows from all of its characters, of which some lie on the border of
    two blocks."""
    word = {"utf-8": "é", "gb18030": "北京", "cp1252": "é", "latin-1": "\x81"}[encoding]
    rows = [f"{line},{word}" for line in lines(table())]
    (tmp_path / "table.csv").write_text(file_of(rows, "id,a,b,y,c"), encoding=encoding)
    monkeypatch.setattr(encodings, "_BLOCK", 1_021)
    keys = sniffing.sniff(tmp_path / "table.csv", "y", tmp_path).keys
    assert keys["encoding"] == encoding


@pytest.mark.parametrize("name", ["born", "出生日期", "birth_date"])
def test_a_date_of_birth_is_kept_from_the_model(tmp_path: Path, name: str) -> None:
    """A date of birth tells the age, so a draft leaves it out, and says why."""
    rows = [
        f"{line},{1950 + i % 50}-01-{1 + i % 28:02},2023-01-{1 + i % 28:02}"
        for i, line in enumerate(lines(table()))
    ]
    made = drafted(tmp_path, file_of(rows, f"id,a,b,y,{name},applied"))
    (column,) = [it for it in made["feature"] if it["name"] == name]
    assert column["role"] == "excluded"
    assert "derivation" not in made


def test_declared_columns_without_rows_are_named(tmp_path: Path) -> None:
    """A file of that form without the line @data is refused in a sentence."""
    with pytest.raises(DatasetError, match="no line @data"):
        drafted(tmp_path, ARFF.replace("@data\n", "") + "\n".join(lines(table())) + "\n")


@pytest.mark.parametrize(
    ("numbers", "part"),
    [
        (np.arange(600) + np.arange(600) // 50, "id"),
        (np.arange(600) * 7, "id"),
        (np.arange(600)[::-1] * 37, "id"),
        (np.arange(600) * 30 + np.arange(600) ** 2 % 29, "id"),
        (np.arange(600) ** 2, "input"),
        (np.arange(600) * 7 * 211 % 4_201, "input"),
    ],
)
def test_numbers_that_count_the_rows_are_an_id(
    tmp_path: Path, numbers: np.ndarray[Any, np.dtype[np.int64]], part: str
) -> None:
    """Numbers that rise or fall from row to row by one step, also where a few rows were taken out,
    or that stay near a line, are an id whatever their name is; other numbers are a column of the
    model, also where the rows are sorted by them."""
    rows = [f"{n},{line}" for n, line in zip(numbers.tolist(), lines(table()), strict=True)]
    made = drafted(tmp_path, file_of(rows, "place,a0,a,b,y"))
    (place,) = [f for f in made["feature"] if f["name"] == "place"] or [{"role": "id"}]
    assert place["role"] == part


@pytest.mark.parametrize(
    ("name", "kept_together"),
    [
        ("customer", True), ("Customer ID", True), ("cust_no", True), ("客户编号", True),
        ("account_length", False), ("user age", False), ("members", True), ("客户年限", False),
    ],
)  # fmt: skip
def test_a_column_of_persons_is_told_by_its_name(
    tmp_path: Path, name: str, kept_together: bool
) -> None:
    """A column whose values repeat holds persons if its name is a person or a person's number; the
    name of a person's property is none."""
    rows = [f"{line},{i % 200}" for i, line in enumerate(lines(table()))]
    made = drafted(tmp_path, file_of(rows, f"id,a,b,y,{name}"))
    assert ("group" in made) == kept_together


def test_a_derivation_whose_name_an_answer_cannot_carry_is_refused(tmp_path: Path) -> None:
    """An answer may name a derivation, so a name with a control character is refused before the
    first fit, with what to write."""
    made = drafted(tmp_path, file_of(lines(table())))
    made["derivation"] = [{"name": "a\x01b", "operation": "sum", "of": ["a", "b"]}]
    parsed = spec.parse(made, path=tmp_path / "draft.toml", sha256="")
    with pytest.raises(DatasetError, match=r"derivation 'a\\x01b': .* write 'a b'"):
        checking.ready(parsed, None)
