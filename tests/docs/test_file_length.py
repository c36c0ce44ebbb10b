"""Files stay short enough to be read as a whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("service", "models", "benchmarks", "proto")
MOST_LINES = 500
NOT_BY_HAND = re.compile(r"_pb2(_grpc)?\.py$|^proto/freehold/methods\.py$|/migrations/versions/")
"""Stubs and the client's methods are generated; migrations are frozen, however long they are."""


def by_hand(root: Path) -> list[str]:
    """Hand-written Python files below the folders, by their path from `root`."""
    paths = [path for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    names = sorted(path.relative_to(root).as_posix() for path in paths)
    return [name for name in names if not NOT_BY_HAND.search(name)]


def lines_of(path: Path) -> int:
    """The number of lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def too_long(root: Path) -> list[str]:
    """A sentence for each file with more than `MOST_LINES` lines."""
    counts = {name: lines_of(root / name) for name in by_hand(root)}
    return [
        f"{name} has {lines} lines, {MOST_LINES} are allowed: split it by subject"
        for name, lines in counts.items()
        if lines > MOST_LINES
    ]


def test_no_file_is_too_long() -> None:
    """A hand-written file has at most 500 lines, except tests and migrations."""
    names = by_hand(ROOT)
    assert {name.split("/")[0] for name in names} == set(FOLDERS)
    assert too_long(ROOT) == []


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("service/engine/long.py", True),
        ("service/storage/migrations/long.py", True),
        ("service/storage/migrations/versions/0001_long.py", False),
        ("proto/freehold/v1/long_pb2.py", False),
        ("proto/freehold/v1/long_pb2_grpc.py", False),
        ("tests/engine/test_long.py", False),
    ],
)
def test_a_long_file_is_named(tmp_path: Path, name: str, counts: bool) -> None:
    """A file with one line too many is named with its number of lines; stubs, migrations and tests
    are not."""
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text("pass\n" * MOST_LINES)
    assert too_long(tmp_path) == []
    path.write_text("pass\n" * (MOST_LINES + 1))
    found = too_long(tmp_path)
    assert [it.split(" lines,")[0] for it in found] == ([f"{name} has 501"] if counts else [])
