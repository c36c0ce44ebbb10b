from __future__ import annotations

import sys
from pathlib import Path

import pytest

from service.cli import main
from tests.models.small_tables import table
from tests.models.test_cases import file_of, lines

INIT = ("--bad", "1", "--outcome", "missed", "--horizon", "a month", "--population", "made up")


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["freehold", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    code = caught.value.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
        return 1
    return int(code or 0)


def test_a_draft_passes_its_own_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`spec init` writes a spec beside the table, says what to look at, never replaces a file, and
    `spec check` finds nothing wrong with it."""
    path = tmp_path / "people.csv"
    rows = [f"{r},{20 + i % 50}" for i, r in enumerate(lines(table()))]
    path.write_text(file_of(rows, "id,a,b,y,age"), encoding="utf-8")
    assert run(monkeypatch, "spec", "init", str(path), "--label", "y", *INIT) == 0
    assert "age: may be a protected attribute" in capsys.readouterr().out
    drafted = (tmp_path / "people.toml").read_text(encoding="utf-8")
    assert run(monkeypatch, "spec", "init", str(path), "--label", "y", *INIT) == 1
    assert "exists; name another file with --out" in capsys.readouterr().err
    assert (tmp_path / "people.toml").read_text(encoding="utf-8") == drafted
    assert run(monkeypatch, "spec", "check", str(tmp_path / "people.toml")) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_a_check_names_every_fault_and_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`spec check` prints a line for each fault of the table, and exits with 1."""
    rows = lines(table())
    rows[6] = "6,word,1,0"
    rows[8] = "8,1,,0"
    (tmp_path / "table.csv").write_text(file_of(rows), encoding="utf-8")
    (tmp_path / "spec.toml").write_text(
        """
        data = { path = "table.csv" }
        id = { column = "id" }
        feature = [
          { name = "a", type = "number", role = "input" },
          { name = "b", type = "number", role = "input" },
        ]
        [label]
        column = "y"
        bad = [1]
        good = [0]
        outcome = "missed"
        horizon = "a month"
        population = "made up"
        """,
        encoding="utf-8",
    )
    words = ("spec", "check", str(tmp_path / "spec.toml"), "--out", str(tmp_path / "table.csv"))
    assert run(monkeypatch, *words) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert "table.csv: cannot be written" in said[0]
    assert said[1:] == [
        "error: a: row 7 is not a number: 'word'",
        "error: b: row 9 has no value",
    ]


@pytest.mark.parametrize(
    ("label", "bad", "match"),
    [("z", "1", "there is no column z; the columns are id, a, b, y"),
     ("y", "bad", "no row has this label; the labels are '0', '1'")],
)  # fmt: skip
def test_a_draft_of_another_table_is_refused(
    tmp_path: Path,
    label: str,
    bad: str,
    match: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A label's column or value that the table lacks is one line with those that it has."""
    (tmp_path / "table.csv").write_text(file_of(lines(table())), encoding="utf-8")
    words = ("--label", label, "--bad", bad, *INIT[2:])
    assert run(monkeypatch, "spec", "init", str(tmp_path / "table.csv"), *words) == 1
    assert match in capsys.readouterr().err
