"""A file that tests use one after the other is like a fresh one for each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.storage.store import SqlStore
from tests.conftest import NewFile
from tests.fakes import Desk
from tests.sqlite import LentFiles


@pytest.fixture
def files(template: Path, new_file: NewFile) -> Iterator[LentFiles]:
    """No file is lent yet."""
    made = LentFiles(template, new_file)
    yield made
    made.close()


def content(file: Path) -> dict[str, list[Any]]:
    """All rows of all tables with their numbers, and the texts of the schema."""
    with closing(sqlite3.connect(file)) as connection:
        schema = connection.execute("SELECT name, type, sql FROM sqlite_master").fetchall()
        tables = [name for name, kind, _ in schema if kind == "table"]
        rows = {it: connection.execute(f"SELECT rowid, * FROM {it}").fetchall() for it in tables}
    return {**rows, "schema": sorted(schema)}


def use(files: LentFiles, file: Path) -> None:
    """A test that only changes rows."""
    lent = files.lent(file)
    assert lent is not None
    store = SqlStore(lent.engine)
    Desk(store).put_users(ann=700)
    store.close()


def test_a_used_file_is_lent_again_like_a_fresh_one(files: LentFiles, template: Path) -> None:
    """A file that was given back has the template's rows and its schema, and is lent again."""
    fresh, file = content(template), files.lend()
    use(files, file)
    assert content(file) != fresh
    assert files.give_back(file)
    assert files.lend() == file
    assert content(file) == fresh


def test_a_lent_file_keeps_its_guards(files: LentFiles) -> None:
    """Other connections cannot delete rows that are kept, also after rows were deleted for the
    next test."""
    file = files.lend()
    use(files, file)
    files.give_back(file)
    assert files.lend() == file
    with (
        closing(sqlite3.connect(file)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute("DELETE FROM audit")


def test_a_file_with_another_schema_is_not_lent_again(files: LentFiles) -> None:
    """A file whose schema a test changed is removed."""
    file = files.lend()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TRIGGER entries_no_delete")
    assert files.give_back(file)
    assert not file.exists()
    assert files.lend() != file


def test_a_file_with_an_unread_result_is_not_lent_again(files: LentFiles) -> None:
    """A file is removed if a connection that stays open still sees a test's rows."""
    file = files.lend()
    use(files, file)
    lent = files.lent(file)
    assert lent is not None
    with lent.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        unread = driver.execute("SELECT * FROM products")
        unread.fetchone()
        assert files.give_back(file)
    unread.close()
    assert not file.exists()
