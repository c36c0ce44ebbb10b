"""SQLite: opens a database's files, begins and ends transactions on them, and speaks its SQL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import RLock
from typing import Any, ClassVar

from sqlalchemy import URL, Column, Connection, Engine, create_engine, event, func
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ColumnElement

from service.config import Limits, SqliteLimits
from service.domain.verification import BookFault
from service.engine.read_time import read_time
from service.storage import sqlite_integrity
from service.storage.only_server import only_server
from service.storage.row_memory import RowMemory
from service.storage.row_statements import IN_TURN, RowsStatement, Together
from service.storage.sqlite_files import (
    FileGone,
    OpenFiles,
    address,
    at_path,
    has_log,
    log_pages,
    make_private,
    open_to_others,
    read_from_disk,
)

# SQLite's driver looks for an adapter for every value except numbers and texts, at 0.4 us each;
# this adapter is found in 0.1 us.
sqlite3.register_adapter(type(None), {None: None}.get)
sqlite3.register_adapter(bytes, bytearray)
sqlite3.register_adapter(bool, int)
# Held while a SQLite file is opened or closed in this process.
SQLITE_FILES = RLock()
SMALL_FILE_BYTES = 2**30
"""The place of the page that SQLite locks.

A split of a page in a tree may borrow this page's number. If the file is smaller, the number is
beyond its end, and the commit looks at each page in memory for one to forget: 0.3 ms for 64 MiB.
"""
FEW_PAGES = 64
"""Transactions of fewer pages on average are light: batches of about ten calls."""
LOOK_STEPS = 20_000
"""The steps of SQLite's machine, about a millisecond, between two looks at the time of a read."""


class SqliteDatabase:
    """One database file, and this process's connections to it."""

    def __init__(self, path: str, limits: SqliteLimits, *, create: bool) -> None:
        """`path` may be a symbolic link; it is resolved once, now."""
        self._file = os.path.realpath(path)
        self._create = create
        self._address = address(self._file, "mode=rw")
        self._files = OpenFiles(self._file)
        self._opened: list[sqlite3.Connection] = []
        self._turns = 0
        """The transactions since the last copy of the log."""
        self._limits = limits

    def connect(self, dialect: Any, options: Any) -> sqlite3.Connection:
        """A new connection; raises the driver's error, or FileGone."""
        with SQLITE_FILES:
            before = self._files.opening()
            if self._create and before is None:
                # SQLite gives the files beside it this mode, and says why it cannot open a file.
                with suppress(OSError):
                    make_private(self._file)
            if not self._opened and has_log(self._file):
                read_from_disk(self._file)
            connection: sqlite3.Connection = dialect.connect(self._address, uri=True, **options)
            try:
                _configure(connection, self._limits)
                self._files.opened(before)
            except BaseException:
                connection.close()
                raise
            self._opened.append(connection)
        return connection

    @property
    def remembered_rows(self) -> int:
        """The bound of the rows in memory of the connection that writes batches."""
        return self._limits.remembered_rows

    def cache_kib(self) -> int:
        """The memory for pages of the connection that writes batches."""
        found = at_path(self._file)  # without the file, the commit's check fails
        small = found is None or found.stamp[1] < SMALL_FILE_BYTES
        return self._limits.small_file_cache_kib if small else self._limits.cache_kib

    def doubt(self) -> None:
        """Call it after an error, perhaps a failed sync: files are then read from the disk."""
        with SQLITE_FILES, suppress(sqlite3.OperationalError):
            read_from_disk(self._file)

    def interrupt(self) -> None:
        """Interrupts every statement that runs now; a wait for a lock goes on."""
        for connection in list(self._opened):
            with suppress(sqlite3.ProgrammingError):  # it was closed meanwhile
                connection.interrupt()

    def close(self, connection: sqlite3.Connection) -> None:
        """Closes a connection at once, so that no other code regards it as open."""
        with SQLITE_FILES:
            self._opened.remove(connection)
            connection.close()
            if not self._opened:
                self._files.closed()

    def begin_reading(self, connection: sqlite3.Connection, *, thorough: bool) -> None:
        """Begins a read transaction after a check of the files; raises FileGone."""
        if thorough:
            self._files.check_all()
        else:
            self._files.check()
        connection.execute("BEGIN")

    def begin_writing(self, connection: sqlite3.Connection) -> None:
        """Begins a write transaction; its commit checks the files.

        At intervals it first copies a long log back into the file. If the copy fails, nothing may
        be written. Raises the driver's error.

        No thread may copy beside the transactions: a copy that ends with new pages in the log is
        not synced, but SQLite counts its pages as copied. If the disk then fails, they are lost.
        """
        self._turns += 1
        if self._turns % self._limits.checkpoint_turns == 0:
            self._checkpoint(connection)
        connection.execute("BEGIN IMMEDIATE")

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        pages, limits = log_pages(self._file), self._limits
        most = limits.checkpoint_pages
        if pages < FEW_PAGES * self._turns:
            most = min(most, limits.light_checkpoint_pages)
        if pages >= most:
            self._turns = 0
            # After a copy nobody could see that another program had written the file.
            self._files.check()
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            except sqlite3.Error:
                self.doubt()
                raise
            self._files.copied()

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commits while the path leads to the open file.

        Raises FileGone or the driver's error; the caller must then roll the transaction back.
        Raises FileGoneSince after a commit.
        """
        self._files.commit(connection)


class SqliteSession:
    """The connection for writing batches, used through the driver."""

    def __init__(self, connection: Connection) -> None:
        """Owns the connection until it is closed; raises the driver's error."""
        driver: Any = connection.connection.driver_connection
        self.driver = driver
        self._database: SqliteDatabase = connection.info["database"]
        # SQLite keeps the keys passed to a statement in a temporary table. Here they are few, so
        # memory is enough; other connections sort whole tables.
        self.driver.execute("PRAGMA temp_store=MEMORY")
        self.driver.execute(f"PRAGMA cache_size=-{self._database.cache_kib()}")
        self.memory = RowMemory(self._database.remembered_rows)
        self.gone = False

    def begin(self) -> Any:
        """Begins a transaction and returns a cursor. Raises the driver's error."""
        self._database.begin_writing(self.driver)
        cursor = self.driver.cursor()
        # Nobody else can commit before this transaction ends.
        ((commits,),) = cursor.execute("PRAGMA data_version").fetchall()
        self.memory.begin(commits)
        return cursor

    def commit(self) -> None:
        """Commits; raises FileGone, FileGoneSince, or the driver's error."""
        self._database.commit(self.driver)

    def rollback(self) -> None:
        """Rolls the transaction back; raises the driver's error."""
        self.memory.forget()
        self.driver.rollback()

    def read(self, fetch: Callable[[Any], list[Any]]) -> list[Any]:
        """The rows that `fetch` reads without a transaction."""
        return fetch(self.driver.cursor())


def open_sqlite(url: URL, limits: SqliteLimits, *, create: bool) -> Engine:
    """See `database.open_database`."""
    if not url.database or url.database == ":memory:" or url.query:
        raise ValueError("a SQLite database is a file: say sqlite:///FILE")
    connect = {"check_same_thread": False, "cached_statements": limits.cached_statements}
    engine = create_engine(url, connect_args=connect, hide_parameters=True)
    database = SqliteDatabase(url.database, limits, create=create)
    engine.update_execution_options(interrupt=database.interrupt)

    @event.listens_for(engine, "do_connect")
    def connect_driver(dialect: Any, _record: Any, _words: Any, options: Any) -> Any:
        return database.connect(dialect, options)

    @event.listens_for(engine, "connect")
    def note(_connection: Any, record: Any) -> None:
        record.info["database"] = database

    @event.listens_for(engine, "invalidate")
    def doubt(_connection: Any, _record: Any, _error: Any) -> None:
        # The store invalidates a connection after an error.
        database.doubt()

    @event.listens_for(engine, "close")
    def close_driver(connection: Any, _record: Any) -> None:
        database.close(connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        session: Any = connection.connection.driver_connection
        with _errors_of_sqlalchemy("BEGIN"):
            if options.get("writes"):
                database.begin_writing(session)
            else:
                database.begin_reading(session, thorough=bool(options.get("thorough")))

    @event.listens_for(engine, "commit")
    def commit(connection: Connection) -> None:
        session: Any = connection.connection.driver_connection
        try:
            # SQLAlchemy's own COMMIT has nothing left to do.
            with _errors_of_sqlalchemy("COMMIT"):
                database.commit(session)
        except FileGone:
            # SQLAlchemy regards the transaction as ended, and would leave it open with its lock.
            session.rollback()
            raise

    return engine


@contextmanager
def _errors_of_sqlalchemy(word: str) -> Iterator[None]:
    """Raises the driver's errors as SQLAlchemy's."""
    try:
        yield
    except sqlite3.Error as error:
        raise DBAPIError.instance(word, (), error, sqlite3.Error, hide_parameters=True) from None


def _configure(connection: Any, limits: SqliteLimits) -> None:
    # The driver must not begin transactions: SQLAlchemy's events and the session do.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={limits.busy_ms}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size=-{limits.read_cache_kib}")
    cursor.execute("PRAGMA wal_autocheckpoint=0")
    # The first read makes the log and the shared memory if they do not exist yet.
    cursor.execute("PRAGMA schema_version")
    cursor.close()
    # Called in the thread of the statement; it interrupts the statement by returning True.
    connection.set_progress_handler(_out_of_time, LOOK_STEPS)


def _out_of_time() -> bool:
    time = read_time()
    return time is not None and time.over


def _leniently(text: bytes) -> str:
    return text.decode("utf-8", "replace")


ROWS_TOGETHER = 8
"""More rows than this go to SQLite as a multiple of it, and the rest in a second statement.

Each number of rows is a text of its own, and preparing it costs about ten times its execution. With
a text for every number, a server would prepare statements in nearly every batch of its first
minutes, and its cache would be too small for them.
"""


class Sqlite:
    """SQLite's own ways; see `backend.Backend`."""

    drivers = frozenset({"sqlite", "sqlite+pysqlite"})
    is_file = True
    numbers_rows = False
    locks_rows = False
    checks_types = False
    snapshot: ClassVar[Mapping[str, Any]] = {}
    lock_names = ""
    row_id = "rowid"
    ordered_join = "CROSS JOIN"
    """SQLite then takes the passed rows as they come. For a JOIN it first copies them into a table
    of its own, which costs a short statement a third of its time."""
    conflict_clause = "OR FAIL "
    """For all writes: a failed statement stays half done.

    By default SQLite copies every page before a change, to undo only that statement. Here the whole
    transaction is rolled back instead.
    """

    def rows_statement(
        self,
        head: str,
        tail: str,
        columns: Sequence[Column[Any]],
        literals: Sequence[str],
        one: str,
    ) -> RowsStatement:
        """A statement with its rows between a head and a tail; `one` serves one row."""
        return RowsStatement(head, tail, columns, literals, together=ROWS_TOGETHER, one=one)

    def together(self) -> Together:
        """SQLite runs each statement in this thread."""
        return IN_TURN

    def open(self, url: URL, limits: Limits, *, create: bool) -> Engine:
        """An engine on a file."""
        return open_sqlite(url, limits.sqlite, create=create)

    def only_server(self, url: URL) -> AbstractContextManager[None]:
        """Keeps the file for one server; raises NotAlone."""
        return only_server(str(url.database))

    def open_to_others(self, url: URL) -> list[str]:
        """The files that other users of the machine may read or write."""
        return open_to_others(os.path.realpath(str(url.database)))

    def session(self, connection: Connection) -> SqliteSession:
        """A session for batches."""
        return SqliteSession(connection)

    def take_time(self, _connection: Connection, _answer_s: float | None) -> None:
        """Does nothing: calls have no time limit here."""

    def lock_for_migration(self, _connection: Connection, _key: int, _wait_ms: int) -> None:
        """Does nothing: a write transaction is alone."""

    def build_index(self, _engine: Engine, _key: int, _name: str, _columns: str) -> None:
        """Does nothing: nobody else can write while an index is built."""

    def write_nothing(self, connection: Connection) -> None:
        """Writes the first page, whose `user_version` keeps its value."""
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")

    @contextmanager
    def any_text(self, connection: Connection) -> Iterator[None]:
        """SQLite may store invalid texts, on which its driver would fail."""
        session: Any = connection.connection.driver_connection
        session.text_factory = _leniently
        try:
            yield
        finally:
            session.text_factory = str

    def named_cursor(self, connection: Connection, _name: str) -> Any:
        """A plain cursor, which reads each row when it is fetched."""
        session: Any = connection.connection.driver_connection
        return session.cursor()

    def export_snapshot(self, _connection: Connection) -> str | None:
        """None, because a state of SQLite has no name."""
        return None

    def see_snapshot(self, engine: Engine, _snapshot: str | None) -> Engine:
        """The engine itself: a state has no name."""
        return engine

    def damage(self, connection: Connection) -> tuple[BookFault | None, tuple[str, ...]]:
        """SQLite's full check of the file."""
        return sqlite_integrity.damage_of(connection), ()

    def damage_of_table(
        self, connection: Connection, table: str, over: Callable[[], bool]
    ) -> tuple[bool, BookFault | None]:
        """SQLite's full check of one table."""
        return sqlite_integrity.damage_of_table(connection, table, over)

    def described(self, connection: Connection) -> Mapping[str, str]:
        """The texts in the file's schema."""
        return sqlite_integrity.described(connection)

    def declared(self) -> Mapping[str, str | None]:
        """The texts that this build's migrations write."""
        return sqlite_integrity.declared()

    def named_rows(self, name: str, _columns: Sequence[str]) -> str:
        """The columns of VALUES have the names column1, column2 and so on."""
        return name

    def array_of_row(self, columns: Sequence[ColumnElement[Any]]) -> ColumnElement[str]:
        """One JSON array of these columns."""
        return func.json_array(*columns)

    def array_of_rows(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        """One JSON array of a column of all rows, in the order in which they are read."""
        return func.json_group_array(column)

    def text_of_bytes(self, column: Column[bytes]) -> ColumnElement[str]:
        """Bytes as X'0123…'."""
        return func.quote(column)

    def text_of_group(
        self, text: ColumnElement[str], _order: Sequence[ColumnElement[Any]]
    ) -> ColumnElement[str]:
        """The texts in the order in which the rows are read; the reader checks the order."""
        return func.group_concat(text, "")
