"""Opens databases: the only place of the settings that durability depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
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

    With `create`, the first connection makes a missing SQLite file; without, it raises an error.
    The path and its symbolic links are resolved now. Transactions raise FileGone if the path no
    longer leads to the open file.

    SQLite runs in WAL mode with synchronous=FULL, so that commits survive a power cut, and begins
    every write transaction with BEGIN IMMEDIATE. PostgreSQL runs at READ COMMITTED with bounded
    waits. Raises ValueError for another kind of database, and ImportError if PostgreSQL's driver is
    not installed.
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
    """Keeps a SQLite file for one server while the block runs.

    Raises NotAlone if another server has the file. PostgreSQL allows several servers.
    """
    with ExitStack() as held:
        if engine.dialect.name == "sqlite":
            held.enter_context(only_server(str(engine.url.database)))
        yield


def telling(error: BaseException) -> BaseException | None:
    """The error for the log; None for PostgreSQL's own errors, whose text may quote a row."""
    said = getattr(error, "orig", None) or error
    return None if getattr(said, "sqlstate", None) else error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that reads one state of the database, whatever is written meanwhile.

    Raises StorageFailed if the database is unavailable, or its file goes away meanwhile.
    """
    driver: Any = engine.dialect.loaded_dbapi
    options: dict[str, Any] = {}
    if engine.dialect.name == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    try:
        with engine.connect().execution_options(**options) as connection:
            yield connection
            # A rollback makes PostgreSQL's driver forget all its prepared statements.
            if not connection.invalidated:
                connection.commit()
    except OutcomeUnknown as error:
        # A read transaction has no unknown outcome.
        raise StorageFailed(f"the rows read may be out of date: {error}") from error
    except (SQLAlchemyError, driver.Error) as error:
        # The driver's own error comes from a connection that cannot be returned to the pool.
        raise StorageFailed("the database refused the read") from telling(error)


@contextmanager
def reading_all(engine: Engine, portion: int) -> Iterator[Connection]:
    """As `reading`, for several long results at the same time.

    Their rows come `portion` at a time and may take long; the results end with the block.
    """
    driver: Any = engine.dialect.loaded_dbapi
    with reading(engine) as connection, ExitStack() as cursors:
        take_time(connection, LIMITS.postgres.portion_s)

        def close(cursor: DBAPICursor) -> None:
            with suppress(driver.Error):
                cursor.close()

        @event.listens_for(connection, "after_cursor_execute")
        def keep(_: Connection, cursor: DBAPICursor, *__: Any) -> None:
            # A result that is not read to the end leaves a cursor open on the server.
            cursors.callback(close, cursor)

        yield connection.execution_options(stream_results=True, yield_per=portion)


def take_time(connection: Connection, answer_s: float | None = None) -> None:
    """Lifts the time limit of a call for the rest of this transaction; SQLite has none.

    Each answer may take `answer_s` seconds, or any time if it is None.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        session: Any = connection.connection.driver_connection
        session.answer_s = answer_s


class Session(Protocol):
    """The connection for writing batches, used without SQLAlchemy.

    Through SQLAlchemy, BEGIN and COMMIT each cost as much as a statement with all its rows.
    """

    driver: Any
    """The driver's connection."""

    @property
    def gone(self) -> bool:
        """True if the connection is lost: an error then says nothing about the statement."""
        ...

    def begin(self) -> DBAPICursor:
        """Begins a transaction and returns a cursor. Raises the driver's error."""
        ...

    def commit(self) -> None:
        """Commits; raises StorageFailed, OutcomeUnknown, or the driver's error."""
        ...

    def rollback(self) -> None:
        """Rolls the transaction back; raises the driver's error."""
        ...

    def read(self, fetch: Callable[[DBAPICursor], list[Any]]) -> list[Any]:
        """The rows that `fetch` reads without a transaction; raises the driver's error."""
        ...


def session_of(connection: Connection) -> Session:
    """A session for batches on this connection, which must not be used for anything else.

    Raises the driver's error, or SQLAlchemy's, if the database is unavailable.
    """
    if connection.dialect.name == "sqlite":
        return SqliteSession(connection)
    return PostgresSession(connection)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A write transaction on a connection of its own; leaving the block commits it."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection
