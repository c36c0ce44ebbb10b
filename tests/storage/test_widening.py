"""Lists in CHECKs that grow: a value is added without reading or moving a row."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, Engine, Table, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from service.books.verify import verify_books
from service.storage import schema as t
from service.storage.database import open_database, writing
from service.storage.migrate import LockWaits, TablesInUse, migrate
from service.storage.migrations.checks import NoSuchCheck, widen_check
from service.storage.store import SqlStore
from tests.conftest import Databases
from tests.engine.calls import authorize, rental, settle
from tests.fakes import Desk
from tests.postgres import Cluster
from tests.storage.next_build import ADDS, WIDENS, changeable, migrate_as_next_build
from tests.storage.test_schema import NOTHING, UNCHARGED, refusal, row_of


@pytest.fixture
def engine(databases: Databases) -> Iterator[Engine]:
    """A fresh database whose schema may be changed."""
    with changeable(databases) as made:
        opened = open_database(made)
        yield opened
        opened.dispose()


def widen(connection: Connection, *given: str) -> None:
    """Widens a CHECK as a migration does."""
    with Operations.context(MigrationContext.configure(connection)):
        widen_check(*given)


STANDINGS = "standing = 'NORMAL' OR standing = 'SUSPENDED' OR standing = 'WATCHED'"
MORE = f"{STANDINGS} OR standing = 'RESTING'"
STANDING = ("lines", "ck_lines_standing_known")

GROWN: list[tuple[Table, dict[str, Any], dict[str, Any]]] = [
    (
        t.authorizations,
        {"state": "PAUSED", "expire_us": None, **UNCHARGED},
        {"state": "GONE", **NOTHING},
    ),
    (t.authorizations, {"offer": "HALF"}, {"offer": "NONE"}),
    (t.entries, {"debit": "reserve"}, {"debit": "pocket"}),
    (t.entries, {"credit": "reserve", "debit": "held"}, {"credit": "pocket"}),
    (t.transfers, {"kind": "LOAN"}, {"kind": "GIFT"}),
]
"""Rows that only the next build allows, beside rows that no build allows."""


@pytest.mark.parametrize("case", range(len(GROWN)))
def test_a_list_grows(engine: Engine, tmp_path: Path, case: int) -> None:
    """A migration adds a value to a list, and the database then accepts this value. Values in no
    list are still refused."""
    table, added, unknown = GROWN[case]
    with engine.connect() as connection:
        assert "ck_" in refusal(connection, table, **added)
    migrate_as_next_build(engine, tmp_path / "next", WIDENS)
    with writing(engine) as connection:
        connection.execute(table.insert(), row_of(table, **added))
    with engine.connect() as connection:
        assert "_known" in refusal(connection, table, **unknown)


def place_of(engine: Engine, table: str) -> object:
    """The place of a table's rows, which changes when the table is rebuilt."""
    query = {
        "sqlite": f"SELECT rootpage FROM sqlite_master WHERE name = '{table}'",
        "postgresql": f"SELECT pg_relation_filenode('{table}'::regclass)",
    }[engine.dialect.name]
    with engine.connect() as connection:
        return connection.exec_driver_sql(query).scalar_one()


def test_no_table_is_rebuilt(engine: Engine, tmp_path: Path) -> None:
    """The rows stay where they are, and SQLite's integrity check passes."""
    names = ("authorizations", "entries", "transfers")
    before = [place_of(engine, name) for name in names]
    migrate_as_next_build(engine, tmp_path / "next", WIDENS)
    assert [place_of(engine, name) for name in names] == before
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
            assert connection.exec_driver_sql("PRAGMA writable_schema").scalar_one() == 0


def test_an_open_connection_uses_the_longer_list(engine: Engine, tmp_path: Path) -> None:
    """A server that started before the list grew continues with its connections, and its books
    verify."""
    desk = Desk(SqlStore(engine))
    desk.put_user("ann", 700)
    first = rental(desk, authorize("ann", "umbrella", "u-1"))
    migrate_as_next_build(engine, tmp_path / "next", WIDENS)
    rental(desk, settle(first, 100))
    rental(desk, authorize("ann", "umbrella", "u-2"))
    assert desk.faults == []
    assert verify_books(engine).fault is None
    desk.store.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((*STANDING, STANDINGS, "standing = 'NORMAL'"), "would allow less: standing"),
        ((*STANDING, f"NOT ({STANDINGS})", MORE), "would allow less: NOT"),
    ],
)
def test_a_list_never_shrinks(engine: Engine, given: tuple[str, ...], said: str) -> None:
    """A rule that would refuse a value allowed so far is refused itself, because no row is checked
    against it."""
    with pytest.raises(ValueError, match=said), writing(engine) as connection:
        widen(connection, *given)
    assert refused_standing(engine, "RESTING")


def refused_standing(engine: Engine, standing: str) -> bool:
    """Whether the database refuses a line of this standing."""
    with engine.connect() as connection:
        try:
            connection.execute(t.lines.insert(), row_of(t.lines, standing=standing))
        except IntegrityError:
            return True
        return False


def test_a_widened_check_must_exist(engine: Engine) -> None:
    """A missing CHECK, or one with another text, is an error and stays unchanged."""
    other = "standing = 'NORMAL'"
    for given in (
        ("lines", "ck_lines_nothing", STANDINGS, MORE),
        (*STANDING, other, f"{other} OR standing = 'RESTING'"),
    ):
        with pytest.raises(NoSuchCheck, match="does not have"), writing(engine) as connection:
            widen(connection, *given)
    assert refused_standing(engine, "RESTING")
    assert not refused_standing(engine, "NORMAL")


def test_a_failed_migration_leaves_the_list_unchanged(engine: Engine) -> None:
    """When a migration fails after a list grew, the list is the old one again, for every
    connection."""
    with engine.connect().execution_options(writes=True) as connection:
        widen(connection, *STANDING, STANDINGS, MORE)
        connection.execute(t.lines.insert(), row_of(t.lines, standing="RESTING"))
        connection.rollback()
    assert refused_standing(engine, "RESTING")
    with writing(engine) as connection:
        widen(connection, *STANDING, STANDINGS, MORE)
    assert not refused_standing(engine, "RESTING")
    assert refused_standing(engine, "SLEEPING")


def test_an_invalid_rule_fails(engine: Engine) -> None:
    """A condition that is not SQL fails within the migration, which changes nothing."""
    with pytest.raises(DBAPIError), writing(engine) as connection:
        widen(connection, *STANDING, STANDINGS, f"{STANDINGS} OR standing = = 'RESTING'")
    assert refused_standing(engine, "RESTING")
    assert not refused_standing(engine, "NORMAL")


# -- tables in use -------------------------------------------------------------------------------

QUICK = LockWaits(wait_ms=100, pause_s=0.05, tries=2_000)
HANG_S = 30.0


@pytest.fixture
def used(cluster: Cluster) -> Iterator[Engine]:
    """A PostgreSQL database whose entries are being read for a long time."""
    name = cluster.fresh()
    opened = open_database(cluster.url(name))
    yield opened
    opened.dispose()
    cluster.drop(name)


def test_servers_go_on_while_a_migration_waits_for_a_long_read(
    used: Engine, tmp_path: Path
) -> None:
    """A migration that cannot lock a table lets others read and write between its tries, and
    finishes when the long read has ended."""
    with ThreadPoolExecutor(1) as thread:
        with used.connect() as reader:
            reader.execute(text("SELECT count(*) FROM entries")).all()
            migrating = thread.submit(
                migrate_as_next_build, used, tmp_path / "next", ADDS, waits=QUICK
            )
            for _ in range(20):
                began = time.monotonic()
                with writing(used) as connection:
                    connection.execute(text("SELECT count(*) FROM entries")).all()
                assert time.monotonic() - began < HANG_S
                time.sleep(0.02)
            assert not migrating.done()
        migrating.result(60)
    with used.connect() as connection:
        connection.execute(text("SELECT later FROM entries")).all()


def test_a_migration_gives_up_while_a_table_is_in_use(used: Engine, tmp_path: Path) -> None:
    """A migration that never gets its lock on a table is refused and changes nothing."""
    with used.connect() as reader:
        reader.execute(text("SELECT count(*) FROM entries")).all()
        few = LockWaits(wait_ms=50, pause_s=0.01, tries=3)
        with pytest.raises(TablesInUse, match="migrate again when that program has ended"):
            migrate_as_next_build(used, tmp_path / "next", ADDS, waits=few)
    assert migrate(used)
    with used.connect() as connection, pytest.raises(DBAPIError):
        connection.execute(text("SELECT later FROM entries"))


def test_a_migration_in_a_deadlock_tries_again(used: Engine, tmp_path: Path) -> None:
    """A migration that PostgreSQL ends because of a deadlock with a server lets the server finish,
    and tries again."""
    patient = LockWaits(wait_ms=30_000, pause_s=0.05, tries=5)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with used.begin() as connection:
        # A session looks for a deadlock once, so long after it began to wait. The migration must
        # not look before the server waits too, and the server must look later.
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"ALTER DATABASE {name} SET deadlock_timeout = '3s'"))
    used.dispose()
    with ThreadPoolExecutor(1) as thread:
        with used.connect() as server, used.connect() as watcher:
            server.execute(text("SET LOCAL deadlock_timeout = '60s'"))
            server.execute(text("SELECT count(*) FROM authorizations")).all()
            migrating = thread.submit(
                migrate_as_next_build, used, tmp_path / "next", ADDS, waits=patient
            )
            # By now it has locked the entries.
            while not watcher.scalar(waiting):
                time.sleep(0.01)
            server.execute(text("SELECT count(*) FROM entries")).all()
            assert not migrating.done()
        migrating.result(60)
    with used.connect() as connection:
        connection.execute(text("SELECT later FROM entries")).all()


# -- indexes built ahead -------------------------------------------------------------------------

LATER_INDEX = 'op.execute("CREATE INDEX IF NOT EXISTS ix_later ON entries (event_us)")'
AHEAD = {"ix_later": "entries (event_us)"}


def indexes(engine: Engine) -> dict[str, bool]:
    """The indexes of entries, and whether each is whole."""
    query = text(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index"
        " WHERE indrelid = 'entries'::regclass"
    )
    with engine.connect() as connection:
        return {str(name): bool(whole) for name, whole in connection.execute(query)}


def test_servers_write_while_an_index_is_built_ahead(used: Engine, tmp_path: Path) -> None:
    """An index that a migration names in AHEAD is built before it. It waits for a writer that began
    earlier, and meanwhile other writers go on. A half-built index of an earlier try is replaced."""
    with used.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # As a try leaves it that was ended.
        connection.execute(text("CREATE INDEX ix_later ON entries (event_us)"))
        broken = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_later'::regclass"
        connection.execute(text(broken))
    with ThreadPoolExecutor(1) as thread:
        with used.connect() as writer:
            writer.execute(text("LOCK TABLE entries IN ROW EXCLUSIVE MODE"))
            migrating = thread.submit(
                migrate_as_next_build, used, tmp_path / "next", LATER_INDEX, ahead=AHEAD
            )
            waiting = text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE query LIKE '%INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
            )
            with used.connect() as watcher:
                while not watcher.scalar(waiting):
                    watcher.rollback()
                    time.sleep(0.01)
            for _ in range(5):
                with writing(used) as connection:
                    connection.execute(text("LOCK TABLE entries IN ROW EXCLUSIVE MODE"))
            assert not migrating.done()
        assert migrating.result(60)
    assert indexes(used)["ix_later"]
    assert all(indexes(used).values())


def test_an_index_is_built_by_the_migration_where_its_columns_are_new(
    databases: Databases, tmp_path: Path
) -> None:
    """In an empty database the migration itself makes the indexes that it names in AHEAD."""
    url = databases.empty()
    engine = open_database(url, create=True)
    migrate_as_next_build(engine, tmp_path / "next", LATER_INDEX, ahead=AHEAD)
    assert "ix_later" in {it["name"] for it in inspect(engine).get_indexes("entries")}
    engine.dispose()
    databases.drop(url)
