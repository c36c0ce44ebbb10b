"""The tests' PostgreSQL starts by itself and never outlives them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks import postgres
from tests.postgres import Cluster

ROOT = Path(__file__).resolve().parents[2]
HANG_S = 60.0
POLL_S = 0.02

TEST_RUN = """
import sys, time
from tests.postgres import Cluster
started = Cluster()
print(started.folder, started._server.pid, flush=True)
sys.stdin.read()
"""


def gone(process: int) -> bool:
    """Whether a process has ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{process}/stat")
    # The process has ended, but its parent has not collected it yet.
    return state.exists() and state.read_text("utf-8").rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_server_ends_with_the_tests(how: signal.Signals) -> None:
    """However a test run ends, its server ends too, and the server's folder is removed."""
    run = subprocess.Popen(
        [sys.executable, "-c", TEST_RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    assert run.stdout is not None
    folder, number = run.stdout.readline().split()
    assert not gone(int(number))
    # As from the terminal: to the whole group at once.
    os.killpg(run.pid, how)
    run.communicate(timeout=HANG_S)
    end = time.monotonic() + HANG_S
    while Path(folder).exists() or not gone(int(number)):
        assert time.monotonic() < end, "the server outlived its tests"
        time.sleep(POLL_S)


def test_it_listens_on_no_network(cluster: Cluster) -> None:
    """The server has no port, and its folder is closed to other users."""
    assert cluster.admin.execute("SHOW listen_addresses").fetchone() == ("",)
    assert cluster.folder.stat().st_mode & 0o077 == 0


def test_it_does_not_run_as_root(cluster: Cluster) -> None:
    """PostgreSQL runs as an unprivileged user, even where the tests do not."""
    (name,) = cluster.admin.execute("SHOW data_directory").fetchone() or ("",)
    assert Path(name).stat().st_uid == (os.geteuid() or postgres.NOBODY)


def test_its_programs_are_copied_to_an_open_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PostgreSQL runs from a copy when the environment lies in a closed folder."""
    monkeypatch.delenv("FREEHOLD_POSTGRES", raising=False)
    monkeypatch.setattr(postgres, "_as_nobody", lambda: {"user": postgres.NOBODY})
    monkeypatch.setattr(postgres, "_for_all", lambda folder: False)
    programs = postgres._programs(tmp_path, postgres.pinned_programs())
    assert programs == tmp_path / "postgres" / "bin"
    version = subprocess.run([programs / "postgres", "--version"], capture_output=True, check=True)
    assert b"PostgreSQL" in version.stdout


@pytest.mark.parametrize("safe", [True, False])
def test_only_a_server_that_does_not_sync_is_in_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, safe: bool
) -> None:
    """A server that syncs has its files on the disk; another server has them in memory, if there is
    room."""
    monkeypatch.setattr(postgres, "_for_all", lambda folder: True)
    monkeypatch.setattr(postgres, "MEMORY", tmp_path)
    for room_bytes, in_memory in ((0, not safe), (1 << 62, False)):
        monkeypatch.setattr(postgres, "ROOM_BYTES", room_bytes)
        folder = postgres._new_folder(safe=safe)
        folder.rmdir()
        assert (folder.parent == tmp_path) == in_memory
    monkeypatch.setattr(postgres, "MEMORY", tmp_path / "absent")
    assert not postgres.in_memory()


def empty_products(connection: psycopg.Connection[Any]) -> None:
    """Removes all products, and first the links to their documents, which are kept for ever."""
    connection.execute("ALTER TABLE compiled_products DISABLE TRIGGER USER")
    connection.execute("DELETE FROM compiled_products")
    connection.execute("ALTER TABLE compiled_products ENABLE TRIGGER USER")
    connection.execute("DELETE FROM products")


def test_databases_are_separate(cluster: Cluster) -> None:
    """A fresh database has the schema and no other test's rows."""
    names = [cluster.fresh(), cluster.fresh()]
    for name in names:
        with psycopg.connect(cluster.dsn(name)) as connection:
            assert connection.execute("SELECT count(*) FROM products").fetchone() == (6,)
            empty_products(connection)
        cluster.drop(name)


def test_a_killed_server_keeps_its_commits(tmp_path: Path) -> None:
    """A server that was killed and started again has every commit from before."""
    with Cluster(safe=True) as own:
        name = own.empty()
        with psycopg.connect(own.dsn(name)) as connection:
            connection.execute("CREATE TABLE kept (number integer)")
            connection.execute("INSERT INTO kept VALUES (7)")
        own.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(own.dsn(name))
        own.start()
        with psycopg.connect(own.dsn(name)) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]
    assert not own.folder.exists()


@pytest.mark.skipif(not Path("/proc/sysvipc/shm").exists(), reason="only Linux lists segments")
def test_a_killed_server_leaves_no_shared_memory() -> None:
    """A server that was killed and not started again leaves no shared memory behind."""
    own = Cluster()
    listed = own.data / "postmaster.pid"
    segment = listed.read_text("utf-8").splitlines()[postgres.SEGMENT_LINE].split()[1]
    assert own.admin.execute("SHOW dynamic_shared_memory_type").fetchone() == ("mmap",)
    own.kill()
    assert segment in segments()
    own.close()
    assert segment not in segments()


def segments() -> set[str]:
    """The ids of this machine's System V segments of shared memory."""
    lines = Path("/proc/sysvipc/shm").read_text("utf-8").splitlines()[1:]
    return {line.split()[1] for line in lines}


def test_a_lent_database_comes_back_clean(cluster: Cluster) -> None:
    """A returned database is like a fresh one: without rows, and with sequences reset."""
    name = cluster.lend()
    with psycopg.connect(cluster.dsn(name)) as connection:
        before = contents(connection)
        empty_products(connection)
        connection.execute("UPDATE operators SET name = 'changed'")
        for _ in range(2):
            connection.execute(
                "INSERT INTO users SELECT 'u-' || count(*), true, 0, 0, 0 FROM users"
            )
        connection.execute("SELECT nextval('outbox_sequence_seq')")
    cluster.give_back(name)
    again = cluster.lend()
    with psycopg.connect(cluster.dsn(again)) as connection:
        assert contents(connection) == before
        assert connection.execute("SELECT nextval('outbox_sequence_seq')").fetchone() == (1,)
    cluster.give_back(again)


def contents(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Every row of every table."""
    names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {
        name: sorted(str(row) for row in connection.execute(f"TABLE {name}".encode()))
        for (name,) in names.fetchall()
    }


def test_a_lent_database_with_other_tables_is_not_lent_again(cluster: Cluster) -> None:
    """A database whose tables a test has changed is dropped."""
    name = cluster.lend()
    with psycopg.connect(cluster.dsn(name)) as connection:
        connection.execute("CREATE TABLE extra (number integer)")
    cluster.give_back(name)
    others = [cluster.lend() for _ in range(3)]
    assert name not in others
    for other in others:
        cluster.give_back(other)
