"""What all tests share: profiles of Hypothesis, and fresh databases copied from one template."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from service.storage.database import open_database
from service.storage.store import SqlStore
from tests.fakes import Desk, new_database

# "ci" tries the same examples in every run and leaves a failing one as it is, since shrinking may
# take minutes; "long" looks for new ones, and shrinks them, for as long as it takes.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=100,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long",
    deadline=None,
    max_examples=5_000,
    stateful_step_count=200,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

NewFile = Callable[[], Path]
NewStore = Callable[[], SqlStore]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database with two operators, in one file."""
    path = tmp_path_factory.mktemp("template") / "freehold.db"
    new_database(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


@pytest.fixture(scope="session")
def new_file(template: Path, tmp_path_factory: pytest.TempPathFactory) -> NewFile:
    """Makes copies of the template."""

    def make() -> Path:
        return Path(shutil.copy(template, tmp_path_factory.mktemp("database")))

    return make


@pytest.fixture
def file(new_file: NewFile) -> Path:
    """The file of a fresh database."""
    return new_file()


@pytest.fixture
def store(file: Path) -> Iterator[SqlStore]:
    """A fresh database with two operators."""
    opened = SqlStore(open_database(f"sqlite:///{file}"))
    yield opened
    opened.close()


@pytest.fixture
def desk(store: SqlStore) -> Desk:
    """An engine on a fresh database."""
    return Desk(store)
