"""Opening a database: one place for the settings that durability rests on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import SQLAlchemyError

from service.config import LIMITS
from service.engine.ports import OutcomeUnknown, StorageFailed
from service.storage.postgres import PostgresSession, open_postgres
from service.storage.sqlite import SqliteSession, open_sqlite
from service.storage.sqlite_files import only_server


def open_database(url: str, *, create: bool = False) -> Engine:
    """An engine for SQLite (`sqlite:///FILE`) or PostgreSQL (`postgresql+psycopg://…`).

    A SQLite file that is not there is made by the first connection with `create`, and is an error
    of that connection without. Its path is resolved now, symbolic links and all, and its
    transactions raise FileGone when it does not lead to the open file any more.

    SQLite runs in WAL mode with synchronous=FULL, so that what was committed survives a power
    cut, and begins every transaction that writes with BEGIN IMMEDIATE. PostgreSQL runs at READ
    COMMITTED with bounded waits. Raises ValueError for another kind of database, ImportError when
    PostgreSQL's driver is not installed.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return open_sqlite(parsed, create=create)
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return open_postgres(parsed)
    raise ValueError(
        f"unsupported database: {parsed.drivername}: say sqlite:///FILE or postgresql+psycopg://…"
    )


@contextmanager
def serving(engine: Engine) -> Iterator[None]:
    """What a server has for as long as it lives: a SQLite file to itself among servers.

    Raises NotAlone while another server has the file. On PostgreSQL there may be several.
    """
    with ExitStack() as held:
        if engine.dialect.name == "sqlite":
            held.enter_context(only_server(str(engine.url.database)))
        yield


def telling(error: BaseException) -> BaseException | None:
    """The error for the log; None where its text is PostgreSQL's, which may quote a row."""
    said = getattr(error, "orig", None) or error
    return None if getattr(said, "sqlstate", None) else error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that reads one state of the database, whatever is written meanwhile.

    Raises StorageFailed when the database is away, or its file went away meanwhile.
    """
    options: dict[str, Any] = {}
    if engine.dialect.name == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    try:
        with engine.connect().execution_options(**options) as connection:
            yield connection
            # At a rollback PostgreSQL's driver would forget every statement that it has prepared.
            if not connection.invalidated:
                connection.commit()
    except OutcomeUnknown as error:
        # What only reads has no outcome to be unsure of.
        raise StorageFailed(f"what was read may not be so any more: {error}") from error
    except SQLAlchemyError as error:
        raise StorageFailed("the database refused to read") from telling(error)


@contextmanager
def reading_all(engine: Engine, portion: int) -> Iterator[Connection]:
    """Like `reading`, for long results, several side by side.

    Their rows come `portion` at a time, and may take long; they end with the block.
    """
    driver: Any = engine.dialect.loaded_dbapi
    with reading(engine) as connection, ExitStack() as cursors:
        take_time(connection, LIMITS.postgres.portion_s)

        def close(cursor: DBAPICursor) -> None:
            with suppress(driver.Error):
                cursor.close()

        @event.listens_for(connection, "after_cursor_execute")
        def keep(_: Connection, cursor: DBAPICursor, *__: Any) -> None:
            # A result that is not read to its end leaves a cursor open at the server.
            cursors.callback(close, cursor)

        yield connection.execution_options(stream_results=True, yield_per=portion)


def take_time(connection: Connection, answer_s: float | None = None) -> None:
    """Lets what follows in this transaction take longer than a call may; SQLite has no bounds.

    Whoever waits does so for at most `answer_s` seconds an answer; None: however long it takes.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        session: Any = connection.connection.driver_connection
        session.answer_s = answer_s


class Session(Protocol):
    """The connection that batches are written on, past SQLAlchemy.

    Through SQLAlchemy BEGIN and COMMIT each cost as much as a statement with all its rows.
    """

    driver: Any
    """The driver's connection."""

    @property
    def gone(self) -> bool:
        """Whether the connection is lost: whatever fails on it says nothing about a statement."""
        ...

    def begin(self) -> DBAPICursor:
        """Begins a transaction; a cursor of it. Raises the driver's error."""
        ...

    def commit(self) -> None:
        """Commits; raises StorageFailed, OutcomeUnknown, or the driver's error."""
        ...

    def rollback(self) -> None:
        """Undoes all since `begin`; raises the driver's error."""
        ...

    def reading_once(self) -> AbstractContextManager[DBAPICursor]:
        """A cursor for single statements that read, in no transaction."""
        ...


def session_of(connection: Connection) -> Session:
    """A connection as a session for batches; it is used for nothing else from then on.

    Raises the driver's error, or SQLAlchemy's, when the database is away.
    """
    if connection.dialect.name == "sqlite":
        return SqliteSession(connection)
    return PostgresSession(connection)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes, on a connection of its own; commits on leaving the block."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection
