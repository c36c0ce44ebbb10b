"""The store: reads and writes of whole batches, and single reads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from service.domain.cases import WaitingCase
from service.domain.errors import InvariantBroken
from service.domain.ledger import Line
from service.engine.catalog import Catalog, TermsNames
from service.engine.counting import Histogram
from service.engine.feature_values import Kind
from service.engine.figures import Figures
from service.engine.ports import (
    Conflict,
    OutcomeUnknown,
    OwedBack,
    ReadAgain,
    StorageFailed,
    Waking,
)
from service.engine.reads import CaseWithEvidence, Docked, Told
from service.engine.records.transfers import TransferRecord, TransferState
from service.engine.records.users import UserFeatures, UserRecord
from service.storage import rows
from service.storage import schema as t
from service.storage.backend import Session
from service.storage.cases import case_with_evidence, cases_over
from service.storage.charges import docked, told
from service.storage.database import backend_of, reading, session_of, telling, writing
from service.storage.figures import figures
from service.storage.models import kinds_of_models
from service.storage.owed_back import owed_back
from service.storage.sqlite_files import FileGone, FileGoneSince
from service.storage.statements import statements_of
from service.storage.terms import read_catalog, read_changed, read_part
from service.storage.transaction import SqlTransaction

SERIALIZATION_FAILURES = frozenset({"40001", "40P01"})
BROKEN_RULES = frozenset(
    {
        "23514",
        "23502",
        "SQLITE_CONSTRAINT_CHECK",
        "SQLITE_CONSTRAINT_NOTNULL",
        "SQLITE_CONSTRAINT_TRIGGER",
    }
)
# These errors prove that nothing was committed; after other I/O errors the log may have it.
SQLITE_REFUSALS = frozenset({"SQLITE_FULL", "SQLITE_BUSY", "SQLITE_READONLY"})
# The file is damaged; SQLite may also report this of a sound file after a failed read.
SQLITE_UNREADABLE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def _code(error: BaseException) -> str:
    """The state of PostgreSQL's error, the name of SQLite's, or the type of any other."""
    known = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    return str(known or type(error).__name__)


def _retryable(error: BaseException | None) -> bool:
    """True if PostgreSQL asks to run the transaction again."""
    return getattr(error, "sqlstate", None) in SERIALIZATION_FAILURES


class SqlStore:
    """A store on SQLite or PostgreSQL, through SQLAlchemy Core."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._statements = statements_of(engine)
        self._driver: Any = engine.dialect.loaded_dbapi
        # PostgreSQL's internal errors concern the session, not our statement.
        self._away = (
            self._driver.OperationalError,
            self._driver.InterfaceError,
            self._driver.InternalError,
        )
        self._writer: Connection | None = None
        self._session: Session | None = None
        self._doubted = False
        self._schemas: dict[str, tuple[str, ...]] = {}
        self.commit_seconds = Histogram()
        """The times of the successful commits of write transactions."""

    @property
    def engine(self) -> Engine:
        """The database behind the store."""
        return self._engine

    @contextmanager
    def begin(self) -> Iterator[SqlTransaction]:
        """Opens a write transaction on the store's one writing connection."""
        try:
            session = self._writing_session()
            cursor = session.begin()
        except (self._driver.Error, SQLAlchemyError) as error:
            self._drop_writer()
            raise StorageFailed("no transaction could be started") from telling(error)
        try:
            opened = SqlTransaction(cursor, self._statements, memory=session.memory)
            yield opened
        except ReadAgain:
            if opened.has_written:
                # The rollback restores the rows of operators' balances that were taken.
                self._roll_back(session)
            else:
                # A rollback would make psycopg forget all its prepared statements.
                with suppress(StorageFailed, OutcomeUnknown, Conflict):
                    self._commit(session)
            raise
        except self._driver.IntegrityError as error:
            self._roll_back(session)
            # The driver's text is left out, because PostgreSQL quotes the row in it.
            code = _code(error)
            if code in BROKEN_RULES:
                raise InvariantBroken(f"a row breaks a CHECK of the database ({code})") from None
            raise Conflict(f"another row has the same key ({code})") from None
        except self._driver.Error as error:
            self._roll_back(session)
            code = _code(error)
            if _retryable(error):
                raise Conflict(f"serialization failure ({code})") from telling(error)
            away = isinstance(error, self._away) or session.gone
            if away or code.startswith(SQLITE_UNREADABLE):
                # Whatever the error, the next transaction uses a new connection: this one may lead
                # to a server that is stopping or read-only.
                self._drop_writer()
                raise StorageFailed(f"the database is unavailable or full ({code})") from telling(
                    error
                )
            raise InvariantBroken(
                f"the database does not understand a statement ({code})"
            ) from telling(error)
        except BaseException:
            self._roll_back(session)
            raise
        self._commit(session)
        if session.memory is not None and opened.written is not None:
            session.memory.keep(opened.written)

    def _commit(self, session: Session) -> None:
        began_s = time.perf_counter()
        try:
            session.commit()
            self.commit_seconds.add(time.perf_counter() - began_s)
        except (self._driver.Error, StorageFailed, OutcomeUnknown) as error:
            # The connection may still be within the transaction.
            self._roll_back(session)
            if not isinstance(error, FileGone | FileGoneSince):
                # Keep the connection of a removed file: without it the file could not come back.
                self._drop_writer()
            if isinstance(error, self._driver.Error):
                raise _meaning_at_commit(error) from telling(error)
            raise

    def doubt(self) -> None:
        """Call it after a database failure: the next batch uses a new connection; thread-safe.

        Sessions of a restarted PostgreSQL are dead, and an idle one does not notice. A file has no
        sessions, and a removed one would be lost with its last connection.
        """
        self._doubted = not backend_of(self._engine).is_file

    def _writing_session(self) -> Session:
        if self._doubted:
            self._doubted = False
            self._drop_writer()
        if self._session is None:
            self._writer = self._engine.connect()
            self._session = session_of(self._writer)
        return self._session

    def _drop_writer(self) -> None:
        """Closes an unusable connection; the database rolls back its transaction."""
        writer, self._writer, self._session = self._writer, None, None
        if writer is not None:
            writer.invalidate()
            writer.close()

    def _roll_back(self, session: Session) -> None:
        try:
            session.rollback()
        except self._driver.Error:
            self._drop_writer()

    def interrupt(self) -> None:
        """Interrupts every statement that runs now, which then fails; thread-safe."""
        self._engine.get_execution_options()["interrupt"]()

    def close(self) -> None:
        """Closes every connection."""
        writer, self._writer, self._session = self._writer, None, None
        if writer is not None:
            writer.close()
        self._engine.dispose()

    # -- reads outside a write transaction -------------------------------------------------

    def features(self, keys: Iterable[str]) -> dict[str, UserFeatures]:
        """People with their latest features; call it on the writing thread, before `begin`.

        It uses the writing connection, because a second connection drops all cached pages whenever
        the first one commits.
        """
        try:
            session = self._writing_session()
            fetch = partial(self._statements.features.fetch, keys=[(key,) for key in keys])
            found = session.read(fetch)
        except (self._driver.Error, SQLAlchemyError) as error:
            self._drop_writer()
            raise StorageFailed("the database refused the read") from telling(error)
        people = {}
        for user_id, scoring_consent, *rest in found:
            people[user_id] = UserFeatures(user_id, bool(scoring_consent), *rest)
        return people

    def note_uses(self, uses: Mapping[str, int]) -> None:
        """Records when keys were last used, by their hashes; an earlier time changes nothing.

        Call it on the writing thread: a commit of another connection would make SQLite drop all
        pages that the writing one keeps. Raises as `begin`.
        """
        with self.begin() as transaction:
            transaction.note_uses(uses)

    def person(self, user_id: str, currency: str) -> tuple[UserRecord, Line | None] | None:
        """A person and the person's line in this currency, as of one instant; thread-safe."""
        u, c = t.users.c, t.lines.c
        user = select(t.users).where(u.user_id == user_id)
        line = select(t.lines).where(c.user_id == user_id, c.currency == currency)
        with reading(self._engine) as connection:
            found = connection.execute(user).first()
            if found is None:
                return None
            row = connection.execute(line).first()
            return rows.user_of(found), None if row is None else rows.line_of(row)

    def feature_names(self, schema_id: str) -> tuple[str, ...]:
        """The order of the raw values of a schema; empty if unknown."""
        return self._known_names(schema_id) or ()

    def _known_names(self, schema_id: str) -> tuple[str, ...] | None:
        if schema_id not in self._schemas:
            query = select(t.feature_schemas.c.names).where(
                t.feature_schemas.c.schema_id == schema_id
            )
            with reading(self._engine) as connection:
                names = connection.scalar(query)
            if names is None:
                return None
            self._schemas[schema_id] = tuple(json.loads(names))
        return self._schemas[schema_id]

    def save_feature_schema(self, schema_id: str, names: Sequence[str]) -> None:
        """Stores an order of raw values; a known schema is left alone."""
        if self._known_names(schema_id) is not None:
            return
        row = {"schema_id": schema_id, "names": json.dumps(list(names))}
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(t.feature_schemas), row)
        except IntegrityError:
            return  # another process was first; the id is a hash of the names

    def kinds(self) -> dict[str, frozenset[Kind]]:
        """The kinds of each raw feature that a model knows which is not retired; thread-safe."""
        return kinds_of_models(self._engine)

    def waking(self, now_us: int, limit: int, after: Waking | None = None) -> list[Waking]:
        """Authorizations with a due timer, earliest first; only those after `after`, if given."""
        a = t.authorizations.c
        order = (a.wake_us, a.user_id, a.authorization_id)
        query = select(*order).where(a.wake_us.is_not(None), a.wake_us <= now_us)
        if after is not None:
            query = query.where(*_behind(order, after))
        with reading(self._engine) as connection:
            found = connection.execute(query.order_by(*order).limit(limit))
            return [Waking(*row) for row in found]

    def cases_over(
        self, now_us: int, limit: int, after: WaitingCase | None = None
    ) -> list[WaitingCase]:
        """Open cases whose own clock has run out, earliest first."""
        with reading(self._engine) as connection:
            return cases_over(connection, now_us, limit, after)

    def case(self, user_id: str, authorization_id: str, case_id: str) -> CaseWithEvidence | None:
        """One case with its evidence, or None."""
        with reading(self._engine) as connection:
            return case_with_evidence(connection, (user_id, authorization_id, case_id))

    def unsent_transfers(
        self, before_us: int, limit: int, after: TransferRecord | None = None
    ) -> list[TransferRecord]:
        """Transfers that are requested, or were sent before an instant and not answered since.

        The one unchanged for longest comes first; only those after `after`, if given.
        """
        c = t.transfers.c
        order = (c.change_us, c.user_id, c.transfer_id)
        requested = c.state == str(TransferState.REQUESTED)
        unanswered = and_(c.state == str(TransferState.SENT), c.change_us <= before_us)
        query = select(*t.recorded(t.transfers)).where(or_(requested, unanswered))
        # Transfers that have not ended have an index of their own, in this order.
        query = query.where(text("(state = 'REQUESTED' OR state = 'SENT')"))
        if after is not None:
            place = (after.change_us, after.user_id, after.transfer_id)
            query = query.where(*_behind(order, place))
        query = query.order_by(*order).limit(limit)
        with reading(self._engine) as connection:
            return [rows.transfer_of(row) for row in connection.execute(query)]

    def told(self, user_id: str, authorization_id: str) -> Told | None:
        """One authorization with its captures and corrections, or None."""
        with reading(self._engine) as connection:
            return told(connection, user_id, authorization_id)

    def docked(self, told: Told) -> Docked | None:
        """The step that settled a rental, or None."""
        with reading(self._engine) as connection:
            return docked(connection, told)

    def line(self, user_id: str, currency: str) -> Line | None:
        """One line in its present state, or None."""
        query = select(t.lines).where(t.lines.c.user_id == user_id, t.lines.c.currency == currency)
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else rows.line_of(row)

    def newest_us(self) -> int | None:
        """The time of the last event's record, in microseconds since the epoch, or None."""
        query = select(t.outbox.c.record_us).order_by(t.outbox.c.sequence.desc()).limit(1)
        with reading(self._engine) as connection:
            newest: int | None = connection.scalar(query)
        return newest

    def unfolded(self, rows: int) -> list[tuple[str, str]]:
        """The operators' balances that have more than `rows` rows."""
        p = t.operator_payables.c
        key = (p.operator_id, p.currency)
        query = select(*key).group_by(*key).having(func.count() > rows).order_by(*key)
        with reading(self._engine) as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def owed_back(self, late_us: int) -> list[OwedBack]:
        """The sums owed back, by currency; refunds that wait since `late_us` or before are late."""
        return owed_back(self._engine, late_us)

    def figures(self, now_us: int, sealed_sequence: int) -> Figures:
        """Sums over the whole database; events after this number may lack a seal."""
        return figures(self._engine, now_us, sealed_sequence)

    def debts(self) -> dict[tuple[str, str], int]:
        """The amounts that operators owe, in minor units; only balances below zero."""
        p = t.operator_payables.c
        key, total = (p.operator_id, p.currency), func.sum(p.amount_minor)
        query = select(*key, total).group_by(*key).having(total < 0)
        with reading(self._engine) as connection:
            return {(row[0], row[1]): -int(row[2]) for row in connection.execute(query)}

    def catalog(self) -> Catalog:
        """All sound terms."""
        with reading(self._engine) as connection:
            return read_catalog(connection)

    def changed_terms(self, after: int) -> tuple[TermsNames | None, Catalog] | None:
        """The terms that changed after this change number; None if no terms changed.

        The result has the names of the changed terms, and a catalog with the terms of these names.
        If too much changed, the names are None, and the catalog has all terms.
        """
        with reading(self._engine) as connection:
            return read_changed(connection, after)

    def terms_of(self, names: TermsNames) -> tuple[TermsNames, Catalog]:
        """The sound terms of these names, and all names that were read."""
        with reading(self._engine) as connection:
            return read_part(connection, names)


def _meaning_at_commit(error: BaseException) -> Exception:
    """The error for a failed COMMIT: it is certain only if the database reports a rollback."""
    code = _code(error)
    if _retryable(error):
        return Conflict(f"serialization failure at commit ({code})")
    if code in SQLITE_REFUSALS:
        # SQLite refused before the commit took effect; it is rolled back.
        return StorageFailed(f"the database refused the commit ({code})")
    return OutcomeUnknown(f"the commit was not answered ({code})")


def _behind(order: Sequence[ColumnElement[Any]], place: Sequence[Any]) -> Iterable[Any]:
    """The conditions for rows after a place in an order; an index can use the first."""
    return order[0] >= place[0], tuple_(*order) > tuple_(*place)
