"""Small tables that real people bring, and the right answer to each; 600 rows of `id,a,b,y`."""

from __future__ import annotations

import gzip
import lzma
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import checking, dataset, reading, spec, train
from models.dataset import Dataset
from models.drafting import Question, draft
from models.errors import DatasetError
from models.scorer import ModelScorer
from tests.models.reading_tables import TODAY
from tests.models.small_tables import Table, table
from tests.shell import forked_workers

A = {"name": "a", "type": "number", "role": "input"}
B = {"name": "b", "type": "number", "role": "input"}
QUESTION = Question("y", ("1",), (), "missed", "a month", "made up")


def lines(it: Table) -> list[str]:
    """The rows of a table as lines of a CSV file, without a header."""
    cells = zip(it.a, it.b, it.y, strict=True)
    return [f"{i},{a},{b:.0f},{y}" for i, (a, b, y) in enumerate(cells)]


def file_of(rows: list[str], header: str = "id,a,b,y") -> str:
    return "\n".join([header, *rows]) + "\n"


def tree(**tables: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "data": {"path": "table.csv"},
        "label": {
            "column": "y", "bad": ["1"], "good": ["0"],
            "horizon": "a month", "outcome": "missed", "population": "made up",
        },
        "id": {"column": "id"},
        "validation": {"folds": 3, "seeds": [0]},
        "feature": [A, B],
    }  # fmt: skip
    for name, value in tables.items():
        found[name] = {**found.get(name, {}), **value} if isinstance(value, dict) else value
    return found


def ready(folder: Path, content: str | bytes, *, out: str = "model", **tables: Any) -> Dataset:
    """The data set of such a file, with all checks before the first fit."""
    parsed = spec.parse(tree(**tables), path=folder / "spec.toml", sha256="0" * 64)
    body = content.encode("utf-8") if isinstance(content, str) else content
    parsed.data.path.write_bytes(body)
    return checking.ready(parsed, folder / out)


def faults(folder: Path, content: str | bytes, **tables: Any) -> list[str]:
    """The faults that the checks before the first fit name."""
    with pytest.raises(DatasetError) as caught:
        ready(folder, content, **tables)
    return str(caught.value).split("\n")


def drafted(
    folder: Path, content: str | bytes, question: Question = QUESTION, name: str = "table.csv"
) -> tuple[dict[str, Any], str]:
    """The drafted spec of such a file, as a tree and as text; it passes every check."""
    path = folder / name
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    made = draft(path, folder / "draft.toml", question, TODAY)
    (folder / "draft.toml").write_text(made.text, encoding="utf-8")
    checking.ready(spec.load(folder / "draft.toml"), folder / "model")
    return tomllib.loads(made.text), made.text


def feature(drafted_tree: dict[str, Any], name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [f for f in drafted_tree["feature"] if f["name"] == name]
    return found[0]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("net income",) * 2,
        ("a[x]",) * 2,
        ("收入",) * 2,
        ("", "column_3"),
        ("n" * 70, "n" * 60),
        ('"income, net"', "income, net"),
    ],
)
def test_4_any_header_serves(tmp_path: Path, header: str, name: str) -> None:
    """Case 4: a column with any header serves, and a name that a call cannot carry is one line
    before the first fit."""
    rows = file_of(lines(table()), f"id,a,{header},y")
    made, _ = drafted(tmp_path, rows)
    assert feature(made, name)["role"] == "input"
    if header.strip('"') == name:
        assert ready(tmp_path, rows, feature=[A, {**B, "name": name}]).raw.shape == (600, 2)
    else:
        said = faults(tmp_path, rows, feature=[A, {**B, "name": "n" * 70, "column": 3}])
        assert len(said) == 1
        assert "a call cannot carry this name" in said[0]


def test_4_too_many_features_for_one_call(tmp_path: Path) -> None:
    """Case 4: a spec with more inputs than a call can carry is refused before the first fit."""
    names = [f"c{j}" for j in range(300)]
    generator = np.random.default_rng(0)
    rows = [",".join(map(str, (*generator.integers(0, 9, 300), i % 2))) for i in range(60)]
    tables = tree(feature=[{**A, "name": name} for name in names])
    del tables["id"]
    parsed = spec.parse(tables, path=tmp_path / "spec.toml", sha256="")
    parsed.data.path.write_text(file_of(rows, ",".join([*names, "y"])), encoding="utf-8")
    with pytest.raises(DatasetError, match="300 input columns are numbers and dates, but a call"):
        checking.ready(parsed, tmp_path / "model")


@pytest.mark.parametrize("kind", ["mark", "delimiter", "delimiter of rows", "last line", "crlf"])
def test_5_marks_trailing_delimiters_and_empty_lines_are_read(tmp_path: Path, kind: str) -> None:
    """Case 5: a byte order mark, trailing delimiters and empty lines change nothing."""
    it = table()
    rows = lines(it)
    text = {
        "mark": "\ufeff" + file_of(rows),
        "delimiter": file_of([r + "," for r in rows], "id,a,b,y,"),
        "delimiter of rows": file_of([r + "," for r in rows]),
        "last line": file_of(rows) + "\n\n",
        "crlf": file_of(rows).replace("\n", "\r\n"),
    }[kind]
    data = ready(tmp_path, text)
    assert data.raw[:, 0].tolist() == it.a.tolist()
    assert data.label.tolist() == it.y.tolist()


def test_5_a_total_is_named_with_what_to_write(tmp_path: Path) -> None:
    """Case 5: a total in the last row is named with its row, and a draft leaves it out."""
    text = file_of([*lines(table()), "TOTAL,,,"])
    data = ready(tmp_path, text)
    assert any("row 601" in w and "[[exclude]]" in w for w in data.warnings)
    made, _ = drafted(tmp_path, text)
    assert made["exclude"][0]["values"] == ["TOTAL"]
    assert reading.load(spec.load(tmp_path / "draft.toml")).excluded[0] == (
        "a total, not a person", 1,
    )  # fmt: skip


Notations = dict[str, tuple[Callable[[float], str], dict[str, Any], str]]

NOTATIONS: Notations = {
    "comma": (lambda v: f"{v:.6f}".replace(".", ","), {"decimal": ","}, ";"),
    "thousands": (lambda v: f"{v * 10_000:,.0f}", {"thousands": ","}, ";"),
    "both": (lambda v: f"{v * 10_000:,.1f}".translate(str.maketrans(",.", ".,")),
             {"decimal": ",", "thousands": "."}, ";"),
    "currency": (lambda v: f'"${abs(v) * 60_000:,.2f} "', {"currency": ["$"], "thousands": ","},
                 ","),
    "percent": (lambda v: f"{v:.1f}%", {"percent": True}, ","),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOTATIONS)
def test_6_numbers_are_read_as_declared(tmp_path: Path, kind: str) -> None:
    """Case 6: decimal commas, thousands, currency and percent are read as declared, and a draft
    proposes them."""
    write, keys, mark = NOTATIONS[kind]
    it = table()
    cells = [write(v) for v in it.a]
    rows = [f"{i}{mark}{c}{mark}{b:.0f}{mark}{y}"
            for i, (c, b, y) in enumerate(zip(cells, it.b, it.y, strict=True))]  # fmt: skip
    text = file_of(rows, mark.join(("id", "a", "b", "y")))
    data = ready(tmp_path, text, data={"delimiter": mark}, feature=[{**A, **keys}, B])
    factor = {"comma": 1, "thousands": 10_000, "both": 10_000, "currency": 60_000, "percent": 0.01}
    wanted = np.abs(it.a) if kind == "currency" else it.a
    assert np.allclose(data.raw[:, 0], wanted * factor[kind], rtol=1e-6, atol=1e-3)
    made, _ = drafted(tmp_path, text)
    again = reading.load(spec.load(tmp_path / "draft.toml"))
    assert np.array_equal(again.raw[:, 0], data.raw[:, 0])
    assert {k: v for k, v in feature(made, "a").items() if k in keys} == keys


@pytest.mark.parametrize("cell", ["1_000", "\uff11\uff12", "0x10", "1e999", "inf", "1 000"])
def test_7_other_digits_are_no_numbers(tmp_path: Path, cell: str) -> None:
    """Case 7: `1_000` and full-width digits are refused with the column and the row of the file."""
    rows = lines(table())
    rows[41] = f"41,{cell},1,0"
    assert faults(tmp_path, file_of(rows)) == [f"a: row 42 is not a number: {cell!r}"]


def test_8_declared_tokens_are_missing(tmp_path: Path) -> None:
    """Case 8: declared missing tokens are missing values, and a draft proposes those it sees."""
    tokens = ["N/A", "NULL", "None", ".", "?", "#N/A", "-", "", " NA"]
    rows = lines(table())
    for i in range(180):
        rows[i] = f"{i},0.5,{tokens[i % 9]},{i % 2}"
    keys = {"missing": "nan", "missing_tokens": [t.strip() for t in tokens if t]}
    data = ready(tmp_path, file_of(rows), feature=[A, {**B, **keys}])
    assert int(np.isnan(data.raw[:, 1]).sum()) == 180
    made, _ = drafted(tmp_path, file_of(rows))
    assert {*feature(made, "b")["missing_tokens"]} == {t.strip() for t in tokens if t}
    assert feature(made, "b")["missing"] == "nan"
    assert faults(tmp_path, file_of(rows))[0].startswith("b: row 1 is not a number: 'N/A'")


def test_9_unknown_labels_are_an_error_with_their_counts(tmp_path: Path) -> None:
    """Case 9: labels spelled in two ways are an error with the count of each, unless declared."""
    it = table(2_000)
    rows = [r if i % 2 else r + ".0" for i, r in enumerate(lines(it))]
    said = faults(tmp_path, file_of(rows))
    assert len(said) == 1
    assert "1000 of 2000 rows are neither good nor bad" in said[0]
    assert "'0.0' (" in said[0]
    assert "'1.0' (" in said[0]
    data = ready(tmp_path, file_of(rows), label={"bad": ["1", "1.0"], "good": ["0", "0.0"]})
    assert data.label.tolist() == it.y.tolist()
    made, _ = drafted(tmp_path, file_of(rows))
    assert made["label"]["bad"] == ["1", "1.0"]


def test_10_rows_have_the_numbers_of_the_file(tmp_path: Path) -> None:
    """Case 10: after three rows that are left out, a text in row 10 is in row 10."""
    rows = lines(table())
    rows[:3] = [f"{i},0.5,1,9" for i in range(3)]
    rows[9] = "9,word,1,0"
    said = faults(tmp_path, file_of(rows), label={"ignore": ["9"]})
    assert said == ["a: row 10 is not a number: 'word'"]


def test_11_dates_are_parsed(tmp_path: Path) -> None:
    """Case 11: `oot_from` is compared with parsed dates; without their format they are refused."""
    days = np.arange(np.datetime64("2003-01-01"), np.datetime64("2004-08-23"))
    rows = [f"{r},{str(d)[8:]}/{str(d)[5:7]}/{str(d)[:4]}"
            for r, d in zip(lines(table()), days, strict=True)]  # fmt: skip
    text = file_of(rows, "id,a,b,y,day")
    when = {"column": "day", "oot_from": "2004-01-01", "format": "%d/%m/%Y"}
    data = ready(tmp_path, text, time=when)
    late = np.flatnonzero(days >= np.datetime64("2004-01-01"))
    assert dataset.holdout_indices(data).tolist() == late.tolist()
    del when["format"]
    said = faults(tmp_path, text, time=when)
    assert said[0].startswith("time: row 1 is not a date (expected 2026-11-29")


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (0, "label.bad: no row has any of these values"),
        (4, "4 rows are bad; 3 folds need at least"),
    ],
)
def test_12_too_small_classes_are_found_before_the_first_fit(
    tmp_path: Path, bad: int, match: str
) -> None:
    """Case 12: too few bad rows are an error that says how many are needed."""
    it = table()
    y = np.zeros(600, dtype=np.int8)
    y[:bad] = 1
    assert match in faults(tmp_path, file_of(lines(it._replace(y=y))))[0]


def test_12_one_bad_row_in_the_holdout(tmp_path: Path) -> None:
    """Case 12: a hold-out with one bad row is an error that says how many are needed."""
    it = table()
    y = it.y.copy()
    y[500:] = 0
    y[550] = 1
    rows = [f"{r},2026-0{2 if i >= 500 else 1}-01"
            for i, r in enumerate(lines(it._replace(y=y)))]  # fmt: skip
    said = faults(tmp_path, file_of(rows, "id,a,b,y,t"),
                  time={"column": "t", "oot_from": "2026-02-01"})  # fmt: skip
    assert said[0].startswith("label.bad: 1 of the 100 hold-out rows are bad; at least 5")


@pytest.mark.parametrize("kind", ["number", "text", "reversed"])
def test_13_a_copy_of_the_label_is_named(tmp_path: Path, kind: str) -> None:
    """Case 13: a column that alone tells bad from good is named before the first fit, and a draft
    leaves it out."""
    it = table()
    word = {"number": "01", "text": "NY", "reversed": "10"}[kind]
    rows = [f"{i},{a},{word[y]},{y}" for i, (a, y) in enumerate(zip(it.a, it.y, strict=True))]
    b = {**B, "type": "text"} if kind == "text" else B
    said = faults(tmp_path, file_of(rows), feature=[A, b])
    assert len(said) == 1
    assert said[0].startswith("b: alone tells bad from good without a fault (AUC 1.0)")
    made, text = drafted(tmp_path, file_of(rows))
    assert feature(made, "b")["role"] == "excluded"
    assert "LEAK?" in text


@pytest.mark.parametrize(("cell", "match"), [("7", "the same value"), ("", "no row has a value")])
def test_14_columns_without_information_are_left_out(tmp_path: Path, cell: str, match: str) -> None:
    """Case 14: a constant or blank column is named in a warning and left out."""
    it = table()
    rows = [f"{i},{a},{cell},{y}" for i, (a, y) in enumerate(zip(it.a, it.y, strict=True))]
    data = ready(tmp_path, file_of(rows), feature=[A, {**B, "missing": "nan"}])
    assert data.spec.raw_names == ("a",)
    assert data.raw.shape == (600, 1)
    assert any(w.startswith("b: ") and match in w and "left out" in w for w in data.warnings)
    made, _ = drafted(tmp_path, file_of(rows))
    assert feature(made, "b")["role"] == "excluded"


def test_18_another_models_folder_is_refused(tmp_path: Path) -> None:
    """Case 18: a folder with another model, or one that cannot be written, is refused before the
    first fit."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.json").write_text('{"spec_sha256": "1", "data_sha256": "2"}')
    said = faults(tmp_path, file_of(lines(table())))
    assert len(said) == 1
    assert "holds another model, which training never replaces" in said[0]
    said = faults(tmp_path, file_of(lines(table())), out="table.csv/model")
    assert "cannot be written" in said[0]


def test_19_a_person_in_several_rows(tmp_path: Path) -> None:
    """Case 19: a draft points at the column of customers, and their rows are in one fold."""
    rows = [f"{r},C{i // 5}" for i, r in enumerate(lines(table()))]
    made, _ = drafted(tmp_path, file_of(rows, "id,a,b,y,customer"))
    assert made["group"] == {"column": "customer"}
    data = reading.load(spec.load(tmp_path / "draft.toml"))
    fold = dataset.stratified_folds(data.label, 5, 0, data.group)
    assert np.array_equal(fold, np.repeat(fold[::5], 5))


def test_20_a_table_of_codes_without_an_id(tmp_path: Path) -> None:
    """Case 20: 1,000 rows of categories, space separated, without a header or an id, are drafted
    and read."""
    it = table(1_000)
    rows = [f"A1{b:.0f} {int(a * 100)} A3{i % 4} {y + 1}"
            for i, (a, b, y) in enumerate(zip(it.a, it.b, it.y, strict=True))]  # fmt: skip
    question = Question("4", ("2",), (), "default", "a credit", "made up")
    made, _ = drafted(tmp_path, "\n".join(rows), question)
    assert [f["type"] for f in made["feature"]] == ["text", "integer", "text"]
    data = reading.load(spec.load(tmp_path / "draft.toml"))
    assert data.levels["column_1"] == ("A10", "A11", "A12")
    assert data.ids[:2] == ("1", "2")


def test_20_the_verdict_names_the_model_to_use(tmp_path: Path) -> None:
    """Case 20: 1,000 rows of categories without an id are trained, and the verdict says which of
    trees and scorecard to use, which is the model that is served."""
    it = table(1_000)
    rows = [f"A1{b:.0f} {y + 1}" for b, y in zip(it.b, it.y, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    question = Question("2", ("2",), (), "default", "a credit", "made up")
    text = draft(tmp_path / "table.csv", tmp_path / "spec.toml", question, TODAY).text
    (tmp_path / "spec.toml").write_text(text + "\n[validation]\nfolds = 3\nseeds = [0]\n")
    with forked_workers():
        made = train.train(
            tmp_path / "spec.toml", tmp_path / "model", progress=False, jobs=1, budget_s=1.0
        )
    manifest = ModelScorer.load(tmp_path / "model").manifest
    assert manifest.raw[0].levels == ("A10", "A11", "A12")
    assert made["choice"]["nested"] is True
    assert made["verdict"]["kind"] == manifest.kind
    assert made["verdict"]["sentence"].startswith(f"Use the {manifest.kind}: ")


@pytest.mark.parametrize("kind", ["gz", "xz"])
def test_a_packed_file_that_breaks_off_is_named(tmp_path: Path, kind: str) -> None:
    """A packed file is read; one that is cut short is one line that says so."""
    body = file_of(lines(table())).encode()
    packed = gzip.compress(body) if kind == "gz" else lzma.compress(body)
    path = f"table.csv.{kind}"
    assert ready(tmp_path, packed, data={"path": path}).raw.shape == (600, 2)
    said = faults(tmp_path, packed[: len(packed) // 2], data={"path": path})
    assert len(said) == 1
    assert "breaks off or is damaged" in said[0]
    said = faults(tmp_path, packed, data={"path": "table.csv"})
    assert f'compression = "{kind}"' in said[0]


def test_a_parquet_file_reads_as_a_csv_file(tmp_path: Path) -> None:
    """A Parquet file gives the same data set as the CSV file of its rows."""
    import polars as pl

    it = table()
    days = np.datetime64("2020-01-01") + np.arange(600)
    frame = pl.DataFrame(
        {"id": np.arange(600), "a": it.a, "b": it.b, "y": it.y.astype(np.float64), "day": days,
         "who": [None if i % 9 == 0 else f"w{i % 7}" for i in range(600)]}
    )  # fmt: skip
    frame.write_parquet(tmp_path / "table.parquet")
    frame.with_columns(pl.col("y").cast(pl.Int8)).write_csv(tmp_path / "table.csv")
    more = [{"name": "day", "type": "date", "role": "input"},
            {"name": "who", "type": "text", "role": "input", "missing": "nan"}]  # fmt: skip
    found = [
        ready(tmp_path, (tmp_path / path).read_bytes(), data={"path": path}, feature=[A, B, *more])
        for path in ("table.parquet", "table.csv")
    ]
    assert np.array_equal(found[0].raw, found[1].raw, equal_nan=True)
    assert found[0].levels == found[1].levels
    assert found[0].ids == found[1].ids
    assert np.array_equal(found[0].label, found[1].label)


def test_rows_outside_the_study_are_a_waterfall(tmp_path: Path) -> None:
    """Each exclusion counts the rows that it leaves out of those that are still in."""
    it = table()
    rows = lines(it)
    data = ready(
        tmp_path,
        file_of(rows),
        exclude=[
            {"reason": "test accounts", "column": "id", "values": ["3", "4"]},
            {"reason": "low", "column": "a", "below": -1.0},
            {"reason": "other products", "column": "b", "other_than": ["0", "1"]},
        ],
    )
    first = np.isin(np.arange(600), [3, 4])
    second = ~first & (it.a < -1.0)
    third = ~first & ~second & (it.b == 2)
    assert data.excluded == (
        ("test accounts", 2), ("low", int(second.sum())), ("other products", int(third.sum())),
    )  # fmt: skip
    assert data.row.tolist() == (np.flatnonzero(~first & ~second & ~third) + 1).tolist()


def test_a_reference_group_that_no_row_has_is_named(tmp_path: Path) -> None:
    """The groups of a protected text are its values in the table; a reference group that is none of
    them is one line before the first fit."""
    sex = {"name": "sex", "type": "text", "role": "protected"}
    rows = [f"{r},{'fm'[i % 2]}" for i, r in enumerate(lines(table()))]
    text = file_of(rows, "id,a,b,y,sex")
    wanted = {**sex, "reference_group": "m"}
    assert ready(tmp_path, text, feature=[A, B, wanted]).spec.protected[0].reference_group == "m"
    said = faults(tmp_path, text, feature=[A, B, {**sex, "reference_group": "x"}])
    assert said == ["sex: reference_group: no group is named 'x'; the groups are f, m"]


def test_columns_by_position_and_repeated_names(tmp_path: Path) -> None:
    """A column may be named by its position; a repeated name must be."""
    rows = file_of(lines(table()), "id,x,x,y")
    said = faults(tmp_path, rows, feature=[{**A, "column": "x"}, {**B, "column": 3}])
    assert "column x appears twice, as columns 2 and 3: give the position instead" in said[0]
    data = ready(tmp_path, rows, feature=[{**A, "column": 2}, {**B, "column": 3}])
    assert data.raw[:, 1].tolist() == table().b.tolist()
