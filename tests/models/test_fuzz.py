"""Any file and any spec ends in a model error or a data set, and never in another exception."""

from __future__ import annotations

import contextlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import checking, spec
from models.drafting import Question, draft
from models.errors import ModelError
from tests.models.test_cases import tree

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
        made = draft(tmp_path / "table.csv", tmp_path / "spec.toml", question)
        tomllib.loads(made.text)


@FEW
@given(raw=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_any_bytes_as_a_spec_are_refused(tmp_path: Path, raw: bytes) -> None:
    """Bytes that are no spec are refused with a model error."""
    (tmp_path / "spec.toml").write_bytes(raw)
    with pytest.raises(ModelError):
        spec.load(tmp_path / "spec.toml")
