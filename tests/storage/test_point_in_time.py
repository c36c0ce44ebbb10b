"""Recovery of PostgreSQL to a point in time, with its own tools and an operator's commands."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from service.storage.database import open_database
from service.storage.proof import prove
from tests.postgres import Cluster
from tests.storage.test_backup import Writer, people_who_rented
from tests.storage.test_dump import cluster as cluster
from tests.storage.test_dump import programs as programs
from tests.storage.test_dump import stored_requests

WAIT_S = 60.0

ARCHIVING = """
wal_level = replica
max_wal_senders = 4
archive_mode = on
archive_command = 'test ! -f {archive}/%f && cp %p {archive}/%f.part && mv {archive}/%f.part \
{archive}/%f'
"""

BASE_BACKUP = """
pg_basebackup --pgdata={base} --wal-method=none --checkpoint=fast --manifest-checksums=SHA256 \
    --host={socket} --username=freehold
"""

RECOVERY = """
cp -R {base} {restored}
rm -f {restored}/postmaster.pid
cat >> {restored}/postgresql.auto.conf <<END
restore_command = 'cp {archive}/%f %p'
recovery_target_time = '{moment}'
recovery_target_action = 'promote'
archive_mode = off
unix_socket_directories = '{socket}'
END
touch {restored}/recovery.signal
pg_ctl start --wait --pgdata={restored} --log={restored}.log
"""

STOP = "pg_ctl stop --wait --mode=immediate --pgdata={restored}"


class Shell:
    """Runs commands as the user who owns the database's files."""

    def __init__(self, owner: Path, programs: Path, **names: Path) -> None:
        self._names = {name: str(path) for name, path in names.items()}
        self._path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self._folder = owner
        found = owner.stat()
        # PostgreSQL refuses to run as root.
        self._user: dict[str, Any] = (
            {"user": found.st_uid, "group": found.st_gid, "extra_groups": []}
            if os.geteuid() == 0
            else {}
        )

    def __call__(self, words: str, **names: str) -> None:
        """Runs a script; fails with its output."""
        done = subprocess.run(
            ["sh", "-e", "-c", words.format(**self._names, **names)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
            cwd=self._folder,
            env={"PATH": self._path, "LC_ALL": "C"},
            **self._user,
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def recovered(shell: Shell, moment: str) -> Iterator[None]:
    """The recovered server; stopped at the end of the block."""
    try:
        shell(RECOVERY, moment=moment)
        yield
    finally:
        shell(STOP)


def until_promoted(dsn: str) -> None:
    end = time.monotonic() + WAIT_S
    with closing(psycopg.connect(dsn, autocommit=True)) as session:
        while session.execute("SELECT pg_is_in_recovery()").fetchall() != [(False,)]:
            assert time.monotonic() < end, "the recovery does not end"
            time.sleep(0.02)


def until_archived(cluster: Cluster) -> None:
    """Waits until every commit so far is in the archive."""
    # An empty segment would not be switched, nor archived.
    cluster.admin.execute("SELECT pg_logical_emit_message(true, 'freehold', 'archive this')")
    (row,) = cluster.admin.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchall()
    end = time.monotonic() + WAIT_S
    archived = "SELECT coalesce(last_archived_wal, '') >= %s FROM pg_stat_archiver"
    while cluster.admin.execute(archived, row).fetchall() != [(True,)]:
        assert time.monotonic() < end, "nothing is archived"
        time.sleep(0.02)


def test_the_books_come_back_as_of_a_moment(programs: Path) -> None:
    """From a base backup and archived WAL, the database returns exactly to its state at a moment.

    The base backup is taken during writes; the original is lost; the books verify.
    """
    with Cluster(programs=programs) as cluster:
        folder = cluster.data.parent
        archive, base = folder / "archive", folder / "base"
        shell = Shell(
            folder, programs, archive=archive, base=base, restored=folder / "back", socket=folder
        )
        shell("mkdir {archive}")
        cluster.stop()
        with (cluster.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(ARCHIVING.format(archive=archive))
        cluster.start()
        name = cluster.fresh()
        desk = people_who_rented(cluster.url(name))
        writer = Writer(desk)
        with writer.at_work():
            writer.wait_for_more(20)
            shell(BASE_BACKUP)
            writer.wait_for_more(20)
        # No writes happen at the moment itself, so the expected state is known.
        (row,) = cluster.admin.execute("SELECT clock_timestamp()::text").fetchall()
        before = stored_requests(cluster.url(name))
        later = Writer(desk)
        with later.at_work():
            later.wait_for_more(20)
        until_archived(cluster)
        desk.store.close()
        cluster.kill()
        with recovered(shell, row[0]):
            until_promoted(cluster.dsn(name))
            kept = stored_requests(cluster.url(name))
            assert set(writer.acknowledged) <= kept
            assert not kept & set(later.acknowledged)
            assert kept == before
            engine = open_database(cluster.url(name))
            books = prove(engine)
            engine.dispose()
            assert books.fault is None
            assert books.authorizations > len(writer.acknowledged) // 2


def test_a_moment_after_the_archives_end_is_refused(programs: Path) -> None:
    """When the archive ends before the moment, the recovery fails instead of stopping short."""
    with Cluster(programs=programs) as cluster:
        folder = cluster.data.parent
        shell = Shell(
            folder,
            programs,
            archive=folder / "archive",
            base=folder / "base",
            restored=folder / "back",
            socket=folder,
        )
        shell("mkdir {archive}")
        cluster.stop()
        with (cluster.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(ARCHIVING.format(archive=folder / "archive"))
        cluster.start()
        shell(BASE_BACKUP)
        until_archived(cluster)
        cluster.kill()
        # The server may be up for reads before it comes to the archive's end.
        with suppress(AssertionError):
            shell(RECOVERY, moment="2099-01-01 00:00:00+00")
        end = time.monotonic() + WAIT_S
        while (folder / "back" / "postmaster.pid").exists():
            assert time.monotonic() < end, "the server goes on"
            time.sleep(0.02)
        said = (folder / "back.log").read_text("utf-8")
        assert "recovery ended before configured recovery target was reached" in said
