"""Restores, proven by a stranger: other SQL finds the same content in the restored database.

The tests run on SQLite and on every version of PostgreSQL that the machine has.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import psycopg
import pytest
from sqlalchemy import inspect

from benchmarks.postgres import pinned_programs
from service.books.verify import verify_books
from service.rpc.stored import read_payload
from service.storage.backup import back_up, restore
from service.storage.database import open_database
from service.storage.migrate import is_current
from service.storage.proof import BackupRefused
from service.storage.rehearsal import rehearse
from service.storage.store import SqlStore
from tests.cli.test_commands import invoke
from tests.engine.model import Model
from tests.fakes import Desk, new_database
from tests.postgres import Cluster
from tests.storage.book import KEY, KEYS, live, seal
from tests.storage.test_dump import MAJORS, OTHERS
from tests.storage.test_store import everything

SEED = 13
ROUNDS = 12


class Place(NamedTuple):
    """A place for databases: a folder for files, or a PostgreSQL server with its programs."""

    folder: Path
    cluster: Cluster | None = None
    programs: Path | None = None

    def fresh(self, name: str) -> str:
        """The URL of a new database with two operators."""
        if self.cluster is not None:
            return self.cluster.url(self.cluster.fresh())
        url = f"sqlite:///{self.folder / name}"
        new_database(url).close()
        return url

    def empty(self, name: str) -> str:
        """The URL of a place for a database."""
        if self.cluster is not None:
            return self.cluster.url(self.cluster.empty())
        return f"sqlite:///{self.folder / name}"


@pytest.fixture(scope="module", params=["sqlite", *MAJORS])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Cluster, Path] | None]:
    """A PostgreSQL of each version with its programs; None for SQLite."""
    if request.param == "sqlite":
        yield None
        return
    if request.param == "pinned":
        yield request.getfixturevalue("cluster"), pinned_programs()
        return
    if request.param not in OTHERS:
        pytest.skip(f"no PostgreSQL {request.param} on this machine: apt-get install postgresql-15")
    with Cluster(programs=OTHERS[request.param]) as started:
        yield started, OTHERS[request.param]


@pytest.fixture
def place(server: tuple[Cluster, Path] | None, tmp_path: Path) -> Place:
    """A place for databases of each kind and version."""
    return Place(tmp_path) if server is None else Place(tmp_path, *server)


def content(url: str) -> dict[str, list[Any]]:
    """All that a database contains, read by its own catalog, without Freehold's code."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            return {"all": list(file.iterdump())}
    found: dict[str, list[Any]] = {}
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        relations = connection.execute(
            "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchall()
        for name, kind in sorted(relations):
            if kind == "r":
                rows = connection.execute(f'SELECT t::text FROM "{name}" t ORDER BY 1')
                found[name] = rows.fetchall()
            elif kind == "S":
                given = connection.execute(f'SELECT last_value, is_called FROM "{name}"')
                found[name] = given.fetchall()
        for what, query in CATALOG.items():
            found[what] = connection.execute(query).fetchall()
    return found


CATALOG = {
    "columns": "SELECT table_name, column_name, data_type, collation_name, column_default,"
    " is_nullable FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
    " FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
    "triggers": "SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE NOT tgisinternal"
    " ORDER BY 1",
    "functions": "SELECT proname, prosrc FROM pg_proc"
    " WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
}


def mix(url: str) -> None:
    """Two operators, four people and the platform make random calls, and time passes."""
    chance = Random(SEED)
    model = Model(url)
    try:
        for _ in range(ROUNDS):
            model.do(["calls", "none", [chance.getrandbits(32) for _ in range(24)]])
            model.do(["time", chance.getrandbits(32)])
            model.do(["sweep"])
        assert len(model.transitions) > 5
    finally:
        model.close()


def test_a_restore_after_a_random_mix_is_the_same_database(place: Place, tmp_path: Path) -> None:
    """After random calls a backup is restored. Every row of every table, every number of the
    sequences, and every index, constraint and trigger is as before; the books verify."""
    url, target = place.fresh("books.db"), place.empty("restored.db")
    mix(url)
    before = content(url)
    made = back_up(url, tmp_path / "backup", postgres_bin=place.programs)
    rehearsed = rehearse(made.path, target, postgres_bin=place.programs, verify=True)
    assert rehearsed.books == made.books
    assert restore(made.path, target, postgres_bin=place.programs) == made.books
    assert content(target) == before == content(url)


def test_a_stranger_sees_one_changed_value(place: Place) -> None:
    """The comparison above finds a changed value and a removed trigger."""
    url = place.fresh("books.db")
    before = content(url)
    engine = open_database(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE operators SET debt_limit_minor = debt_limit_minor + 1")
    changed = content(url)
    assert changed != before
    with engine.begin() as connection:
        if place.cluster is None:
            connection.exec_driver_sql("DROP TRIGGER policies_note_insert")
        else:
            connection.exec_driver_sql("DROP TRIGGER policies_note ON policies")
    engine.dispose()
    assert content(url) != changed


def test_every_operation_runs_on_every_version(place: Place, tmp_path: Path) -> None:
    """On each version the migrations run, every transition is posted and sealed, every list and
    search is read, and a backup of it is restored with verified books."""
    url = place.empty("books.db")
    new_database(url).close()
    engine = open_database(url)
    assert is_current(engine)
    desk = Desk(SqlStore(engine))
    live(desk)
    assert seal(desk, KEY)
    found = verify_books(engine, KEYS, read_answer=None, read_payload=read_payload)
    assert (found.fault, found.signatures) == (None, found.seals)
    desk.store.close()
    made = back_up(url, tmp_path / "backup", postgres_bin=place.programs)
    target = place.empty("restored.db")
    assert restore(made.path, target, postgres_bin=place.programs) == made.books
    assert content(target) == content(url)
    other = place.fresh("other.db")
    desk = Desk(SqlStore(open_database(other)))
    for user_id, score in (("ann", 700), ("ben", 550), ("cem", 450)):
        desk.put_user(user_id, score)
    everything(desk)
    assert verify_books(desk.store.engine, read_answer=None).fault is None
    desk.store.close()


# -- rehearsals -----------------------------------------------------------------------------------


def tables(url: str) -> list[str]:
    """The tables of a PostgreSQL database."""
    engine = open_database(url)
    try:
        return inspect(engine).get_table_names()
    finally:
        engine.dispose()


def names(place: Place) -> set[str]:
    """All that a rehearsal could leave behind: files, or databases of the server."""
    found = {it.name for it in place.folder.rglob("*")}
    if place.cluster is not None:
        rows = place.cluster.admin.execute("SELECT datname FROM pg_database").fetchall()
        found |= {str(row[0]) for row in rows}
    return found


def test_a_rehearsal_writes_nothing(place: Place, tmp_path: Path) -> None:
    """A rehearsal names the hash, the schema, and the database that the backup was made on. With
    and without the books it leaves no file and no database behind, and the target stays empty."""
    url, target = place.fresh("books.db"), place.empty("restored.db")
    made = back_up(url, tmp_path / "backup", postgres_bin=place.programs)
    before = names(place)
    for verify in (False, True):
        found = rehearse(made.path, target, postgres_bin=place.programs, verify=verify)
        assert found.sha256 == made.sha256
        assert found.size_bytes == made.path.stat().st_size
        assert not found.migrates
        assert (found.books is not None) == verify
        assert names(place) == before
        if place.cluster is None:
            assert found.made_on == "SQLite"
            assert not (place.folder / "restored.db").exists()
        else:
            version = place.cluster.admin.execute("SHOW server_version").fetchone()
            assert version is not None
            assert found.made_on == f"PostgreSQL {str(version[0]).split()[0]}"
            assert tables(target) == []
    assert restore(made.path, target, postgres_bin=place.programs) == made.books


def test_a_rehearsal_refuses_what_a_restore_would_refuse(place: Place, tmp_path: Path) -> None:
    """A rehearsal is refused for a damaged backup, a wrong hash, a missing hash and a target in
    use, with the reason of the restore."""
    url, target = place.fresh("books.db"), place.empty("restored.db")
    made = back_up(url, tmp_path / "backup", postgres_bin=place.programs)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(made.path.read_bytes()[:-100])
    cases: list[tuple[Path, str, str | None, str]] = [
        (made.path, url, None, "FILE_EXISTS" if place.cluster is None else "DATABASE_NOT_EMPTY"),
        (made.path, target, "0" * 64, "BACKUP_DAMAGED"),
        (damaged, target, made.sha256, "BACKUP_DAMAGED"),
        (damaged, target, None, "NO_SUM"),
        (tmp_path / "nothing", target, None, "NO_BACKUP"),
    ]
    for source, to, sha256, reason in cases:
        for act in (rehearse, restore):
            with pytest.raises(BackupRefused) as refusal:
                act(source, to, sha256=sha256, postgres_bin=place.programs)
            assert refusal.value.reason == reason


def test_a_rehearsal_needs_room_and_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rehearsal is refused if the target's folder has too little room or does not exist, and if
    the schema of the backup is for later builds."""
    place = Place(tmp_path)
    url = place.fresh("books.db")
    made = back_up(url, tmp_path / "backup")
    with pytest.raises(BackupRefused, match="cannot write into"):
        rehearse(made.path, f"sqlite:///{tmp_path}/no/folder.db")
    monkeypatch.setattr("service.storage.rehearsal.ROOM", 1 << 60)
    with pytest.raises(BackupRefused, match="bytes free, and a restore needs"):
        rehearse(made.path, place.empty("restored.db"))
    monkeypatch.undo()
    with closing(sqlite3.connect(tmp_path / "books.db")) as file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
        file.execute("INSERT INTO compatibility (oldest_build) VALUES (9999)")
        file.commit()
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = (tmp_path / "books.db").read_bytes()
    with pytest.raises(BackupRefused, match="the newer schema 9999"):
        rehearse(
            tmp_path / "books.db",
            place.empty("restored.db"),
            sha256=hashlib.sha256(content).hexdigest(),
        )


def test_the_command_rehearses(tmp_path: Path) -> None:
    """`freehold restore --dry-run` prints the findings; `--verify-books` alone is refused."""
    place = Place(tmp_path)
    made = back_up(place.fresh("books.db"), tmp_path / "backup")
    words = ("restore", "--from", str(made.path), "--database", place.empty("restored.db"))
    said = invoke(*words, "--dry-run")
    assert said.output.splitlines()[-2:] == [
        "not checked: the books (--verify-books)",
        "nothing was written; the restore can be done",
    ]
    assert "books verified" in invoke(*words, "--dry-run", "--verify-books").output
    assert not (tmp_path / "restored.db").exists()
    alone = invoke(*words, "--verify-books")
    assert (alone.exit_code, "is for --dry-run alone" in alone.output) == (2, True)
