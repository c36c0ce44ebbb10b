"""Opens databases: the only place of the settings that durability depends on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import SQLAlchemyError

from service.config import LIMITS, Limits
from service.engine.ports import OutcomeUnknown, StorageFailed
from service.engine.read_time import read_time
from service.storage.backend import Backend, Session
from service.storage.postgres import Postgres
from service.storage.sqlite import Sqlite

BACKENDS: dict[str, Backend] = {"sqlite": Sqlite(), "postgresql": Postgres()}
"""The kinds of databases, by SQLAlchemy's name of their dialect."""


def backend_of(database: Engine | Connection) -> Backend:
    """The backend for the kind of database behind an engine or a connection."""
    return BACKENDS[database.dialect.name]


def backend_named(url: URL) -> Backend:
    """The backend for the kind of database that a URL names; raises ValueError for an unknown
    kind."""
    backend = BACKENDS.get(url.get_backend_name())
    if backend is None or url.drivername not in backend.drivers:
        raise ValueError(
            f"unsupported database: {url.drivername}: say sqlite:///FILE or postgresql+psycopg://…"
        )
    return backend


def open_database(url: str, *, create: bool = False, limits: Limits = LIMITS) -> Engine:
    """An engine for SQLite (`sqlite:///FILE`) or PostgreSQL (`postgresql+psycopg://…`).

    With `create`, the first connection makes a missing SQLite file; without, it raises an error.
    The path and its symbolic links are resolved now. Transactions raise FileGone if the path no
    longer leads to the open file.

    SQLite runs in WAL mode with synchronous=FULL, so that commits survive a power cut, and begins
    every write transaction with BEGIN IMMEDIATE. PostgreSQL runs at READ COMMITTED with bounded
    waits. `limits_of` gives the engine's limits. Raises ValueError for another kind of database,
    and ImportError if PostgreSQL's driver is not installed.
    """
    parsed = make_url(url)
    engine = backend_named(parsed).open(parsed, limits, create=create)
    engine.update_execution_options(limits=limits)
    return engine


def limits_of(database: Engine | Connection) -> Limits:
    """The limits with which a database was opened; the defaults if it was opened elsewhere."""
    limits: Limits = database.get_execution_options().get("limits", LIMITS)
    return limits


@contextmanager
def serving(engine: Engine) -> Iterator[None]:
    """Keeps a SQLite file for one server while the block runs.

    Raises NotAlone if another server has the file. PostgreSQL allows several servers.
    """
    with backend_of(engine).only_server(engine.url):
        yield


def files_open_to_others(engine: Engine) -> list[str]:
    """The files of a SQLite database that other users of the machine may read or write."""
    return backend_of(engine).open_to_others(engine.url)


class PostgresError(Exception):
    """The name and the SQLSTATE of an error of PostgreSQL."""


def telling(error: BaseException) -> BaseException:
    """The error for the log.

    The text of PostgreSQL's own errors may quote a row, so only their name and state are told.
    """
    said = getattr(error, "orig", None) or error
    state = getattr(said, "sqlstate", None)
    return PostgresError(f"{type(said).__name__} ({state})") if state else error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that reads one state of the database, even while others write.

    Raises StorageFailed if the database is unavailable, or if its file disappears while it is read.
    Raises Exhausted or Unavailable if the time of the thread's read is over (`ReadTime`).
    """
    driver: Any = engine.dialect.loaded_dbapi
    try:
        with engine.connect().execution_options(**backend_of(engine).snapshot) as connection:
            yield connection
            # A rollback makes PostgreSQL's driver forget all its prepared statements.
            if not connection.invalidated:
                connection.commit()
    except OutcomeUnknown as error:
        # A read transaction has no unknown outcome.
        raise StorageFailed(f"the rows that were read may be out of date: {error}") from error
    except (SQLAlchemyError, driver.Error) as error:
        time = read_time()
        if time is not None and time.over:
            # The statement was interrupted, or its connection was cut.
            raise time.refusal() from None
        # The driver's own error comes from a connection that cannot be returned to the pool.
        raise StorageFailed("the database refused the read") from telling(error)


@contextmanager
def reading_all(engine: Engine, portion: int) -> Iterator[Connection]:
    """As `reading`, for several long results at the same time.

    Their rows come `portion` at a time and may take long; the results end with the block. A reader
    that uses the driver directly adds the closing of its result to the stack in the execution
    option `results`, so that this result ends too.
    """
    driver: Any = engine.dialect.loaded_dbapi
    with reading(engine) as connection, ExitStack() as cursors:
        take_time(connection, limits_of(connection).postgres.portion_s)

        def close(cursor: DBAPICursor) -> None:
            with suppress(driver.Error):
                cursor.close()

        @event.listens_for(connection, "after_cursor_execute")
        def keep(_: Connection, cursor: DBAPICursor, *__: Any) -> None:
            # A result that is not read to the end leaves a cursor open on the server.
            cursors.callback(close, cursor)

        yield connection.execution_options(stream_results=True, yield_per=portion, results=cursors)


def take_time(connection: Connection, answer_s: float | None = None) -> None:
    """Lifts the time limits of a call for the rest of this transaction; SQLite has none.

    Each answer may take `answer_s` seconds; None means any time. A transaction that only reads may
    stand still for as long between two answers.
    """
    backend_of(connection).take_time(connection, answer_s)


def session_of(connection: Connection) -> Session:
    """A session for batches on this connection, which must not be used for anything else.

    Raises the driver's error, or SQLAlchemy's, if the database is unavailable.
    """
    return backend_of(connection).session(connection)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A write transaction on a connection of its own; leaving the block commits it."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection
