"""The open files of a database, and changes of their paths."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from service.config import Limits, SqliteLimits
from service.engine.ports import OutcomeUnknown, StorageFailed
from service.storage import sqlite_files
from service.storage.database import open_database, reading, writing
from service.storage.sqlite_files import FileGone, FileGoneSince, OpenFiles, at_path
from service.storage.store import SqlStore
from tests.fakes import Desk

ROUNDS = 300
HANG_S = 30.0


@pytest.fixture
def other(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection that keeps the log and the shared memory in use."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=HANG_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        # These tests are about the order of changes; syncs would only make their processes wait.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("CREATE TABLE filler (content)")
        yield connection


@pytest.fixture
def files(file: Path, other: sqlite3.Connection) -> OpenFiles:
    made = OpenFiles(str(file))
    made.opened(made.opening())
    return made


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a9_each_file_may_go_and_come_back(files: OpenFiles, file: Path, suffix: str) -> None:
    """A9: while any of the files is moved away, the check fails; once the file is back, it
    passes."""
    path = Path(f"{file}{suffix}")
    for _ in range(2):
        path.rename(file.with_name("away"))
        for _ in range(2):
            with pytest.raises(FileGone, match=str(file)):
                files.check_all()
            # From then on the quick check is a thorough one.
            with pytest.raises(FileGone):
                files.check()
        file.with_name("away").rename(path)
        files.check_all()
        files.check()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a9_a_copy_is_another_file(files: OpenFiles, file: Path, suffix: str) -> None:
    """A9: the same bytes in another file are not the open file."""
    path = Path(f"{file}{suffix}")
    os.replace(shutil.copy(path, file.with_name("copy")), path)
    with pytest.raises(FileGone):
        files.check_all()


def test_a9_a_file_overwritten_in_place_is_seen(files: OpenFiles, file: Path) -> None:
    """A9: the quick check finds other content in the same file; a new timestamp alone is no
    change."""
    whole = file.read_bytes()
    os.utime(file)
    files.check()
    file.write_bytes(whole[:28] + b"\xff" + whole[29:])
    with pytest.raises(FileGone, match="written over"):
        files.check()
    # The content is put back as a repair.
    file.write_bytes(whole)
    files.check()


def test_a9_a_file_overwritten_after_the_first_commit_is_seen(file: Path) -> None:
    """A9: the first commit into a new log, which gives the log its salts, hides no change."""
    engine = open_database(f"sqlite:///{file}")
    older = file.read_bytes()
    for name in ("first", "second"):
        with writing(engine) as connection:
            connection.exec_driver_sql("UPDATE operators SET name = ?", (name,))
    file.write_bytes(older[:28] + b"\xff" + older[29:])
    with pytest.raises(FileGone, match="written over"), writing(engine) as connection:
        connection.exec_driver_sql("SELECT 1")
    engine.dispose()


@pytest.mark.parametrize("pinned", [False, True])
def test_a9_a_file_overwritten_after_a_copy_of_the_log_is_seen(file: Path, pinned: bool) -> None:
    """A9: neither a copy of the log nor the new begin of the log after it hides a change, also if
    a reader delays the new begin."""
    sqlite = SqliteLimits(checkpoint_pages=1, checkpoint_turns=2)
    engine = open_database(f"sqlite:///{file}", limits=Limits(sqlite=sqlite))

    def grow() -> None:
        with writing(engine) as connection:
            connection.exec_driver_sql("UPDATE operators SET name = name || zeroblob(50000)")

    for _ in range(3):
        grow()
    reader = engine.connect()
    if pinned:
        reader.execute(text("SELECT count(*) FROM operators")).scalar()
    for _ in range(3):
        grow()
    reader.close()
    for _ in range(2):
        grow()
    whole = file.read_bytes()
    file.write_bytes(whole[:28] + b"\xff" + whole[29:])
    with pytest.raises(FileGone, match="written over"):
        grow()
    engine.dispose()


def test_a9_an_older_file_is_seen_even_beside_a_checkpoint(
    files: OpenFiles, file: Path, other: sqlite3.Connection
) -> None:
    """A9: an older state of the file is seen even if a checkpoint was recorded since."""
    other.execute("PRAGMA wal_checkpoint(PASSIVE)")
    older = file.read_bytes()
    with closing(sqlite3.connect(file)) as second, second:
        second.execute("CREATE TABLE more (content)")
    other.execute("PRAGMA wal_checkpoint(PASSIVE)")
    files.check()
    other.execute("INSERT INTO filler VALUES (zeroblob(20000))")
    other.execute("PRAGMA wal_checkpoint(PASSIVE)")
    file.write_bytes(older)
    with pytest.raises(FileGone, match="written over"):
        files.check()


def test_a9_a_checkpoint_during_a_check_is_no_change(
    files: OpenFiles, file: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A9: a whole checkpoint between the two reads of a check is no foreign change, for this check
    and the next."""
    read = os.pread

    def grow() -> None:
        other.execute("INSERT INTO filler VALUES (zeroblob(20000))")
        other.execute("PRAGMA wal_checkpoint(PASSIVE)")

    for place in range(6):
        calls = iter(range(100))

        def checkpointed(descriptor: int, size: int, offset: int, place: int = place) -> bytes:
            if next(calls) == place:  # noqa: B023
                grow()
            return read(descriptor, size, offset)

        grow()
        monkeypatch.setattr(os, "pread", checkpointed)
        files.check()
        monkeypatch.setattr(os, "pread", read)
        files.check()
        grow()
        files.check()


def test_a9_checkpoints_are_no_change(
    files: OpenFiles, file: Path, other: sqlite3.Connection
) -> None:
    """A9: while others write and make checkpoints at any moment, no check fails."""
    done = threading.Event()
    failed: list[BaseException] = []

    def look() -> None:
        try:
            while not done.is_set():
                files.check()
                files.check_all()
        except BaseException as error:
            failed.append(error)

    looking = [threading.Thread(target=look, name="looking") for _ in range(2)]
    for thread in looking:
        thread.start()
    before = file.stat().st_size
    for number in range(ROUNDS):
        other.execute("INSERT INTO filler VALUES (zeroblob(20000))")
        mode = ("PASSIVE", "RESTART", "TRUNCATE")[number % 3]
        other.execute(f"PRAGMA wal_checkpoint({mode})")
    done.set()
    for thread in looking:
        thread.join(HANG_S)
    assert failed == []
    assert file.stat().st_size > before


def test_a9_the_log_may_go_with_the_last_connection(file: Path) -> None:
    """A9: when the last connection closes, log and shared memory are removed; the next connection
    makes new ones."""
    engine = open_database(f"sqlite:///{file}")
    for _ in range(3):
        with writing(engine) as connection:
            connection.exec_driver_sql("UPDATE operators SET name = name")
        engine.dispose()
        assert not Path(f"{file}-wal").exists()


def test_a9_the_path_is_resolved_once(file: Path, tmp_path: Path) -> None:
    """A9: a symbolic link that changes later has no effect."""
    link = tmp_path / "link"
    link.symlink_to(file)
    engine = open_database(f"sqlite:///{link}")
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE operators SET name = 'first'")
    link.unlink()
    link.symlink_to(shutil.copy(file, tmp_path / "other"))
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE operators SET name = 'second'")
    engine.dispose()
    with closing(sqlite3.connect(file)) as connection:
        assert set(connection.execute("SELECT name FROM operators")) == {("second",)}


def test_a9_a_check_creates_no_file(tmp_path: Path) -> None:
    """A9: a missing database is created only by an open that asks for it."""
    file = tmp_path / "freehold.db"
    engine = open_database(f"sqlite:///{file}")
    with pytest.raises(StorageFailed), reading(engine) as connection:
        connection.exec_driver_sql("SELECT 1")
    assert list(tmp_path.iterdir()) == []
    made = open_database(f"sqlite:///{file}", create=True)
    with writing(made) as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")
    made.dispose()
    assert file.exists()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a9_a_commit_into_a_removed_file_is_unknown(file: Path, suffix: str) -> None:
    """A9: if a file disappears between the check and the end of COMMIT, the outcome is unknown. If
    it disappeared before the check, the commit is refused, and its rows never appear in the
    file."""
    engine = open_database(f"sqlite:///{file}")
    path, away = Path(f"{file}{suffix}"), file.with_name("away")

    def change(name: str, act: Callable[[], object], *, at_commit: bool) -> None:
        with engine.connect().execution_options(writes=True) as connection:
            transaction = connection.begin()
            connection.exec_driver_sql("UPDATE operators SET name = ?", (name,))
            driver = connection.connection.driver_connection
            if at_commit:
                # SQLite asks this when COMMIT begins, after the check.
                driver.set_trace_callback(  # type: ignore[union-attr]
                    lambda statement: act() if statement == "COMMIT" else None
                )
            else:
                act()
            try:
                transaction.commit()
            finally:
                driver.set_trace_callback(None)  # type: ignore[union-attr]

    with pytest.raises(FileGoneSince) as caught:
        change("since", lambda: path.rename(away), at_commit=True)
    assert isinstance(caught.value, OutcomeUnknown)
    with pytest.raises(FileGone):
        change("after", lambda: None, at_commit=False)
    away.rename(path)
    # The refused transaction holds no lock.
    with closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as rival:
        rival.execute("BEGIN IMMEDIATE")
    with reading(engine) as connection:
        names = connection.exec_driver_sql("SELECT DISTINCT name FROM operators").scalars().all()
    assert names == ["since"]
    engine.dispose()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a9_a_read_from_a_removed_file_is_refused(file: Path, suffix: str) -> None:
    """A9: while any file is missing, each read is refused, and never with an unknown outcome. Reads
    work when the file is back."""
    store = SqlStore(open_database(f"sqlite:///{file}"))
    Desk(store).put_user("ann", 700)
    known = store.person("ann", "CNY")
    path, away = Path(f"{file}{suffix}"), file.with_name("away")
    path.rename(away)
    for _ in range(3):
        with pytest.raises(StorageFailed):
            store.person("ann", "CNY")
    away.rename(path)
    assert store.person("ann", "CNY") == known
    store.close()


def test_a9_a_file_that_goes_during_a_read(file: Path) -> None:
    """A9: if the file is removed during a read, the read is refused. Its outcome is not called
    unknown."""
    engine = open_database(f"sqlite:///{file}")
    path, away = Path(f"{file}-wal"), file.with_name("away")

    def read() -> None:
        with reading(engine) as connection:
            connection.exec_driver_sql("SELECT count(*) FROM operators").all()
            path.rename(away)

    with pytest.raises(StorageFailed):
        read()
    away.rename(path)
    engine.dispose()


def test_a9_a_files_status_equals_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A9: device, inode, time and size of a file equal those of `os.stat`, in both ways of asking;
    a path without a file has none."""
    for name, content in (("empty", b""), ("of some \u4e2d\u6587", b"x" * 5_000)):
        path = tmp_path / name
        path.write_bytes(content)
        os.utime(path, ns=(1, 1_780_272_000_123_456_789))
        stat = os.stat(path)
        expected = ((stat.st_dev, stat.st_ino), (stat.st_mtime_ns, stat.st_size))
        assert at_path(str(path)) == expected
        with monkeypatch.context() as other:
            other.setattr(sqlite_files, "_STATX", None)
            assert at_path(str(path)) == expected
            assert at_path(str(tmp_path / "nothing")) is None
    assert at_path(str(tmp_path / "nothing")) is None
    assert at_path(str(tmp_path / "empty" / "below")) is None
