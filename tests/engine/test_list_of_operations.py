"""The list of operations is generated from the operations' files."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.engine import generate

ROW = (
    "class Rent:\n    pass\n\n\nclass _Part:\n    pass\n\n\nRENT = Operation(Rent, keys, decide)\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one operation's file, and the list of it."""
    monkeypatch.setattr(generate, "OPERATIONS", tmp_path)
    monkeypatch.setattr(generate, "LIST", tmp_path / "__init__.py")
    (tmp_path / "rent.py").write_text(ROW)
    monkeypatch.setattr("sys.argv", ["generate"])
    assert generate.main() == 0
    return tmp_path


def test_a_file_gives_its_row_and_its_types(folder: Path) -> None:
    """The list imports the row and the public types of each file, and names the types."""
    text = (folder / "__init__.py").read_text()
    assert "from service.engine.operations.rent import RENT, Rent\n" in text
    assert "= (\n    RENT,\n)" in text
    assert '    "Rent",\n]' in text


def test_a_list_that_lacks_a_file_is_not_current(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check passes right after the list was written, and fails after a file was added."""
    monkeypatch.setattr("sys.argv", ["generate", "--check"])
    assert generate.main() == 0
    (folder / "return.py").write_text(ROW.replace("Rent", "Return").replace("RENT", "RETURN"))
    assert generate.main() == 1
    assert "run `make stubs`" in capsys.readouterr().err


@pytest.mark.parametrize("rows", [0, 2])
def test_a_file_without_exactly_one_row_is_refused(folder: Path, rows: int) -> None:
    """An operation's file has one row: without one, or with two, the program ends with the file's
    name."""
    (folder / "rent.py").write_text("RENT = Operation(Rent, keys, decide)\n" * rows)
    with pytest.raises(SystemExit, match=rf"rent\.py: it must have one row .*, but has {rows}"):
        generate.text()
