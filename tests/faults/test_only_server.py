"""A served SQLite file is refused to a second server, whatever happened to names and files."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from service.storage.only_server import NotAlone, only_server
from tests.faults.support import one_line, run, server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A migrated database, alone in its folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    assert run("migrate", "--database", f"sqlite:///{folder / 'freehold.db'}").returncode == 0
    return folder / "freehold.db"


def without_lock_file(file: Path) -> Path:
    """Removes the lock file beside the database."""
    file.with_name("freehold.db-server").unlink()
    return file


def hard_link(file: Path) -> Path:
    """A second name of the file, with other files beside it."""
    other = file.parents[1] / "other.db"
    other.hardlink_to(file)
    return other


def symbolic_link(file: Path) -> Path:
    """A name that leads to the file, after the lock file was removed."""
    other = file.parents[1] / "link.db"
    other.symlink_to(without_lock_file(file))
    return other


def moved(file: Path) -> Path:
    """The file by another name, and the first name is free."""
    return file.rename(file.with_name("moved.db"))


@pytest.mark.parametrize("change", [without_lock_file, hard_link, symbolic_link, moved])
def test_a18_a_served_file_is_refused_by_every_name(
    file: Path, model: Path, change: Callable[[Path], Path]
) -> None:
    """A18: while a server has a SQLite file, a second server on the same file is refused with one
    line, after the lock file was removed as well as by any other name of the file. The first
    server's own locks stay."""
    with server(f"sqlite:///{file}", model, "127.0.0.1:0") as first:
        first.wait_for("serving")
        locks = posix_locks(first.process.pid, file)
        assert locks
        path = change(file)
        words = ("--listen", "127.0.0.1:0", "--model", str(model))
        done = run("serve", "--database", f"sqlite:///{path}", *words)
        assert done.returncode == 1
        assert one_line(done.stderr).startswith(f"Error: {path} is served by another process")
        assert first.process.poll() is None
        assert locks <= posix_locks(first.process.pid, path)
        first.kill()
    with server(f"sqlite:///{path}", model, "127.0.0.1:0") as next_one:
        next_one.wait_for("serving")
        assert next_one.terminate() == 0


def posix_locks(process: int, file: Path) -> set[str]:
    """The places that a process has locked in a file by POSIX locks, on Linux."""
    inode = file.stat().st_ino
    lines = [it.split() for it in Path("/proc/locks").read_text().splitlines()]
    mine = [it for it in lines if "->" not in it and it[4] == str(process) and it[1] == "POSIX"]
    return {"-".join(it[6:8]) for it in mine if it[5].endswith(f":{inode}")}


def test_a18_sqlite_keeps_its_locks_beside_ours(file: Path) -> None:
    """A18: taking, refusing and releasing the server's lock drops no lock of SQLite in the same
    process: another process still cannot write into an open transaction."""
    program = (
        "import sqlite3, sys\nsqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN EXCLUSIVE')\n"
    )
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        for _ in range(2):
            with only_server(str(file)), pytest.raises(NotAlone), only_server(str(file)):
                pass
            words = [sys.executable, "-c", program, str(file)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert "database is locked" in done.stderr


def test_a18_a_server_of_an_earlier_build_is_noticed(file: Path) -> None:
    """A18: an earlier build locks only the file beside the database; its database is refused
    too."""
    beside = os.open(f"{file}-server", os.O_RDONLY | os.O_CREAT)
    fcntl.flock(beside, fcntl.LOCK_EX)
    with pytest.raises(NotAlone, match="is served by another process"), only_server(str(file)):
        pass
    os.close(beside)
    with only_server(str(file)):
        pass


def test_a18_a_file_that_is_gone_is_not_locked(tmp_path: Path) -> None:
    """A18: a file that went away before it was locked is refused, and not made anew."""
    path = tmp_path / "gone.db"
    with pytest.raises(NotAlone, match=f"{path} cannot be locked"), only_server(str(path)):
        pass
    assert list(tmp_path.iterdir()) == []
