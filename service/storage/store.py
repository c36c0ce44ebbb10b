"""The store: reads and writes of whole batches, and the single reads beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from service.domain.authorization import Authorization, State
from service.domain.catalog import Operator, Policy, Product, Tariff
from service.domain.credit import LimitStep
from service.domain.errors import InvariantBroken
from service.domain.ledger import Line
from service.engine.changes import Changes
from service.engine.ports import Conflict, OutcomeUnknown, StorageFailed
from service.engine.records import (
    Catalog,
    FeatureSnapshot,
    OpenItem,
    PaymentRecord,
    RequestRecord,
    UserFeatures,
    UserRecord,
)
from service.storage import rows
from service.storage import tables as t
from service.storage.database import reading, writing
from service.storage.statements import RowsStatement, Statements, Values

SERIALIZATION_FAILURES = frozenset({"40001", "40P01"})
BROKEN_RULES = frozenset({"23514", "23502", "SQLITE_CONSTRAINT_CHECK", "SQLITE_CONSTRAINT_NOTNULL"})
# After an I/O error at the commit the log may hold it all the same; these are certain.
SQLITE_REFUSALS = frozenset({"SQLITE_FULL", "SQLITE_BUSY", "SQLITE_READONLY"})


def _code(error: BaseException) -> str:
    """PostgreSQL's state or SQLite's name of an error."""
    return str(getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", ""))


def _retryable(error: BaseException | None) -> bool:
    """Whether PostgreSQL asks for the transaction to be run again."""
    return getattr(error, "sqlstate", None) in SERIALIZATION_FAILURES


class SqlTransaction:
    """One write transaction on one connection."""

    def __init__(self, cursor: DBAPICursor, statements: Statements) -> None:
        self._cursor = cursor
        self._statements = statements

    def _read(self, statement: str, keys: Iterable[tuple[str, ...]]) -> Sequence[Any]:
        wanted = sorted(keys)
        if not wanted:
            return ()
        self._cursor.execute(statement, (json.dumps(wanted),))
        return self._cursor.fetchall()

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
        return {(row[0], row[1]): Line(*row) for row in found}

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
        return {(row[0], row[1]): PaymentRecord(*row) for row in found}

    def write(self, changes: Changes) -> None:
        """Writes a batch, one statement a table; Conflict when a row was taken by others."""
        s = self._statements
        self._write_users(changes)
        self._write_lines(changes)
        self._insert(s.insert_entries, map(rows.entry_values, changes.entries))
        self._write_authorizations(changes)
        self._insert(s.insert_decisions, map(rows.decision_values, changes.decisions))
        self._write_requests(changes)
        self._write_items(changes)
        self._insert(s.insert_payments, changes.payments.values())
        self._insert(s.insert_outbox, changes.events)

    def _write_users(self, changes: Changes) -> None:
        s = self._statements
        new, changed = [], []
        for user_id, user in changes.users.items():
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
        for key, line in changes.lines.items():
            base = changes.base_lines.get(key)
            values = rows.line_values(line)
            if base is None:
                new.append(values)
            else:
                changed.append((*values[2:], *key, base.version))
        self._insert(s.insert_lines, new)
        self._update(s.update_lines, changed)

    def _write_authorizations(self, changes: Changes) -> None:
        s = self._statements
        new, changed = [], []
        for key, authorization in changes.authorizations.items():
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
            for key, base in changes.base_requests.items()
            if key in changes.requests
        ]
        self._delete(s.delete_requests, replaced)
        self._insert(s.insert_requests, changes.requests.values())

    def _write_items(self, changes: Changes) -> None:
        s = self._statements
        gone, claimed = [], []
        for key, item in changes.items.items():
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
        many = list(values)
        if many:
            self._cursor.execute(statement.text(len(many)), tuple(chain.from_iterable(many)))

    def _update(self, statement: RowsStatement, values: Sequence[Values]) -> None:
        """Changes exactly one row for each element, or raises Conflict."""
        if values:
            self._cursor.execute(statement.text(len(values)), tuple(chain.from_iterable(values)))
            _require(self._cursor.rowcount, len(values))

    def _delete(self, statement: str, values: Sequence[Values]) -> None:
        """Deletes exactly one row for each element, or raises Conflict."""
        for keys in values:
            self._cursor.execute(statement, keys)
            _require(self._cursor.rowcount, 1)


def _require(changed: int, expected: int) -> None:
    if changed != expected:
        raise Conflict(f"{expected - changed} rows were changed by others")


class SqlStore:
    """A store on SQLite or PostgreSQL, through SQLAlchemy Core."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._statements = Statements(engine)
        self._driver: Any = engine.dialect.loaded_dbapi
        self._writer: Connection | None = None
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
        except SQLAlchemyError as error:
            self._drop_writer()
            raise StorageFailed("no transaction could be begun") from error
        try:
            yield SqlTransaction(connection.connection.cursor(), self._statements)
        except self._driver.IntegrityError as error:
            self._roll_back(transaction.rollback)
            # Without the driver's text, in which PostgreSQL quotes the row.
            code = _code(error)
            if code in BROKEN_RULES:
                raise InvariantBroken(f"a CHECK of the database was broken ({code})") from None
            raise Conflict(f"a key was taken ({code})") from None
        except self._driver.Error as error:
            self._roll_back(transaction.rollback)
            if _retryable(error):
                raise Conflict("serialization failure") from error
            if isinstance(error, self._driver.OperationalError | self._driver.InterfaceError):
                raise StorageFailed("the database is away or full") from error
            raise InvariantBroken("the database does not understand a statement") from error
        except BaseException:
            self._roll_back(transaction.rollback)
            raise
        try:
            transaction.commit()
        except DBAPIError as error:
            # PostgreSQL's word that the transaction was rolled back is certain; all else is not.
            self._roll_back(transaction.rollback)
            if _retryable(error.orig):
                raise Conflict("serialization failure at commit") from error
            if getattr(error.orig, "sqlite_errorname", "") in SQLITE_REFUSALS:
                # SQLite said no before anything of the commit counted; it is rolled back.
                raise StorageFailed("the database refused the commit") from error
            raise OutcomeUnknown("the commit was not answered") from error

    def _writing_connection(self) -> Connection:
        if self._writer is None or self._writer.closed:
            self._writer = self._engine.connect().execution_options(writes=True)
        return self._writer

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self._roll_back(writer.close)

    def _roll_back(self, undo: Callable[[], None]) -> None:
        try:
            undo()
        except SQLAlchemyError:
            # The connection is of no use; the database rolls back what it did not commit.
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.invalidate()

    def close(self) -> None:
        """Closes every connection."""
        self._drop_writer()
        self._engine.dispose()

    # -- reads outside a write transaction -------------------------------------------------

    def features(self, keys: Iterable[str]) -> dict[str, UserFeatures]:
        """People with their latest features; for the thread that writes, before it begins.

        On the writing connection, because a second one forgets all pages that it had read
        whenever the first commits.
        """
        try:
            cursor = self._writing_connection().connection.cursor()
            cursor.execute(self._statements.select_features, (_as_keys(keys),))
            return _people(cursor.fetchall())
        except (self._driver.Error, SQLAlchemyError) as error:
            self._drop_writer()
            raise StorageFailed("the database refused to read") from error

    def person(self, user_id: str) -> UserFeatures | None:
        """One person with the latest features; for any thread."""
        with reading(self._engine) as connection:
            found = connection.exec_driver_sql(
                self._statements.select_features, (_as_keys([user_id]),)
            )
            return _people(found.fetchall()).get(user_id)

    def feature_names(self, schema_id: str) -> tuple[str, ...]:
        """The order of the raw values of a schema; empty if unknown."""
        if schema_id not in self._schemas:
            query = select(t.feature_schemas.c.names).where(
                t.feature_schemas.c.schema_id == schema_id
            )
            with reading(self._engine) as connection:
                names = connection.scalar(query)
            if names is None:
                return ()
            self._schemas[schema_id] = tuple(json.loads(names))
        return self._schemas[schema_id]

    def save_feature_schema(self, schema_id: str, names: Sequence[str]) -> None:
        """Records an order of raw values; a schema known already is left alone."""
        if self.feature_names(schema_id):
            return
        row = {"schema_id": schema_id, "names": json.dumps(list(names))}
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(t.feature_schemas), row)
        except IntegrityError:
            return  # another process was first; the id is a hash of the names

    def lapsed(self, now_us: int, limit: int) -> list[tuple[str, str]]:
        """Offers and holds not picked up that have ended by now, the earliest first."""
        a = t.authorizations.c
        query = (
            select(a.user_id, a.authorization_id)
            .where(a.expire_us.is_not(None), a.expire_us <= now_us)
            .order_by(a.expire_us)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

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

    def line(self, user_id: str, currency: str) -> Line | None:
        """One line as it stands."""
        query = select(t.lines).where(t.lines.c.user_id == user_id, t.lines.c.currency == currency)
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else Line(*row)

    def has_product(self, operator_id: str, product_id: str) -> bool:
        """Whether an operator rents such a product out."""
        p = t.products.c
        query = select(p.revision).where(p.operator_id == operator_id, p.product_id == product_id)
        with reading(self._engine) as connection:
            return connection.execute(query.limit(1)).first() is not None

    def catalog(self) -> Catalog:
        """Operators, their products in the latest revision, and the limits."""
        with reading(self._engine) as connection:
            operators = {
                row.operator_id: Operator(row.operator_id, row.name, row.fee_bp)
                for row in connection.execute(select(t.operators))
            }
            policies = {
                (row.policy_id, row.revision): Policy(*row)
                for row in connection.execute(select(t.policies))
            }
            products = {}
            for row in connection.execute(select(t.products).order_by(t.products.c.revision)):
                products[row.operator_id, row.product_id] = _product(row, policies)
            steps: dict[str, tuple[LimitStep, ...]] = {}
            by_score = select(t.limit_steps).order_by(t.limit_steps.c.from_score.desc())
            for row in connection.execute(by_score):
                step = LimitStep(row.from_score, row.limit_minor)
                steps[row.currency] = (*steps.get(row.currency, ()), step)
        return Catalog(operators, products, steps)


def _as_keys(user_ids: Iterable[str]) -> str:
    return json.dumps([(user_id,) for user_id in user_ids])


def _people(found: Iterable[Any]) -> dict[str, UserFeatures]:
    people = {}
    for user_id, consent, version, create_us, schema_id, raw, as_of_us, record_us in found:
        people[user_id] = UserFeatures(
            UserRecord(user_id, bool(consent), version, create_us),
            None
            if schema_id is None
            else FeatureSnapshot(user_id, version, schema_id, raw, as_of_us, record_us),
        )
    return people


def _product(row: Row[Any], policies: dict[tuple[str, int], Policy]) -> Product:
    return Product(
        operator_id=row.operator_id,
        product_id=row.product_id,
        revision=row.revision,
        category=row.category,
        currency=row.currency,
        deposit_minor=row.deposit_minor,
        replacement_minor=row.replacement_minor,
        tariff=Tariff(
            start_fee_minor=row.start_fee_minor,
            free_minutes=row.free_minutes,
            interval_minutes=row.interval_minutes,
            interval_price_minor=row.interval_price_minor,
            day_cap_minor=row.day_cap_minor,
            buy_out_minor=row.buy_out_minor,
        ),
        policy=policies[row.policy_id, row.policy_revision],
    )
