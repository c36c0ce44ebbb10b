"""Copies of SQLite's log into the file, beside the transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from service.config import LIMITS, Limits
from service.storage import log_copies
from service.storage.database import open_database, writing
from service.storage.log_copies import LogCopies
from service.storage.sqlite_files import FileGone, log_pages

HANG_S = 30.0
PAGES = 40


def limits(turns: int = 1) -> Limits:
    """Limits under which a log of `PAGES` pages is copied, looked at every `turns` transactions."""
    sqlite = replace(LIMITS.sqlite, checkpoint_pages=PAGES, checkpoint_turns=turns)
    return replace(LIMITS, sqlite=sqlite)


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    made = open_database(f"sqlite:///{file}", limits=limits())
    try:
        with writing(made) as connection:
            connection.exec_driver_sql("CREATE TABLE filler (content)")
        yield made
    finally:
        made.dispose()


def write(engine: Engine, times: int = 1) -> None:
    """Transactions of four pages or more each."""
    for _ in range(times):
        with writing(engine) as connection:
            connection.exec_driver_sql("INSERT INTO filler VALUES (randomblob(16384))")


def write_in_turn(engine: Engine, times: int) -> None:
    """The same, each after the end of a copy that runs."""
    for _ in range(times):
        write(engine)
        for thread in copying():
            thread.join(HANG_S)


def copying() -> list[threading.Thread]:
    """The threads that copy a log now."""
    return [it for it in threading.enumerate() if it.name == "log copy"]


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Copies by threads wait until the block ends; the event tells that one began."""
    began, go = threading.Event(), threading.Event()
    copy = log_copies._copy

    def waiting(connection: sqlite3.Connection) -> tuple[int, int, int]:
        if threading.current_thread().name == "log copy":
            began.set()
            assert go.wait(HANG_S)
        return copy(connection)

    monkeypatch.setattr(log_copies, "_copy", waiting)
    try:
        yield began
    finally:
        go.set()


def test_no_transaction_waits_for_a_copy(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    """Transactions go on while a long log is copied, and one thread copies at a time."""
    with held(monkeypatch) as began:
        write(engine, 3 * PAGES)
        assert began.wait(HANG_S)
        assert len(copying()) == 1
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT count(*) FROM filler").fetchone() == (3 * PAGES,)


def test_the_log_starts_anew_after_a_copy(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    """The writer copies the pages that a thread left, and the log starts anew."""
    copy = log_copies._copy

    def overtaken(connection: sqlite3.Connection) -> tuple[int, int, int]:
        """Leaves as many pages as it says to have copied, like a copy beside many calls."""
        if threading.current_thread().name == "log copy":
            return 0, log_copies.FEW_PAGES, log_copies.FEW_PAGES
        return copy(connection)

    monkeypatch.setattr(log_copies, "_copy", overtaken)
    for _ in range(10):
        write_in_turn(engine, PAGES)
        assert log_pages(str(file)) < 2 * PAGES


def test_a_failed_copy_stops_the_next_transaction(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction after a failed copy is refused, and the one after it succeeds."""

    def failing(_connection: sqlite3.Connection) -> tuple[int, int, int]:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(log_copies, "_copy", failing)
        with pytest.raises(DBAPIError, match="disk I/O error"):
            write_in_turn(engine, 3 * PAGES)
    write(engine)


def test_a_copy_that_cannot_open_a_file_has_failed(file: Path) -> None:
    """A copy that cannot even open a file is told, although the look at the disk fails too."""

    def refuse() -> closing[sqlite3.Connection]:
        raise OSError(24, "Too many open files")

    def doubt() -> None:
        raise OSError(24, "Too many open files")

    copies = copies_of(file, refuse, doubt)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("CREATE TABLE filler (content)")

        def write_rows() -> None:
            for _ in range(2 * PAGES):
                copies.begin_writing(connection)
                connection.execute("INSERT INTO filler VALUES (randomblob(16384))")
                copies.wait()

        with pytest.raises(sqlite3.OperationalError, match="Too many open files"):
            write_rows()


def test_a_reader_of_an_old_state_only_delays_the_copy(engine: Engine, file: Path) -> None:
    """While a reader needs the log, it grows; after the reader's end it is copied."""
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM filler").fetchone()
        write(engine, 2 * PAGES)
        grown = log_pages(str(file))
        assert grown > 2 * PAGES
        reader.execute("COMMIT")
        write_in_turn(engine, 4)
        assert log_pages(str(file)) < grown


def test_the_last_close_waits_for_a_copy(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    """Once the last connection is closed, no copy runs, and the log is gone."""
    with held(monkeypatch) as began:
        write(engine, 2 * PAGES)
        assert began.wait(HANG_S)
        closing_all = threading.Thread(target=engine.dispose)
        closing_all.start()
    closing_all.join(HANG_S)
    assert not copying()
    assert not Path(f"{file}-wal").exists()


def copies_of(
    file: Path,
    connect: Callable[[], closing[sqlite3.Connection]],
    doubt: Callable[[], None] = lambda: None,
) -> LogCopies:
    """The copies of a database's log."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    return LogCopies(str(file), connect, doubt, limits().sqlite)


def test_a_file_that_is_gone_is_left_to_the_transaction(file: Path) -> None:
    """A copy that finds the file gone raises nothing; the transaction's own check tells it."""

    def gone() -> closing[sqlite3.Connection]:
        raise FileGone(f"{file} is not there any more: put it back")

    copies = copies_of(file, gone)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("CREATE TABLE filler (content)")
        for _ in range(2 * PAGES):
            copies.begin_writing(connection)
            connection.execute("INSERT INTO filler VALUES (randomblob(16384))")
            copies.wait()
        assert log_pages(str(file)) > PAGES


def test_without_a_further_thread_the_writer_copies(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    """If the system allows no further thread, the writer copies the log itself."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with engine.connect(), monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(4):
            write(engine, PAGES)
        assert log_pages(str(file)) < 2 * PAGES
