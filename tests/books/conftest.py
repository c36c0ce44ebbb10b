"""A book that most of these tests begin with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.storage import book


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a book with every transition, which no test changes."""
    return book.lived(tmp_path_factory.getbasetemp())


@pytest.fixture
def lived_file(lived: Path, tmp_path: Path) -> Path:
    """A copy of that file."""
    return Path(shutil.copy(lived, tmp_path / "lived.db"))
