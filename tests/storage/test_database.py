"""Opening a database: the settings for durability."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import OperationalError

from service.config import Limits, SqliteLimits
from service.storage import schema as t
from service.storage.database import (
    open_database,
    reading,
    reading_all,
    session_of,
    writing,
)
from service.storage.sqlite import SMALL_FILE_BYTES
from service.storage.sqlite_files import log_pages

INSERT = "INSERT INTO limit_steps VALUES ('EUR', 1, 1)"
ROWS = select(func.count()).where(t.limit_steps.c.currency == "EUR")
COUNT = text("SELECT count(*) FROM limit_steps WHERE currency = 'EUR'")


@pytest.fixture
def database(file: Path) -> Iterator[Engine]:
    """A migrated database in a file."""
    engine = open_database(f"sqlite:///{file}")
    yield engine
    engine.dispose()


@pytest.fixture
def either(url: str) -> Iterator[Engine]:
    """A migrated database of either kind."""
    engine = open_database(url)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 5_000)],
)
def test_every_connection_is_durable(database: Engine, pragma: str, value: object) -> None:
    """Every connection of the pool uses write-ahead logging and full syncs, later ones too."""
    with ExitStack() as stack:
        connections = [stack.enter_context(database.connect()) for _ in range(4)]
        for connection in connections:
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value
    with database.connect() as again:
        assert again.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


@pytest.mark.parametrize("large", [False, True])
def test_the_writer_of_batches_has_a_cache_for_the_size_of_the_file(
    database: Engine, file: Path, large: bool
) -> None:
    """The connection that writes batches keeps more pages of a file of 1 GiB than of a smaller
    file; no other connection does."""
    limits = Limits(sqlite=SqliteLimits(cache_kib=5_000, small_file_cache_kib=4_000))
    with database.connect():
        pass
    if large:
        # A sparse end of the file; SQLite knows its number of pages from the first page.
        os.truncate(file, SMALL_FILE_BYTES)
    sizes = []
    opened = open_database(f"sqlite:///{file}", limits=limits)
    with opened.connect() as writer, opened.connect() as reader:
        session_of(writer)
        for connection in (writer, reader):
            sizes.append(connection.exec_driver_sql("PRAGMA cache_size").scalar())
    opened.dispose()
    assert sizes == [-5_000 if large else -4_000, -SqliteLimits().read_cache_kib]


@pytest.mark.parametrize(
    ("pages", "blob", "least", "most"),
    [(1_000, 16, 100, 150), (1_000, 500_000, 1_000, 1_400), (50, 16, 50, 80)],
)
def test_the_log_is_copied_sooner_while_transactions_are_small(
    file: Path, pages: int, blob: int, least: int, most: int
) -> None:
    """While transactions write few pages each, a shorter log is copied, so that no call waits long
    for the copy. It is never longer than the log of large transactions."""
    sqlite = SqliteLimits(checkpoint_pages=pages, light_checkpoint_pages=100, checkpoint_turns=1)
    engine = open_database(f"sqlite:///{file}", limits=Limits(sqlite=sqlite))
    lengths = []
    with engine.connect():  # so that the log stays
        with writing(engine) as connection:
            connection.exec_driver_sql("CREATE TABLE filler (content)")
        for _ in range(300 if blob == 16 else 30):
            with writing(engine) as connection:
                connection.exec_driver_sql(f"INSERT INTO filler VALUES (zeroblob({blob}))")
            lengths.append(log_pages(str(file)))
    engine.dispose()
    assert least <= max(lengths) <= most
    assert min(lengths[-20:]) < least


def test_a_writer_takes_the_lock_at_once(database: Engine, file: Path) -> None:
    """A writing transaction locks before it reads; a reading one lets others write."""
    rival = sqlite3.connect(file, timeout=0, isolation_level=None)
    with database.connect() as reader, reader.begin():
        reader.execute(COUNT)
        rival.execute("BEGIN IMMEDIATE")
        rival.execute("ROLLBACK")
    with writing(database), pytest.raises(sqlite3.OperationalError, match="locked"):
        rival.execute("BEGIN IMMEDIATE")
    rival.execute("BEGIN IMMEDIATE")
    rival.close()


def test_a_block_commits_at_its_end(either: Engine) -> None:
    """A writing block commits at its end, and rolls back on an error."""
    with writing(either) as connection:
        connection.exec_driver_sql(INSERT)
    with pytest.raises(ZeroDivisionError), writing(either) as connection:
        _ = connection.exec_driver_sql(INSERT.replace("1, 1", "2, 2")), 1 / 0
    with reading(either) as connection:
        assert connection.scalar(COUNT) == 1


def test_a_reading_block_sees_one_state(either: Engine) -> None:
    """A reading block sees the same state to its end, even if others write."""
    with reading(either) as reader, reading_all(either, 10) as streaming:
        assert reader.scalar(COUNT) == streaming.scalar(ROWS) == 0
        with writing(either) as connection:
            connection.exec_driver_sql(INSERT)
        assert reader.scalar(COUNT) == streaming.scalar(ROWS) == 0
    with reading(either) as reader:
        assert reader.scalar(COUNT) == 1


def test_other_databases_are_refused() -> None:
    """Only SQLite and PostgreSQL databases are accepted."""
    with pytest.raises(ValueError, match="unsupported database: mysql"):
        open_database("mysql://localhost/x")


def test_a_file_in_a_missing_folder(tmp_path: Path) -> None:
    """A file in a missing folder is an error at the first use."""
    engine = open_database(f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    with pytest.raises(OperationalError):
        engine.connect()
