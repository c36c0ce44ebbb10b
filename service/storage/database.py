"""Opening a database: one place for the settings that durability rests on."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import RLock
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from service.config import LIMITS
from service.engine.ports import OutcomeUnknown, StorageFailed
from service.storage.sqlite_files import (
    FileGone,
    OpenFiles,
    address,
    has_log,
    log_pages,
    only_server,
    read_from_disk,
)

# SQLite's driver asks every value but numbers and texts how it wants to be stored, at 0.4 us each;
# here is the answer, for 0.1 us.
sqlite3.register_adapter(type(None), {None: None}.get)
sqlite3.register_adapter(bytes, bytearray)
sqlite3.register_adapter(bool, int)
# Held by whoever opens or closes a file of SQLite's in this process.
SQLITE_FILES = RLock()


def postgres_settings() -> dict[str, str | int]:
    """What a session rests on; not left to how the server or the role is set up."""
    limits = LIMITS.postgres
    return {
        "statement_timeout": limits.statement_ms,
        "lock_timeout": limits.lock_ms,
        # A process that is frozen within a transaction must not keep others from the rows it
        # locked.
        "idle_in_transaction_session_timeout": limits.idle_in_transaction_ms,
        "synchronous_commit": "on",
        # For 64 keys and a table of 2,000 rows the planner would rather read the table.
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        # What is prepared is parsed once, and planned anew for the rows and tables that there are:
        # a plan made while a table was small would stay while it grows. Planning costs a batch no
        # more than the worse plans would.
        "plan_cache_mode": "force_custom_plan",
        "application_name": "freehold",
    }


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
        return _open_sqlite(parsed, create=create)
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return _open_postgres(parsed)
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


def _open_sqlite(url: URL, *, create: bool) -> Engine:
    if not url.database or url.database == ":memory:" or url.query:
        raise ValueError("a SQLite database is a file: say sqlite:///FILE")
    connect = {"check_same_thread": False, "cached_statements": LIMITS.sqlite.cached_statements}
    engine = create_engine(url, connect_args=connect, hide_parameters=True)
    file = os.path.realpath(url.database)
    name = address(file, "mode=rwc" if create else "mode=rw")
    files = OpenFiles(file)
    opened: list[Any] = []
    turns = itertools.count(1)

    @event.listens_for(engine, "do_connect")
    def connect_driver(dialect: Any, _record: Any, _words: Any, options: Any) -> Any:
        with SQLITE_FILES:
            before = files.opening()
            if not opened and has_log(file):
                read_from_disk(file)
            connection = dialect.connect(name, uri=True, **options)
            try:
                _configure_sqlite(connection)
                files.opened(before)
            except BaseException:
                connection.close()
                raise
            opened.append(connection)
        return connection

    @event.listens_for(engine, "invalidate")
    def doubt(_connection: Any, _record: Any, _error: Any) -> None:
        # So the store lets go of a connection when something has failed, a sync perhaps.
        with SQLITE_FILES, suppress(sqlite3.OperationalError):
            read_from_disk(file)

    @event.listens_for(engine, "close")
    def close_driver(connection: Any, _record: Any) -> None:
        # Here and not a moment later, so that nobody takes it for open who comes next.
        with SQLITE_FILES:
            opened.remove(connection)
            connection.close()
            if not opened:
                files.closed()

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        options = connection.get_execution_options()
        writes = options.get("writes")
        if options.get("thorough"):
            files.check_all()
        elif not writes:
            files.check()
        if writes and next(turns) % LIMITS.sqlite.checkpoint_turns == 0:
            _checkpoint(connection, file)
        _say(connection, "BEGIN IMMEDIATE" if writes else "BEGIN")

    @event.listens_for(engine, "commit")
    def commit(connection: Connection) -> None:
        _commit_sqlite(connection, files)

    return engine


def _configure_sqlite(connection: Any) -> None:
    # The driver must not begin transactions by itself: `begin` above does.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={LIMITS.sqlite.busy_ms}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size=-{LIMITS.sqlite.cache_kib}")
    cursor.execute("PRAGMA wal_autocheckpoint=0")
    # The first read makes the log and the shared memory, where they are not there yet.
    cursor.execute("PRAGMA schema_version")
    cursor.close()


def _commit_sqlite(connection: Connection, files: OpenFiles) -> None:
    """Commits while the path leads to the open file; SQLAlchemy's own COMMIT finds nothing to do.

    Raises FileGone, FileGoneSince, or the driver's error.
    """
    session: Any = connection.connection.driver_connection
    try:
        files.commit(session)
    except FileGone:
        # SQLAlchemy takes the transaction for ended, and would leave it open with its lock.
        session.rollback()
        raise
    except sqlite3.Error as error:
        raise DBAPIError.instance(
            "COMMIT", (), error, sqlite3.Error, hide_parameters=True
        ) from None


def _checkpoint(connection: Connection, file: str) -> None:
    """Copies a long log back into the file; whoever writes may not go on when that fails."""
    if log_pages(file) >= LIMITS.sqlite.checkpoint_pages:
        try:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()
        except DBAPIError:
            with SQLITE_FILES, suppress(sqlite3.OperationalError):
                read_from_disk(file)
            raise


def _open_postgres(url: URL) -> Engine:
    # The driver need not be installed for SQLite.
    from service.storage.postgres_session import Session

    engine = create_engine(
        url,
        connect_args=_postgres_arguments(url),
        # READ COMMITTED, whatever the server's default: a batch locks its lines first and then
        # reads, and each read must see what those left that it waited for. A snapshot taken at
        # the transaction's start (REPEATABLE READ) would show it the state before, and fail with
        # 40001 whenever two processes meet on a line. What no row lock covers is covered by the
        # versions in UPDATE and by unique keys.
        isolation_level="READ COMMITTED",
        # Positional parameters, so that rows are handed to the driver as they are.
        paramstyle="format",
        pool_pre_ping=True,
        pool_size=LIMITS.postgres.connections,
        max_overflow=0,
        pool_timeout=LIMITS.postgres.pool_wait_s,
        # Of no use here, and looked up with every first connection.
        use_native_hstore=False,
        hide_parameters=True,
    )

    @event.listens_for(engine, "do_connect")
    def connect_driver(_dialect: Any, _record: Any, words: Any, options: Any) -> Any:
        session = Session.connect(*words, **options)
        session.answer_s = LIMITS.postgres.answer_s
        return session

    @event.listens_for(engine, "checkin")
    def hurry_again(session: Session | None, _record: Any) -> None:
        if session is not None:
            session.answer_s = LIMITS.postgres.answer_s

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        warnings: deque[str] = deque(maxlen=1)
        record.info["warnings"] = warnings

        def note(notice: Any) -> None:
            if notice.severity_nonlocalized == "WARNING":
                warnings.append(notice.sqlstate)

        connection.add_notice_handler(note)

    @event.listens_for(engine, "commit")
    def commit(connection: Connection) -> None:
        _commit_postgres(connection)

    return engine


def postgres_bounds() -> dict[str, int]:
    """How long a connection is waited for and held, in options that libpq 12 and newer know."""
    return {
        "connect_timeout": LIMITS.postgres.connect_s,
        "keepalives_idle": LIMITS.postgres.keepalive_s,
        "keepalives_interval": LIMITS.postgres.keepalive_s,
        "keepalives_count": LIMITS.postgres.keepalives,
        "tcp_user_timeout": LIMITS.postgres.unacknowledged_ms,
    }


def _postgres_arguments(url: URL) -> dict[str, Any]:
    """How to connect; what the URL says itself comes last and wins."""
    given = dict(url.query)
    settings = [f"-c {name}={value}" for name, value in postgres_settings().items()]
    return {
        **{name: value for name, value in postgres_bounds().items() if name not in given},
        "options": " ".join([*settings, str(given.get("options", ""))]).strip(),
    }


def _commit_postgres(connection: Connection) -> None:
    """Commits, and looks at the answer; SQLAlchemy's own COMMIT after it finds nothing to do.

    The driver takes every answer but an error for a success. ROLLBACK is none: so PostgreSQL
    answers COMMIT after a statement had failed. Nor is a warning: so it answers when the wait for
    a synchronous standby was cut off. Raises StorageFailed, OutcomeUnknown, or the driver's error.
    """
    driver: Any = connection.dialect.loaded_dbapi
    session: Any = connection.connection.driver_connection
    if session.info.transaction_status == driver.pq.TransactionStatus.IDLE:
        return
    warnings = connection.info["warnings"]
    warnings.clear()
    answer = _say(connection, "COMMIT", prepare=False).statusmessage
    if answer != "COMMIT":
        raise StorageFailed(f"COMMIT was answered with {answer}")
    if warnings:
        raise OutcomeUnknown(f"COMMIT was answered with a warning ({warnings[-1]})")


def _say(connection: Connection, word: str, **options: Any) -> Any:
    """What the driver makes of BEGIN or COMMIT; its errors as SQLAlchemy's.

    Through SQLAlchemy each of these words costs as much as a statement with all its rows.
    """
    driver: Any = connection.dialect.loaded_dbapi
    session: Any = connection.connection.driver_connection
    try:
        return session.execute(word, **options)
    except driver.Error as error:
        raise DBAPIError.instance(word, (), error, driver.Error, hide_parameters=True) from None


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


def for_batches(connection: Connection) -> None:
    """Sets up the connection that batches are written on, of a process's own.

    SQLite keeps the keys that a statement hands over in a table of its own, which here need not
    be ready to go to a file: they are few. Other connections sort whole tables.

    Raises the driver's error, or SQLAlchemy's, when the database is away.
    """
    session: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        session.execute("PRAGMA temp_store=MEMORY")
    else:
        # At their first use, so that what a rollback made the driver forget is back at once.
        session.prepare_threshold = 0
    connection.execution_options(writes=True)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes, on a connection of its own; commits on leaving the block."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection
