"""Opening a database: one place for the settings that durability rests on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from service.engine.ports import StorageFailed

SQLITE_BUSY_MS = 5_000
SQLITE_CACHE_KIB = 65_536
# Every size of every statement of a batch stays prepared.
SQLITE_CACHED_STATEMENTS = 1_024
# A checkpoint copies the log back into the file; larger portions cost less a call.
SQLITE_CHECKPOINT_PAGES = 16_384


def open_database(url: str) -> Engine:
    """An engine for SQLite (`sqlite:///FILE`) or PostgreSQL (`postgresql+psycopg://…`).

    SQLite runs in WAL mode with synchronous=FULL, so that what was committed survives a power
    cut, and begins every transaction that writes with BEGIN IMMEDIATE. Raises ValueError for
    another kind of database.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(url)
    if parsed.get_backend_name() == "postgresql":
        # Positional parameters, so that rows are handed to the driver as they are.
        return create_engine(url, paramstyle="format", pool_pre_ping=True, hide_parameters=True)
    raise ValueError(f"unsupported database: {parsed.get_backend_name()}")


def _open_sqlite(url: str) -> Engine:
    connect = {"check_same_thread": False, "cached_statements": SQLITE_CACHED_STATEMENTS}
    engine = create_engine(url, connect_args=connect, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions by itself: `begin` below does.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA cache_size=-{SQLITE_CACHE_KIB}")
        cursor.execute(f"PRAGMA wal_autocheckpoint={SQLITE_CHECKPOINT_PAGES}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection to read from; raises StorageFailed when the database is away."""
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise StorageFailed("the database refused to read") from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes, on a connection of its own; commits on leaving the block."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection
