"""Any file and any spec ends in a model error or a data set, and never in another exception."""

from __future__ import annotations

import contextlib
import io
import sys
import tomllib
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import checking, spec
from models.drafting import Question, draft
from models.errors import ModelError, TrainingError
from service.cli import main
from tests.models.reading_tables import TODAY
from tests.models.small_tables import table
from tests.models.small_tables import toml as toml_of
from tests.models.test_cases import file_of, lines, tree

FEW = settings(
    max_examples=150, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
CELLS = st.one_of(
    st.sampled_from(
        ["", "0", "1", "1.0", "NA", "-9", "1,5", "$3", "5%", '"', '""', '"a,b"', "x\ny", "1_0",
         "2020-01-31", "31/12/2020", "TOTAL", "\u0661", "1e999", "\ufeff", "\0", "a\r", "nan", "-"]
    ),
    st.text(max_size=6),
    st.integers(-99, 99).map(str),
    st.floats().map(repr),
)  # fmt: skip


@st.composite
def csv_files(draw: st.DrawFn) -> bytes:
    """Files like tables, with odd cells, ragged rows and odd bytes."""
    width = draw(st.integers(1, 5))
    mark = draw(st.sampled_from([",", ";", "\t", " ", "|"]))
    header = draw(
        st.sampled_from([["id", "a", "b", "y", "t"][:width], ["y"] * width, [""] * width])
    )
    rows = draw(st.lists(st.lists(CELLS, min_size=width - 1, max_size=width + 1), max_size=12))
    end = draw(st.sampled_from(["\n", "\r\n", "\r", ""]))
    body = end.join([mark.join(header), *(mark.join(row) for row in rows)])
    content = body.encode(draw(st.sampled_from(["utf-8", "utf-16", "latin-1"])), "replace")
    return draw(st.sampled_from([content, content + b"\xff\xfe", content[: len(content) // 2]]))


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.sampled_from(["", "a", "b", "y", 1, 2, 10**400, -1, "%d/%m/%Y", "%Q", "2020-01-01", "spaces",
                     "utf-16", "undefined", "rot13", "\0", "text", "date", "nan", "../x"]),
    st.lists(st.one_of(st.text(max_size=3), st.integers(), st.floats()), max_size=3),
    st.dictionaries(st.sampled_from(["column", "zh", "x"]), st.text(max_size=3), max_size=2),
)  # fmt: skip


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Any]:
    """Specs with a few keys changed, added or removed."""
    made = tree()
    for _ in range(draw(st.integers(0, 4))):
        table, keys = draw(st.sampled_from(sorted(spec.KEYS.items())))
        top = table.partition(".")[0]
        if not top:
            made[draw(st.sampled_from(keys))] = draw(VALUES)
            continue
        inner = {draw(st.sampled_from(keys)): draw(VALUES)}
        known = made.get(top)
        if top in ("feature", "exclude"):
            rows = known if isinstance(known, list) else []
            made[top] = [{**(rows[0] if rows and isinstance(rows[0], dict) else {}), **inner},
                         *rows[1:]]  # fmt: skip
        else:
            made[top] = {**(known if isinstance(known, dict) else {}), **inner}
    return made


def attempt(folder: Path, made: dict[str, Any], content: bytes) -> None:
    (folder / "table.csv").write_bytes(content)
    with contextlib.suppress(ModelError):
        checking.ready(spec.parse(made, path=folder / "spec.toml", sha256=""), folder / "model")


@FEW
@given(made=trees())
def test_any_spec_is_read_or_refused(tmp_path: Path, made: dict[str, Any]) -> None:
    """A spec with any values in any keys is read, or is refused with a model error."""
    attempt(tmp_path, made, b"id,a,b,y\n" + b"".join(
        b"%d,%d,%d,%d\n" % (i, i * 7 % 11, i * 5 % 3, i * i % 4 == 1) for i in range(120)
    ))  # fmt: skip


@FEW
@given(content=csv_files(), data=st.fixed_dictionaries({}, optional={
    "delimiter": st.sampled_from([",", ";", "spaces", " "]), "quote": st.sampled_from(["", "'"]),
    "header": st.booleans(), "skip_lines": st.integers(0, 3), "decimal": st.just(","),
    "encoding": st.sampled_from(["utf-8", "utf-16", "latin-1", "gb18030"]),
    "compression": st.sampled_from(["gz", "xz"]), "format": st.just("parquet"),
    "other_columns": st.just("exclude"), "percent": st.booleans(),
}))  # fmt: skip
def test_any_file_is_read_or_refused(tmp_path: Path, content: bytes, data: dict[str, Any]) -> None:
    """A file with any content is read, or is refused with a model error."""
    attempt(tmp_path, tree(data={"path": "table.csv", **data}), content)


@FEW
@given(content=csv_files())
def test_any_file_is_drafted_or_refused(tmp_path: Path, content: bytes) -> None:
    """A draft of any file passes its own checks, or is refused with a model error."""
    (tmp_path / "table.csv").write_bytes(content)
    question = Question("y", ("1",), (), "missed", "a month", "made up")
    with contextlib.suppress(ModelError):
        made = draft(tmp_path / "table.csv", tmp_path / "spec.toml", question, TODAY)
        tomllib.loads(made.text)


@FEW
@given(raw=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_any_bytes_as_a_spec_are_refused(tmp_path: Path, raw: bytes) -> None:
    """Bytes that are no spec are refused with a model error."""
    (tmp_path / "spec.toml").write_bytes(raw)
    with pytest.raises(ModelError):
        spec.load(tmp_path / "spec.toml")


ROWS = 120
KINDS_OF_COLUMNS: dict[str, Any] = {
    "bool": [True, False], "whole": [0, 1, 7], "number": [0.5, float("nan"), float("inf")],
    "text": ["1", "", "\0"], "date": [date(2020, 1, 1)], "moment": [datetime(2020, 1, 1, 5)],
    "hour": [time(5)], "span": [timedelta(3)], "decimal": [Decimal("1.50")], "bytes": [b"\xff"],
    "list": [[1, 2], []], "record": [{"x": 1}], "nothing": [None], "some": [None, 1],
}  # fmt: skip


@FEW
@given(
    kinds=st.dictionaries(st.sampled_from(["id", "a", "b", "y"]),
                          st.sampled_from(sorted(KINDS_OF_COLUMNS))),
    kept=st.sampled_from([1.0, 1.0, 0.99, 0.5, 0.1]),
)  # fmt: skip
def test_any_parquet_file_is_read_or_refused(
    tmp_path: Path, kinds: dict[str, str], kept: float
) -> None:
    """A Parquet file with columns of any type, whole or cut off, is read, or is refused with a
    model error."""
    known = dict.fromkeys(("id", "a", "b", "y"), "whole") | kinds
    columns = {name: (KINDS_OF_COLUMNS[kind] * ROWS)[:ROWS] for name, kind in known.items()}
    buffer = io.BytesIO()
    pl.DataFrame(columns, strict=False).write_parquet(buffer)
    whole = buffer.getvalue()
    attempt(tmp_path, tree(), whole[: int(kept * len(whole))])


WHOLE_SPEC = toml_of(tree(feature=[{"name": "a", "type": "number", "role": "input"}])).encode()
BITS = st.sampled_from(
    [b"", b"\0", b"\xff", b'"', b"[", b"]]", b"=", b"\n", b"\r", b"#", b"''", b"\xef\xbb\xbf",
     b"[feature]", b"[[data]]", b"1e999", b"-", b"{", "\u6536\u5165".encode(), b"1_0", b"0x1"]
)  # fmt: skip


@st.composite
def spec_files(draw: st.DrawFn) -> bytes:
    """A spec's file with parts put in, cut out or put in place of others, in odd encodings."""
    raw = WHOLE_SPEC
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(BITS) + raw[at + draw(st.integers(0, 12)) :]
    if draw(st.booleans()):
        raw = raw[: draw(st.integers(0, len(raw)))]
    if draw(st.integers(0, 9)) == 0:
        return raw.decode("utf-8", "replace").encode(draw(st.sampled_from(["utf-16", "utf-7"])))
    return raw


def ended(*words: str) -> tuple[int, str]:
    """The exit code of a command in this process, and what it said of its faults."""
    said = io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["freehold", *words]),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(said),
        pytest.raises(SystemExit) as caught,
    ):
        main()
    code = caught.value.code
    return (1, code) if isinstance(code, str) else (int(code or 0), said.getvalue())


@FEW
@given(raw=spec_files())
def test_any_spec_file_ends_a_command_in_lines(tmp_path: Path, raw: bytes) -> None:
    """`spec check` and `train` on any spec file end with a line for each fault, and never with a
    traceback; a fault is an exit code that is not 0."""
    (tmp_path / "table.csv").write_text(file_of(lines(table(120))), encoding="utf-8")
    path = tmp_path / "spec.toml"
    path.write_bytes(raw)
    stopped = TrainingError("the training began")
    with mock.patch("models.train._made", side_effect=stopped):
        for words in (["spec", "check", str(path)],
                      ["train", "--spec", str(path), "--out", str(tmp_path / "out")]):  # fmt: skip
            code, said = ended(*words)
            assert "Traceback" not in said
            assert code == 0 or said.strip().lower().startswith("error: "), said
            # A draft of a training that begins has no fault, and every other one is refused.
            assert words[0] == "spec" or code == 1
