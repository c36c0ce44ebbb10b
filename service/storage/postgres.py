"""PostgreSQL: how a session is opened and bounded, and how a transaction on it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from service.config import LIMITS
from service.engine.ports import OutcomeUnknown, StorageFailed


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


def open_postgres(url: URL) -> Engine:
    """See `database.open_database`."""
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
        driver: Any = connection.dialect.loaded_dbapi
        session: Any = connection.connection.driver_connection
        try:
            # SQLAlchemy's own COMMIT finds nothing to do.
            commit_checked(session, connection.info["warnings"])
        except driver.Error as error:
            raise DBAPIError.instance(
                "COMMIT", (), error, driver.Error, hide_parameters=True
            ) from None

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


def commit_checked(session: Any, warnings: deque[str]) -> None:
    """Commits, and looks at the answer.

    The driver takes every answer but an error for a success. ROLLBACK is none: so PostgreSQL
    answers COMMIT after a statement had failed. Nor is a warning: so it answers when the wait for
    a synchronous standby was cut off. `warnings` are the states of those that came. Raises
    StorageFailed, OutcomeUnknown, or the driver's error.
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
    """The connection that batches are written on, as the driver has it."""

    def __init__(self, connection: Connection) -> None:
        """Takes the connection for its own until it is closed."""
        driver: Any = connection.connection.driver_connection
        self.driver = driver
        # At their first use, so that what a rollback made the driver forget is back at once.
        self.driver.prepare_threshold = 0
        self._warnings: deque[str] = connection.info["warnings"]
        self.rollback = self.driver.rollback

    @property
    def gone(self) -> bool:
        """Whether the connection is lost."""
        return bool(self.driver.closed)

    def begin(self) -> Any:
        """A cursor of a transaction, which the driver begins with the first statement."""
        return self.driver.cursor()

    def commit(self) -> None:
        """Commits; raises StorageFailed, OutcomeUnknown, or the driver's error."""
        commit_checked(self.driver, self._warnings)

    @contextmanager
    def reading_once(self) -> Iterator[Any]:
        """A cursor for single statements that read, in no transaction.

        A transaction would have to be ended before scores are made, and a rollback makes the
        driver forget every statement that it has prepared.
        """
        session = self.driver
        session.autocommit = True
        try:
            yield session.cursor()
        finally:
            # Where that fails, whoever reads lets go of the session: what it would write next must
            # not be committed statement by statement.
            if not session.closed:
                session.autocommit = False
