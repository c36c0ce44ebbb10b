"""PostgreSQL: opens sessions with bounded waits, ends transactions on them, and speaks its SQL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import ceil
from time import sleep
from typing import Any, ClassVar
from weakref import WeakSet

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Text,
    cast,
    create_engine,
    event,
    func,
    literal,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ColumnElement

from service.config import Limits, PostgresLimits
from service.domain.verification import BookFault
from service.engine.ports import OutcomeUnknown, StorageFailed
from service.storage import postgres_integrity
from service.storage.postgres_arrays import BytesArray, array_of
from service.storage.row_statements import RowsStatement, Together, Values

# Without joins by hashes, a join of two whole tables that have no statistics yet compares every row
# of the one with every row of the other.
WHOLE_TABLES = {"enable_hashjoin": "on", "enable_mergejoin": "on", "enable_seqscan": "on"}
PAUSE_S = 0.1
"""The time between two looks at the lock of a migration."""
# An empty WAL record, so that COMMIT waits for the disk and the standbys.
MESSAGE = text("SELECT pg_logical_emit_message(true, 'freehold', 'probe')")


def postgres_settings(limits: PostgresLimits) -> dict[str, str | int]:
    """The settings of a session, whatever the defaults of the server and the role."""
    return {
        "statement_timeout": limits.statement_ms,
        "lock_timeout": limits.lock_ms,
        # A process that is frozen within a transaction must not block its rows for ever.
        "idle_in_transaction_session_timeout": limits.idle_in_transaction_ms,
        "synchronous_commit": "on",
        # For 64 keys and a table of 2,000 rows the planner would read the whole table. A table that
        # has no statistics yet looks small, and each of its rows would be compared with each key.
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_seqscan": "off",
        # A table without a fitting index is still read, but looks so dear that its read would be
        # compiled first.
        "jit": "off",
        # Prepared statements are parsed once and planned anew each time: a plan made for a small
        # table would stay while the table grows. Planning costs a batch no more than worse plans
        # would.
        "plan_cache_mode": "force_custom_plan",
        "application_name": "freehold",
    }


def open_postgres(url: URL, limits: PostgresLimits) -> Engine:
    """See `database.open_database`."""
    # Imported here, because SQLite does not need the driver.
    from service.storage.postgres_session import BytesDumper, Session

    engine = create_engine(
        url,
        connect_args=_postgres_arguments(url, limits),
        # READ COMMITTED, whatever the server's default: a batch locks its lines first, and its
        # later reads must see the changes of the processes that it waited for. A snapshot of the
        # transaction's start (REPEATABLE READ) would show the state before, and fail with 40001
        # whenever two processes meet on a line. Versions in UPDATE and unique keys cover the rows
        # without locks.
        isolation_level="READ COMMITTED",
        # Positional parameters, so that rows are passed to the driver unchanged.
        paramstyle="format",
        pool_pre_ping=True,
        pool_size=limits.connections,
        max_overflow=0,
        pool_timeout=limits.pool_wait_s,
        # hstore is not needed, and each first connection would look it up.
        use_native_hstore=False,
        hide_parameters=True,
    )

    sessions: WeakSet[Session] = WeakSet()

    def interrupt() -> None:
        for session in list(sessions):
            session.interrupt(limits.cancel_s)

    engine.update_execution_options(interrupt=interrupt)

    @event.listens_for(engine, "do_connect")
    def connect_driver(_dialect: Any, _record: Any, words: Any, options: Any) -> Any:
        session = Session.connect(*words, **options)
        session.adapters.register_dumper(BytesArray, BytesDumper)
        session.answer_s = limits.answer_s
        sessions.add(session)
        session.cancel_s = limits.cancel_s
        return session

    @event.listens_for(engine, "checkin")
    def hurry_again(session: Session | None, _record: Any) -> None:
        if session is not None:
            session.answer_s = limits.answer_s

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        warnings: deque[str] = deque(maxlen=1)
        record.info["warnings"] = warnings

        def note(notice: Any) -> None:
            if notice.severity_nonlocalized == "WARNING":
                warnings.append(notice.sqlstate)

        connection.add_notice_handler(note)

    @event.listens_for(engine, "handle_error")
    def lost(context: Any) -> None:
        # The driver may not have noticed yet that the connection is lost. Returned to the pool it
        # would fail there, and its place in the pool would be lost with it.
        error = context.original_exception
        away = (context.dialect.loaded_dbapi.OperationalError,)
        if isinstance(error, away) and getattr(error, "sqlstate", None) is None:
            context.is_disconnect = True

    @event.listens_for(engine, "commit")
    def commit(connection: Connection) -> None:
        driver: Any = connection.dialect.loaded_dbapi
        session: Any = connection.connection.driver_connection
        try:
            # SQLAlchemy's own COMMIT has nothing left to do.
            commit_checked(session, connection.info["warnings"])
        except driver.Error as error:
            raise DBAPIError.instance(
                "COMMIT", (), error, driver.Error, hide_parameters=True
            ) from None

    return engine


def postgres_bounds(limits: PostgresLimits) -> dict[str, int]:
    """The bounds of waits for a connection, as options of libpq 12 and newer."""
    return {
        "connect_timeout": limits.connect_s,
        "keepalives_idle": limits.keepalive_s,
        "keepalives_interval": limits.keepalive_s,
        "keepalives_count": limits.keepalives,
        "tcp_user_timeout": limits.unacknowledged_ms,
    }


def _postgres_arguments(url: URL, limits: PostgresLimits) -> dict[str, Any]:
    """The arguments of a connection; the URL's own options override them."""
    given = dict(url.query)
    settings = [f"-c {name}={value}" for name, value in postgres_settings(limits).items()]
    return {
        **{name: value for name, value in postgres_bounds(limits).items() if name not in given},
        "options": " ".join([*settings, str(given.get("options", ""))]).strip(),
    }


def commit_checked(session: Any, warnings: deque[str]) -> None:
    """Commits, and checks the answer.

    The driver regards every answer except an error as a success. ROLLBACK is no success: PostgreSQL
    answers COMMIT with it after a failed statement. A warning is no success either: PostgreSQL
    sends it when the wait for a synchronous standby was cancelled. `warnings` has the states of the
    warnings received. Raises StorageFailed, OutcomeUnknown, or the driver's error.
    """
    if not session.info.transaction_status:  # IDLE is 0: no transaction was begun
        return
    warnings.clear()
    answer = session.execute("COMMIT", prepare=False).statusmessage
    if answer != "COMMIT":
        raise StorageFailed(f"COMMIT was answered with {answer}")
    if warnings:
        raise OutcomeUnknown(f"COMMIT was answered with a warning ({warnings[-1]})")


class PostgresSession:
    """The connection for writing batches, used through the driver."""

    memory = None
    """Other processes write too: each transaction reads the rows, and locks them."""

    def __init__(self, connection: Connection) -> None:
        """Owns the connection until it is closed."""
        driver: Any = connection.connection.driver_connection
        self.driver = driver
        # Prepare at the first use: a rollback makes the driver forget prepared statements.
        self.driver.prepare_threshold = 0
        self._warnings: deque[str] = connection.info["warnings"]
        self.rollback = self.driver.rollback

    @property
    def gone(self) -> bool:
        """True if the connection is lost."""
        return bool(self.driver.closed)

    def begin(self) -> Any:
        """A cursor of a transaction; the driver begins it with the first statement."""
        return self.driver.cursor()

    def commit(self) -> None:
        """Commits; raises StorageFailed, OutcomeUnknown, or the driver's error."""
        commit_checked(self.driver, self._warnings)

    def read(self, fetch: Callable[[Any], list[Any]]) -> list[Any]:
        """The rows that `fetch` reads without a transaction.

        A transaction would have to end before scoring, and a rollback makes the driver forget its
        prepared statements.
        """
        session = self.driver
        session.autocommit = True
        try:
            return fetch(session.cursor())
        finally:
            # If this fails, the caller drops the session: its next writes must not be committed
            # statement by statement.
            if not session.closed:
                session.autocommit = False


class ArraysStatement(RowsStatement):
    """A statement on PostgreSQL: one text, and an array for each column.

    The driver prepares a statement for each text and each combination of parameter types, and an
    integer's type depends on its size. Rows of parameters would therefore almost never reuse a
    prepared statement. An array has one fixed type, and any number of rows.
    """

    def __init__(
        self, head: str, tail: str, columns: Sequence[Column[Any]], literals: Sequence[str] = ()
    ) -> None:
        super().__init__(head, tail, columns, literals)
        kinds = [array_of(column) for column in columns]
        arrays = ", ".join(f"CAST(%s AS {kind}[])" for kind, _ in kinds)
        self._text = f"{head}SELECT {', '.join(['*', *literals])} FROM unnest({arrays}){tail}"
        self._arrays = [array for _, array in kinds]

    def bound(self, rows: Sequence[Values], *parameters: int | str) -> tuple[str, Sequence[Any]]:
        """The text, and the columns as arrays."""
        columns = zip(self._arrays, zip(*rows, strict=True), strict=True)
        return self._text, (*[array(values) for array, values in columns], *parameters)

    def portions(self, rows: Sequence[Values]) -> list[Sequence[Values]]:
        """All rows together, because each statement costs as much as the work on several rows."""
        return [rows] if rows else []


class Postgres:
    """PostgreSQL's own ways; see `backend.Backend`."""

    drivers = frozenset({"postgresql", "postgresql+psycopg"})
    is_file = False
    numbers_rows = True
    locks_rows = True
    checks_types = True
    snapshot: ClassVar[Mapping[str, Any]] = {
        "isolation_level": "REPEATABLE READ",
        "postgresql_readonly": True,
    }
    row_id = ""
    ordered_join = "JOIN"
    """The planner chooses the order, which is rarely another one."""
    conflict_clause = ""
    lock_names = (
        "SELECT pg_advisory_xact_lock(name) FROM unnest(CAST(%s AS BIGINT[])) AS names (name)"
    )

    def rows_statement(
        self,
        head: str,
        tail: str,
        columns: Sequence[Column[Any]],
        literals: Sequence[str],
        _one: str,
    ) -> RowsStatement:
        """A statement with its rows between a head and a tail, which serves one row too."""
        return ArraysStatement(head, tail, columns, literals)

    def together(self) -> Together:
        """All statements are sent before an answer is waited for."""
        from service.storage.postgres_pipeline import PIPELINED

        return PIPELINED

    def open(self, url: URL, limits: Limits, *, create: bool) -> Engine:
        """An engine on a database, which must exist."""
        return open_postgres(url, limits.postgres)

    def only_server(self, _url: URL) -> AbstractContextManager[None]:
        """Does nothing: several servers may use one database."""
        return nullcontext()

    def open_to_others(self, _url: URL) -> list[str]:
        """None: the files are PostgreSQL's own."""
        return []

    def session(self, connection: Connection) -> PostgresSession:
        """A session for batches."""
        return PostgresSession(connection)

    def take_time(self, connection: Connection, answer_s: float | None) -> None:
        """Each answer may take `answer_s` seconds; None means any time.

        A transaction that only reads may also stand still for as long between two answers: it
        blocks no rows, and its client works on what it read. It may read tables from end to end and
        join them in every way, because it needs whole tables.
        """
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        if connection.get_execution_options().get("postgresql_readonly"):
            idle_ms = 0 if answer_s is None else ceil(answer_s * 1000)
            idle = {"idle_in_transaction_session_timeout": idle_ms}
            for name, value in {**idle, **WHOLE_TABLES}.items():
                connection.execute(text(f"SET LOCAL {name} = {value}"))
        session: Any = connection.connection.driver_connection
        session.answer_s = answer_s

    def lock_for_migration(self, connection: Connection, key: int, wait_ms: int) -> None:
        """Building an index or moving rows to shards may then take longer than a call."""
        self.take_time(connection, None)
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        connection.execute(text(f"SET LOCAL lock_timeout = {wait_ms}"))

    def build_index(self, engine: Engine, key: int, name: str, columns: str) -> None:
        """Builds the index concurrently, which may take any time; a half-built one is removed."""
        with engine.connect() as connection:
            session: Any = connection.connection.driver_connection
            session.autocommit = True
            session.answer_s = None
            for setting in ("statement_timeout", "lock_timeout"):
                session.execute(f"SET {setting} = 0")
            # A session that waits for a lock has a snapshot, for whose end the index would wait.
            while not session.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()[0]:
                sleep(PAUSE_S)
            whole = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
            if session.execute(whole, (name,)).fetchone() == (False,):
                session.execute(f"DROP INDEX CONCURRENTLY {name}")
            session.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {columns}")
            # Its settings and its lock end with the session.
            connection.invalidate()

    def write_nothing(self, connection: Connection) -> None:
        """Writes an empty WAL record."""
        connection.execute(MESSAGE)

    def any_text(self, _connection: Connection) -> AbstractContextManager[None]:
        """Does nothing: PostgreSQL stores valid texts only."""
        return nullcontext()

    def named_cursor(self, connection: Connection, name: str) -> Any:
        """The server keeps the result of a named cursor, and sends only the rows fetched."""
        session: Any = connection.connection.driver_connection
        return session.cursor(name=name)

    def export_snapshot(self, connection: Connection) -> str | None:
        """The name lasts as long as this transaction, which may then be idle for any time."""
        session: Any = connection.connection.driver_connection
        # It may have nothing to do until the others are done.
        session.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        return str(session.execute("SELECT pg_export_snapshot()").fetchone()[0])

    def see_snapshot(self, engine: Engine, snapshot: str | None) -> Engine:
        """The same database. Each of its transactions reads the exported state, if a state was
        exported."""
        if snapshot is None:
            return engine
        seen = engine.execution_options(isolation_level="REPEATABLE READ")

        @event.listens_for(seen, "begin")
        def begin(connection: Connection) -> None:
            # Past SQLAlchemy, which would open a cursor for it where rows are to be streamed.
            session: Any = connection.connection.driver_connection
            session.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")

        return seen

    def damage(self, connection: Connection) -> tuple[BookFault | None, tuple[str, ...]]:
        """Checks tables and indexes by amcheck, or compares the indexes with their tables."""
        return postgres_integrity.damage_of(connection)

    def damage_of_table(
        self, _connection: Connection, _table: str, _over: Callable[[], bool]
    ) -> tuple[bool, BookFault | None]:
        """Checks nothing: PostgreSQL checks its pages itself when it reads them."""
        return True, None

    def described(self, connection: Connection) -> Mapping[str, str]:
        """The triggers, indexes and CHECKs in PostgreSQL's catalogs."""
        return postgres_integrity.described(connection)

    def declared(self) -> Mapping[str, str | None]:
        """The same of this build's schema."""
        return postgres_integrity.declared()

    def named_rows(self, name: str, columns: Sequence[str]) -> str:
        """The columns get their names here."""
        return f"{name} ({', '.join(columns)})"

    def array_of_row(self, columns: Sequence[ColumnElement[Any]]) -> ColumnElement[str]:
        """One JSON array of these columns."""
        # A text with ", " in it has a comma too many either way.
        return func.replace(cast(func.json_build_array(*columns), Text), ", ", ",")

    def array_of_rows(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        """One JSON array of a column of all rows, in the order in which they are read."""
        return cast(func.json_agg(column), Text)

    def text_of_bytes(self, column: Column[bytes]) -> ColumnElement[str]:
        """Bytes as X'0123…'."""
        return literal("X'") + func.upper(func.encode(column, "hex")) + literal("'")

    def text_of_group(
        self, text: ColumnElement[str], order: Sequence[ColumnElement[Any]]
    ) -> ColumnElement[str]:
        """The texts in this order."""
        return func.string_agg(text, literal("")).aggregate_order_by(*order)
