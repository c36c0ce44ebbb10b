"""The store: reads and writes of whole batches, and the single reads beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RootTransaction,
    and_,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from service.domain.authorization import Authorization, State
from service.domain.errors import InvariantBroken
from service.domain.ledger import Line
from service.engine.changes import Changes
from service.engine.ports import Conflict, OutcomeUnknown, ReadAgain, StorageFailed, Waking
from service.engine.records import (
    Catalog,
    OpenItem,
    PaymentRecord,
    RequestRecord,
    TakenPayable,
    TransferRecord,
    TransferState,
    UserFeatures,
    UserRecord,
)
from service.storage import rows
from service.storage import tables as t
from service.storage.database import for_batches, reading, reading_once, telling, writing
from service.storage.sqlite_files import FileGone, FileGoneSince
from service.storage.statements import (
    FOLDED_ROWS,
    MOST_ROWS,
    RowsStatement,
    Statements,
    Values,
    statements_for,
)
from service.storage.terms import read_catalog

Key = TypeVar("Key", str, tuple[str, str])
Value = TypeVar("Value")

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
# After an I/O error at the commit the log may hold it all the same; these are certain.
SQLITE_REFUSALS = frozenset({"SQLITE_FULL", "SQLITE_BUSY", "SQLITE_READONLY"})
# What a disk gave back makes no sense; after a failed read SQLite may say so of a sound file too.
SQLITE_UNREADABLE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def _code(error: BaseException) -> str:
    """PostgreSQL's state or SQLite's name of an error; else its kind."""
    known = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    return str(known or type(error).__name__)


def _retryable(error: BaseException | None) -> bool:
    """Whether PostgreSQL asks for the transaction to be run again."""
    return getattr(error, "sqlstate", None) in SERIALIZATION_FAILURES


# On SQLite a statement is kept for every number of rows that it was ever needed for.
HEADS_TOGETHER = 50


class SqlTransaction:
    """One write transaction on one connection."""

    def __init__(self, cursor: DBAPICursor, statements: Statements) -> None:
        self._cursor = cursor
        self._statements = statements
        self.has_written = False
        """Rows were changed or taken away: to commit now would keep that."""

    def _read(self, statement: RowsStatement, keys: Iterable[tuple[str, ...]]) -> list[Any]:
        return _rows(self._cursor, statement, keys)

    def requests(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], RequestRecord]:
        """Request records by (caller, request id)."""
        found = self._read(self._statements.select_requests, keys)
        return {(row[0], row[1]): RequestRecord(*row) for row in found}

    def users(self, keys: Iterable[str]) -> dict[str, UserRecord]:
        """People by id."""
        found = self._read(self._statements.select_users, [(key,) for key in keys])
        return {row[0]: UserRecord(*row) for row in found}

    def lines(self, keys: Iterable[str]) -> dict[tuple[str, str], Line]:
        """Every line of these people, by (user id, currency)."""
        found = self._read(self._statements.select_lines, [(key,) for key in keys])
        return {(row[0], row[1]): rows.line_of(row) for row in found}

    def authorizations(
        self, keys: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], Authorization]:
        """Authorizations by (user id, authorization id)."""
        found = self._read(self._statements.select_authorizations, keys)
        return {(row[0], row[1]): rows.authorization_of(row) for row in found}

    def open_items(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], OpenItem]:
        """Items in open rentals, by (operator id, asset id)."""
        found = self._read(self._statements.select_open_items, keys)
        return {(row[0], row[1]): OpenItem(*row) for row in found}

    def payments(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], PaymentRecord]:
        """Payments by (caller, payment reference)."""
        found = self._read(self._statements.select_payments, keys)
        return {(row[0], row[1]): rows.payment_of(row) for row in found}

    def groups(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Authorization]:
        """The authorizations of groups by (user id, group id); keys as in `authorizations`."""
        found = self._read(self._statements.select_groups, keys)
        return {(row[0], row[1]): rows.authorization_of(row) for row in found}

    def lapsed(self, keys: Iterable[str], now_us: int) -> list[tuple[str, str]]:
        """What holds something for these people and to which time has done something by now."""
        statement, people = self._statements.select_lapsed, [(key,) for key in keys]
        found = _rows(self._cursor, statement, people, now_us)
        return [(row[0], row[1]) for row in found]

    def transfers(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], TransferRecord]:
        """Transfers by (user id, transfer id)."""
        found = self._read(self._statements.select_transfers, keys)
        return {(row[0], row[1]): rows.transfer_of(row) for row in found}

    def transfers_of(
        self, keys: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], TransferRecord]:
        """Every transfer of authorizations by (user id, authorization id); keys as in
        `transfers`."""
        found = self._read(self._statements.select_transfers_of, keys)
        return {(row[0], row[1]): rows.transfer_of(row) for row in found}

    def take_payable(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], TakenPayable]:
        """A portion of what operators are owed, by (operator id, currency), taken away."""
        taken = {}
        self.has_written = True
        for key in sorted(keys):
            self._cursor.execute(self._statements.take_payables, (*key, *key))
            found = self._cursor.fetchall()
            taken[key] = TakenPayable(sum(row[0] for row in found), len(found) == FOLDED_ROWS)
        return taken

    def payable_left(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """What operators are owed beside what was taken; what others took is back by now."""
        left = {}
        for key in sorted(keys):
            self._cursor.execute(self._statements.payable_left, key)
            ((amount,),) = self._cursor.fetchall()
            left[key] = int(amount)
        return left

    def last_seal_number(self) -> int:
        """The number of the last seal; 0 before the first."""
        self._cursor.execute(self._statements.select_last_seal)
        (row,) = self._cursor.fetchall()
        return int(row[0])

    def write(self, changes: Changes) -> None:
        """Writes a batch, one statement a table; Conflict when a row was taken by others.

        Every process takes the tables in this order, and the keys of a table in theirs, so that
        no two wait for each other.
        """
        s = self._statements
        self.has_written = True
        self._write_users(changes)
        self._write_lines(changes)
        self._insert(s.insert_entries, map(rows.entry_values, changes.entries))
        self._write_authorizations(changes)
        self._insert(s.insert_decisions, map(rows.decision_values, changes.decisions))
        self._write_requests(changes)
        self._write_items(changes)
        self._insert(s.insert_payments, map(rows.payment_values, _values(changes.payments)))
        self._write_transfers(changes)
        self._write_payables(changes)
        self._write_seals(changes)
        self._insert(s.insert_outbox, map(rows.event_values, changes.events))

    def _write_transfers(self, changes: Changes) -> None:
        s = self._statements
        new, changed = [], []
        for key, transfer in _by_key(changes.transfers):
            base = changes.base_transfers.get(key)
            if base is None:
                new.append(rows.transfer_values(transfer))
            else:
                changed.append((*rows.transfer_changes(transfer), *key, base.change_us))
        self._insert(s.insert_transfers, new)
        self._update(s.update_transfers, changed)

    def _write_payables(self, changes: Changes) -> None:
        """One row an operator and batch; what was taken away comes back with it."""
        amounts = {key: taken.amount_minor for key, taken in changes.base_payable.items()}
        for key, amount_minor in changes.payable_changes().items():
            amounts[key] = amounts.get(key, 0) + amount_minor
        self._insert(
            self._statements.insert_payables,
            [(*key, changes.batch_id, amount) for key, amount in _by_key(amounts) if amount],
        )

    def _write_seals(self, changes: Changes) -> None:
        s = self._statements
        for seal in changes.seals:
            self._insert(s.insert_seals, [seal[:-1]])
            heads = [(*head[:2], seal.number, *head[2:]) for head in seal.heads]
            for start in range(0, len(heads), HEADS_TOGETHER):
                self._insert(s.insert_sealed_heads, heads[start : start + HEADS_TOGETHER])

    def _write_users(self, changes: Changes) -> None:
        s = self._statements
        new, changed = [], []
        for user_id, user in _by_key(changes.users):
            base = changes.base_users.get(user_id)
            if base is None:
                new.append(user)
            else:
                changed.append((*user[1:], user_id, base.feature_version))
        self._insert(s.insert_users, new)
        self._update(s.update_users, changed)
        self._insert(s.insert_snapshots, changes.snapshots)

    def _write_lines(self, changes: Changes) -> None:
        s = self._statements
        new, changed = [], []
        for key, line in _by_key(changes.lines):
            base = changes.base_lines.get(key)
            if base is None:
                new.append(rows.line_values(line))
            else:
                changed.append((*rows.line_changes(line), *key, base.version))
        self._insert(s.insert_lines, new)
        self._update(s.update_lines, changed)

    def _write_authorizations(self, changes: Changes) -> None:
        s = self._statements
        new, changed = [], []
        for key, authorization in _by_key(changes.authorizations):
            base = changes.base_authorizations.get(key)
            if base is None:
                new.append(rows.authorization_values(authorization))
            else:
                changed.append((*rows.authorization_changes(authorization), *key, base.version))
        self._insert(s.insert_authorizations, new)
        self._update(s.update_authorizations, changed)

    def _write_requests(self, changes: Changes) -> None:
        """Inserts the batch's records; a record over a tombstone takes the tombstone's place."""
        s = self._statements
        replaced = [
            (base.caller, base.request_id, base.method)
            for key, base in _by_key(changes.base_requests)
            if key in changes.requests
        ]
        self._delete(s.delete_requests, replaced)
        self._insert(s.insert_requests, _values(changes.requests))

    def _write_items(self, changes: Changes) -> None:
        s = self._statements
        gone, claimed = [], []
        for key, item in _by_key(changes.items):
            base = changes.base_items.get(key)
            if base == item:
                continue
            if base is not None:
                gone.append((*key, base.authorization_id))
            if item is not None:
                claimed.append(tuple(item))
        self._delete(s.delete_open_items, gone)
        self._insert(s.insert_open_items, claimed)

    def _insert(self, statement: RowsStatement, values: Iterable[Values]) -> None:
        for rows_of in _portions(list(values)):
            self._cursor.execute(*statement.bound(rows_of))

    def _update(self, statement: RowsStatement, values: Sequence[Values]) -> None:
        """Changes exactly one row for each element, or raises Conflict."""
        for rows_of in _portions(values):
            self._cursor.execute(*statement.bound(rows_of))
            _require(self._cursor.rowcount, len(rows_of))

    def _delete(self, statement: str, values: Sequence[Values]) -> None:
        """Deletes exactly one row for each element, or raises Conflict."""
        for keys in values:
            self._cursor.execute(statement, keys)
            _require(self._cursor.rowcount, 1)


def _rows(
    cursor: DBAPICursor,
    statement: RowsStatement,
    keys: Iterable[tuple[str, ...]],
    *parameters: int,
) -> list[Any]:
    """The rows with these keys; those of one portion after those of another, in their order."""
    found: list[Any] = []
    for wanted in _portions(sorted(keys)):
        cursor.execute(*statement.bound(wanted, *parameters))
        found += cursor.fetchall()
    return found


def _portions(values: Sequence[Values]) -> Sequence[Sequence[Values]]:
    """Values as they fit into a statement; none for most tables of most batches."""
    if len(values) <= MOST_ROWS:
        return (values,) if values else ()
    return [values[start : start + MOST_ROWS] for start in range(0, len(values), MOST_ROWS)]


def _by_key(rows_by_key: Mapping[Key, Value]) -> list[tuple[Key, Value]]:
    return sorted(rows_by_key.items(), key=itemgetter(0)) if rows_by_key else []


def _values(rows_by_key: Mapping[Key, Value]) -> list[Value]:
    return [value for _, value in _by_key(rows_by_key)]


def _require(changed: int, expected: int) -> None:
    if changed != expected:
        raise Conflict(f"{expected - changed} rows were changed by others")


class SqlStore:
    """A store on SQLite or PostgreSQL, through SQLAlchemy Core."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._statements = statements_for(engine)
        self._driver: Any = engine.dialect.loaded_dbapi
        # PostgreSQL's internal errors are about the state of the session, not our statement.
        self._away = (
            self._driver.OperationalError,
            self._driver.InterfaceError,
            self._driver.InternalError,
        )
        self._writer: Connection | None = None
        self._doubted = False
        self._schemas: dict[str, tuple[str, ...]] = {}

    @property
    def engine(self) -> Engine:
        """The database behind the store."""
        return self._engine

    @contextmanager
    def begin(self) -> Iterator[SqlTransaction]:
        """Opens a write transaction on the store's one writing connection."""
        try:
            connection = self._writing_connection()
            transaction = connection.begin()
        except (self._driver.Error, SQLAlchemyError) as error:
            self._drop_writer()
            raise StorageFailed("no transaction could be begun") from telling(error)
        try:
            opened = SqlTransaction(connection.connection.cursor(), self._statements)
            yield opened
        except ReadAgain:
            if opened.has_written:
                # What operators are owed was taken away, and is back after this.
                self._roll_back(transaction.rollback)
            else:
                # A rollback would make psycopg forget every statement that it has prepared.
                with suppress(StorageFailed, OutcomeUnknown, Conflict):
                    self._commit(transaction)
            raise
        except self._driver.IntegrityError as error:
            self._roll_back(transaction.rollback)
            # Without the driver's text, in which PostgreSQL quotes the row.
            code = _code(error)
            if code in BROKEN_RULES:
                raise InvariantBroken(f"a CHECK of the database was broken ({code})") from None
            raise Conflict(f"a key was taken ({code})") from None
        except self._driver.Error as error:
            self._roll_back(transaction.rollback)
            code = _code(error)
            if _retryable(error):
                raise Conflict(f"serialization failure ({code})") from telling(error)
            if isinstance(error, self._away) or code.startswith(SQLITE_UNREADABLE):
                # Whatever is wrong, the next transaction is better off on a new connection: this
                # one may lead to a server that is on its way out, or that only reads.
                self._drop_writer()
                raise StorageFailed(f"the database is away or full ({code})") from telling(error)
            raise InvariantBroken(
                f"the database does not understand a statement ({code})"
            ) from telling(error)
        except BaseException:
            self._roll_back(transaction.rollback)
            raise
        self._commit(transaction)

    def _commit(self, transaction: RootTransaction) -> None:
        try:
            transaction.commit()
        except (DBAPIError, StorageFailed, OutcomeUnknown) as error:
            # SQLAlchemy takes the transaction for ended, but the connection may still be in it.
            self._roll_back(transaction.rollback)
            if not isinstance(error, FileGone | FileGoneSince):
                # A file without a name is gone with its last connection, and may yet come back.
                self._drop_writer()
            if isinstance(error, DBAPIError):
                raise _meaning_at_commit(error) from telling(error)
            raise

    def doubt(self) -> None:
        """The database was away: the next batch takes a new connection; for any thread.

        Sessions of a PostgreSQL that was restarted are gone, and nobody notices who is idle. SQLite
        has no sessions, and a file without a name is gone with its last connection.
        """
        self._doubted = self._engine.dialect.name == "postgresql"

    def _writing_connection(self) -> Connection:
        if self._doubted:
            self._doubted = False
            self._drop_writer()
        if self._writer is None or self._writer.closed:
            self._writer = self._engine.connect()
            for_batches(self._writer)
        return self._writer

    def _drop_writer(self) -> None:
        """Closes a connection that is of no use; the database rolls back what is not committed."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.invalidate()
            writer.close()

    def _roll_back(self, undo: Callable[[], None]) -> None:
        try:
            undo()
        except SQLAlchemyError:
            self._drop_writer()

    def close(self) -> None:
        """Closes every connection."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        self._engine.dispose()

    # -- reads outside a write transaction -------------------------------------------------

    def features(self, keys: Iterable[str]) -> dict[str, UserFeatures]:
        """People with their latest features; for the thread that writes, before it begins.

        On the writing connection, because a second one forgets all pages that it had read
        whenever the first commits.
        """
        try:
            with reading_once(self._writing_connection()) as cursor:
                found = _rows(cursor, self._statements.select_features, [(key,) for key in keys])
        except (self._driver.Error, SQLAlchemyError) as error:
            self._drop_writer()
            raise StorageFailed("the database refused to read") from telling(error)
        return _people(found)

    def person(self, user_id: str) -> UserFeatures | None:
        """One person with the latest features; for any thread."""
        with reading(self._engine) as connection:
            sql, parameters = self._statements.select_features.bound([(user_id,)])
            found = connection.exec_driver_sql(sql, tuple(parameters))
            return _people(found.fetchall()).get(user_id)

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
        """Records an order of raw values; a schema known already is left alone."""
        if self._known_names(schema_id) is not None:
            return
        row = {"schema_id": schema_id, "names": json.dumps(list(names))}
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(t.feature_schemas), row)
        except IntegrityError:
            return  # another process was first; the id is a hash of the names

    def waking(self, now_us: int, limit: int, after: Waking | None = None) -> list[Waking]:
        """Authorizations to which time has done something by now, the earliest first.

        Only those behind `after`, if it is given.
        """
        a = t.authorizations.c
        order = (a.wake_us, a.user_id, a.authorization_id)
        query = select(*order).where(a.wake_us.is_not(None), a.wake_us <= now_us)
        if after is not None:
            query = query.where(*_behind(order, after))
        with reading(self._engine) as connection:
            found = connection.execute(query.order_by(*order).limit(limit))
            return [Waking(*row) for row in found]

    def unsent_transfers(
        self, before_us: int, limit: int, after: TransferRecord | None = None
    ) -> list[TransferRecord]:
        """Transfers that were requested, or sent before an instant and not answered since.

        The longest unchanged first; only those behind `after`, if it is given.
        """
        c = t.transfers.c
        order = (c.change_us, c.user_id, c.transfer_id)
        requested = c.state == str(TransferState.REQUESTED)
        unanswered = and_(c.state == str(TransferState.SENT), c.change_us <= before_us)
        query = select(t.transfers).where(or_(requested, unanswered))
        # The transfers that are not ended have an index of their own, in this order.
        query = query.where(text("(state = 'REQUESTED' OR state = 'SENT')"))
        if after is not None:
            place = (after.change_us, after.user_id, after.transfer_id)
            query = query.where(*_behind(order, place))
        query = query.order_by(*order).limit(limit)
        with reading(self._engine) as connection:
            return [rows.transfer_of(row) for row in connection.execute(query)]

    def list_transfers(
        self, user_id: str, *, after: str, limit: int, state: TransferState | None
    ) -> list[TransferRecord]:
        """Transfers with ids after `after`, in the order of their ids; an empty id: everybody's."""
        c = t.transfers.c
        query = select(t.transfers).where(c.transfer_id > after)
        if user_id:
            query = query.where(c.user_id == user_id)
        if state is not None:
            query = query.where(c.state == str(state), text("transfer_id > ''"))  # for its index
        query = query.order_by(c.transfer_id).limit(limit)
        with reading(self._engine) as connection:
            return [rows.transfer_of(row) for row in connection.execute(query)]

    def authorization(self, user_id: str, authorization_id: str) -> Authorization | None:
        """One authorization as it stands."""
        a = t.authorizations.c
        query = select(t.authorizations).where(
            a.user_id == user_id, a.authorization_id == authorization_id
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else rows.authorization_of(row)

    def list_authorizations(
        self, operator_id: str, *, after: str, limit: int, user_id: str, state: State | None
    ) -> list[Authorization]:
        """An operator's authorizations with ids after `after`, in the order of their ids."""
        a = t.authorizations.c
        query = select(t.authorizations).where(
            a.operator_id == operator_id, a.authorization_id > after
        )
        if user_id:
            query = query.where(a.user_id == user_id)
        if state is not None:
            query = query.where(a.state == str(state))
        query = query.order_by(a.authorization_id).limit(limit)
        with reading(self._engine) as connection:
            return [rows.authorization_of(row) for row in connection.execute(query)]

    def list_reviews(self, *, after: str, limit: int) -> list[Authorization]:
        """All authorizations in REVIEW with ids after `after`, in the order of their ids."""
        a = t.authorizations.c
        # They have an index of their own, in this order.
        query = select(t.authorizations).where(text("state = 'REVIEW'"), a.authorization_id > after)
        query = query.order_by(a.authorization_id).limit(limit)
        with reading(self._engine) as connection:
            return [rows.authorization_of(row) for row in connection.execute(query)]

    def line(self, user_id: str, currency: str) -> Line | None:
        """One line as it stands."""
        query = select(t.lines).where(t.lines.c.user_id == user_id, t.lines.c.currency == currency)
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else rows.line_of(row)

    def newest_us(self) -> int | None:
        """When the last event was recorded, in microseconds since the epoch; None without any."""
        query = select(t.outbox.c.record_us).order_by(t.outbox.c.sequence.desc()).limit(1)
        with reading(self._engine) as connection:
            newest: int | None = connection.scalar(query)
        return newest

    def unfolded(self, rows: int) -> list[tuple[str, str]]:
        """Whose balances stand in more than so many rows."""
        p = t.operator_payables.c
        key = (p.operator_id, p.currency)
        query = select(*key).group_by(*key).having(func.count() > rows).order_by(*key)
        with reading(self._engine) as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def has_product(self, operator_id: str, product_id: str) -> bool:
        """Whether an operator rents such a product out."""
        p = t.products.c
        query = select(p.revision).where(p.operator_id == operator_id, p.product_id == product_id)
        with reading(self._engine) as connection:
            return connection.execute(query.limit(1)).first() is not None

    def catalog(self) -> Catalog:
        """Operators, their products in the latest revision, and the limits, as far as sound."""
        with reading(self._engine) as connection:
            return read_catalog(connection)


def _meaning_at_commit(error: DBAPIError) -> Exception:
    """What a failed COMMIT means: certain where the database says that it was rolled back."""
    said = error.orig or error
    if _retryable(said):
        return Conflict(f"serialization failure at commit ({_code(said)})")
    if _code(said) in SQLITE_REFUSALS:
        # SQLite said no before anything of the commit counted; it is rolled back.
        return StorageFailed(f"the database refused the commit ({_code(said)})")
    return OutcomeUnknown(f"the commit was not answered ({_code(said)})")


def _behind(order: Sequence[ColumnElement[Any]], place: Sequence[Any]) -> Iterable[Any]:
    """Conditions for rows behind a place in an order; the first is one that an index can use."""
    return order[0] >= place[0], tuple_(*order) > tuple_(*place)


def _people(found: Iterable[Any]) -> dict[str, UserFeatures]:
    return {row[0]: UserFeatures(row[0], bool(row[1]), *row[2:]) for row in found}
