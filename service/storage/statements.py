"""The statements of the hot path: built once for a dialect with SQLAlchemy Core, then plain text.

The driver is handed texts and tuples; going through SQLAlchemy's execution for each of the ten
statements of a batch cost about as much as the statements themselves.

Keys are handed over as rows that the table is joined to: an IN list over pairs is a full scan on
SQLite, and pairs in one JSON text took three times as long there (2.0 us a key, not 0.6).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Engine,
    Integer,
    LargeBinary,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
)
from sqlalchemy import column as column_clause
from sqlalchemy import table as table_clause
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement, ColumnElement
from sqlalchemy.sql.expression import TableClause

from service.domain.authorization import HOLDING
from service.storage import tables

Values = tuple[Any, ...]

_AUTHORIZATION = tuple(column.name for column in tables.authorizations.columns)
AUTHORIZATION_FIXED = _AUTHORIZATION[2 : _AUTHORIZATION.index("asset_id")]
"""What no command changes; leaving it out spares the indexes."""
LINE_FIXED = ("subject_key", "subject")


MOST_ROWS = 64
"""Rows a statement has at most: SQLite as built by its authors takes 32,766 parameters, and each
number of rows is a text, and a prepared statement, kept there."""


UNDONE_AS_A_WHOLE = "OR FAIL"
"""What fails leaves a statement half done. SQLite would else copy every page before it changes it,
to undo that statement alone; here the whole transaction is undone."""


FOLDED_ROWS = 1_000
"""Rows of an operator's balance that one transaction adds up at most; they take it about 5 ms."""


class RowsStatement(ABC):
    """One statement for up to MOST_ROWS rows of plain values, in the order of `columns`.

    A driver that is handed rows one by one gives the interpreter away and takes it back for
    each of them, and with another thread waiting that is a switch of threads a row.
    """

    def __init__(self, columns: Sequence[Column[Any]]) -> None:
        self.columns = tuple(column.name for column in columns)

    @abstractmethod
    def bound(self, rows: Sequence[Values], *parameters: int) -> tuple[str, Sequence[Any]]:
        """The text for these rows, with what the driver is handed: them, and the parameters that
        come last."""


class ValuesStatement(RowsStatement):
    """On SQLite: a parameter for each value, and a text for each number of rows."""

    def __init__(self, head: str, tail: str, columns: Sequence[Column[Any]]) -> None:
        super().__init__(columns)
        self._head, self._tail = head, tail
        self._row = f"({', '.join('?' * len(columns))})"
        self._texts: dict[int, str] = {}

    def bound(self, rows: Sequence[Values], *parameters: int) -> tuple[str, Sequence[Any]]:
        """The text for this number of rows, and all values one after the other."""
        number = len(rows)
        if number not in self._texts:
            values = ", ".join([self._row] * number)
            self._texts[number] = f"{self._head}VALUES {values}{self._tail}"
        return self._texts[number], (*chain.from_iterable(rows), *parameters)


class ArraysStatement(RowsStatement):
    """On PostgreSQL: one text, and an array for each column.

    The driver prepares a statement for each text and each types of its parameters, the type of an
    integer being that of its size, so that rows of parameters would hardly ever meet the same
    statement again. An array is handed over as its text, and is of the one type that is cast to.
    """

    def __init__(self, head: str, tail: str, columns: Sequence[Column[Any]]) -> None:
        super().__init__(columns)
        kinds = [_array_of(column) for column in columns]
        arrays = ", ".join(f"CAST(%s AS {kind}[])" for kind, _ in kinds)
        self._text = f"{head}SELECT * FROM unnest({arrays}){tail}"
        self._elements = [element for _, element in kinds]

    def bound(self, rows: Sequence[Values], *parameters: int) -> tuple[str, Sequence[Any]]:
        """The one text, and the columns as arrays."""
        columns = zip(self._elements, zip(*rows, strict=True), strict=True)
        arrays = [_array(element, values) for element, values in columns]
        return self._text, (*arrays, *parameters)


def _array_of(column: Column[Any]) -> tuple[str, Callable[[Any], str]]:
    """The type of a column's values in an array, and how one is written in the array's text."""
    match column.type:
        case LargeBinary():
            return "BYTEA", _bytes_element
        case String():
            # Without the column's length: a cast to it would cut a value off, and say nothing.
            return "TEXT", _text_element
        case Boolean():
            return "BOOLEAN", str
        case Integer():
            return "BIGINT", str
        case other:
            raise TypeError(f"no array is known for {other!r}")


def _array(element: Callable[[Any], str], values: Sequence[Any]) -> str:
    written = ["NULL" if value is None else element(value) for value in values]
    return "{" + ",".join(written) + "}"


def _text_element(value: str) -> str:
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


def _bytes_element(value: bytes) -> str:
    return f'"\\\\x{value.hex()}"'


def _rows_statement(
    dialect: Dialect, head: str, tail: str, columns: Sequence[Column[Any]]
) -> RowsStatement:
    """A statement with its rows between a head and a tail; they are a query of their own."""
    kind = ValuesStatement if dialect.name == "sqlite" else ArraysStatement
    return kind(head, tail, columns)


def _insert(table: Table, dialect: Dialect, *, leave_out: str = "") -> RowsStatement:
    """Inserts whole rows, in the order of the table's columns."""
    columns = [column for column in table.columns if column.name != leave_out]
    names = [column.name for column in columns]
    # Inline: else PostgreSQL is asked to return the numbers that it gives, after the one row.
    statement = insert(table).values({name: bindparam(name) for name in names}).inline()
    statement = statement.prefix_with(UNDONE_AS_A_WHOLE, dialect="sqlite")
    head, _, _ = _text(statement, dialect, names).partition("VALUES ")
    return _rows_statement(dialect, head, "", columns)


def _update(
    table: Table, keys: Sequence[str], version: str, dialect: Dialect, *, fixed: Sequence[str] = ()
) -> RowsStatement:
    """Sets every column but the keys and the fixed ones, where the row still has the version
    that was read. Values: what is set, in the order of the table; the keys; the version read.
    """
    names = [column.name for column in table.columns if column.name not in (*keys, *fixed)]
    columns = [table.c[name] for name in (*names, *keys, version)]
    # So SQLite calls the columns of VALUES.
    given = [f"column{place}" for place in range(1, len(columns) + 1)]
    sets = ", ".join(f"{name} = new.{value}" for name, value in zip(names, given, strict=False))
    conditions = " AND ".join(
        f"{table.name}.{name} = new.{value}"
        for name, value in zip((*keys, version), given[len(names) :], strict=True)
    )
    sqlite = dialect.name == "sqlite"
    verb, called = (f"UPDATE {UNDONE_AS_A_WHOLE}", "") if sqlite else ("UPDATE", _list(given))
    return _rows_statement(
        dialect,
        f"{verb} {table.name} SET {sets} FROM (",
        f") AS new{called} WHERE {conditions}",
        columns,
    )


def _list(names: Iterable[str]) -> str:
    return f" ({', '.join(names)})"


def _delete(table: Table, columns: Sequence[str], dialect: Dialect) -> str:
    """Deletes the row that has these values in these columns."""
    conditions = [table.c[name] == bindparam(name) for name in columns]
    return _text(delete(table).where(*conditions), dialect, columns)


def _text(statement: ClauseElement, dialect: Dialect, parameters: Sequence[str]) -> str:
    """A statement as the driver takes it, with its parameters in this order."""
    compiled = cast(SQLCompiler, statement.compile(dialect=dialect))
    if list(compiled.positiontup or ()) != list(parameters):
        raise TypeError(f"parameters stand in another order than expected: {compiled}")
    return str(compiled)


def _by_keys(
    table: Table, names: Sequence[str], dialect: Dialect, *, lock: bool = False
) -> RowsStatement:
    """Rows whose columns of these names have the values of a row that is handed over.

    With `lock`, PostgreSQL locks the rows in the order of their keys, so that two processes
    cannot wait for each other; SQLite has one writer and needs neither.
    """
    keys = [table.c[name] for name in names]
    wanted = _wanted(keys)
    statement = select(table).select_from(wanted.join(table, _matches(wanted, keys)))
    if lock and dialect.name == "postgresql":
        statement = statement.order_by(*keys).with_for_update(of=table)
    return _reading(statement, keys, dialect)


def _wanted(keys: Sequence[Column[Any]]) -> TableClause:
    """The rows that are handed over, as a table of the keys' names."""
    return table_clause("wanted", *(column_clause(key.name) for key in keys))


def _matches(wanted: TableClause, keys: Sequence[Column[Any]]) -> ColumnElement[bool]:
    return and_(*(key == wanted.c[key.name] for key in keys))


def _reading(
    statement: ClauseElement,
    keys: Sequence[Column[Any]],
    dialect: Dialect,
    parameters: Sequence[str] = (),
) -> RowsStatement:
    """A statement over `wanted`, with the rows of it before it, and its own parameters last."""
    return _rows_statement(
        dialect,
        f"WITH wanted{_list(key.name for key in keys)} AS (",
        f") {_text(statement, dialect, parameters)}",
        keys,
    )


def _latest_features(dialect: Dialect) -> RowsStatement:
    """People with their latest features, by their ids."""
    users, snapshots = tables.users, tables.feature_snapshots
    keys = [users.c.user_id]
    wanted = _wanted(keys)
    people = wanted.join(users, _matches(wanted, keys))
    latest = and_(
        snapshots.c.user_id == users.c.user_id, snapshots.c.version == users.c.feature_version
    )
    statement = select(
        users.c.user_id,
        users.c.scoring_consent,
        users.c.feature_version,
        snapshots.c.schema_id,
        snapshots.c.raw,
        snapshots.c.as_of_us,
    ).select_from(people.outerjoin(snapshots, latest))
    return _reading(statement, keys, dialect)


def _lapsed(dialect: Dialect) -> RowsStatement:
    """What holds something for people and is due to be woken, by their ids; then the instant."""
    a = tables.authorizations.c
    keys = [a.user_id]
    wanted = _wanted(keys)
    statement = (
        select(a.user_id, a.authorization_id)
        .select_from(wanted.join(tables.authorizations, _matches(wanted, keys)))
        .where(
            a.wake_us <= bindparam("now_us", type_=BigInteger),
            or_(*(a.state == literal_column(f"'{state}'") for state in sorted(HOLDING))),
        )
    )
    return _reading(statement, keys, dialect, ["now_us"])


def _take_payables(dialect: Dialect) -> str:
    """Takes away the oldest rows of what an operator is owed, and returns their amounts."""
    payables = tables.operator_payables
    oldest = payables.alias("oldest")
    batches = (
        select(oldest.c.batch_id)
        .where(
            oldest.c.operator_id == bindparam("of_operator_id"),
            oldest.c.currency == bindparam("in_currency"),
        )
        .order_by(oldest.c.batch_id)
        .limit(literal_column(str(FOLDED_ROWS)))
        .offset(literal_column("0"))  # which SQLite would be told by a parameter
        # On PostgreSQL in this order, so that two processes cannot wait for each other.
        .with_for_update()
    )
    statement = (
        delete(payables)
        .where(
            payables.c.operator_id == bindparam("operator_id"),
            payables.c.currency == bindparam("currency"),
            payables.c.batch_id.in_(batches),
        )
        .returning(payables.c.amount_minor)
    )
    names = ("operator_id", "currency", "of_operator_id", "in_currency")
    return _text(statement, dialect, names)


def _payable_left(dialect: Dialect) -> str:
    """What an operator is owed, by operator id and currency."""
    p = tables.operator_payables.c
    total = func.coalesce(func.sum(p.amount_minor), literal_column("0"))
    statement = select(total).where(
        p.operator_id == bindparam("operator_id"), p.currency == bindparam("currency")
    )
    return _text(statement, dialect, ("operator_id", "currency"))


class Statements:
    """Every statement of a batch, for one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        t = tables
        self.select_features = _latest_features(dialect)
        self.select_requests = _by_keys(t.requests, ["caller", "request_id"], dialect)
        self.select_users = _by_keys(t.users, ["user_id"], dialect)
        self.select_lines = _by_keys(t.lines, ["user_id"], dialect, lock=True)
        self.select_authorizations = _by_keys(
            t.authorizations, ["user_id", "authorization_id"], dialect, lock=True
        )
        self.select_groups = _by_keys(t.authorizations, ["user_id", "group_id"], dialect, lock=True)
        self.select_lapsed = _lapsed(dialect)
        self.select_transfers = _by_keys(t.transfers, ["user_id", "transfer_id"], dialect)
        self.select_transfers_of = _by_keys(t.transfers, ["user_id", "authorization_id"], dialect)
        self.take_payables = _take_payables(dialect)
        self.payable_left = _payable_left(dialect)
        self.insert_payables = _insert(t.operator_payables, dialect)
        self.select_open_items = _by_keys(t.open_items, ["operator_id", "asset_id"], dialect)
        self.select_payments = _by_keys(t.payments, ["caller", "payment_reference"], dialect)
        self.insert_users = _insert(t.users, dialect)
        self.update_users = _update(t.users, ["user_id"], "feature_version", dialect)
        self.insert_snapshots = _insert(t.feature_snapshots, dialect)
        self.insert_lines = _insert(t.lines, dialect)
        self.update_lines = _update(
            t.lines, ["user_id", "currency"], "version", dialect, fixed=LINE_FIXED
        )
        self.insert_entries = _insert(t.entries, dialect)
        self.insert_authorizations = _insert(t.authorizations, dialect)
        self.update_authorizations = _update(
            t.authorizations,
            ["user_id", "authorization_id"],
            "version",
            dialect,
            fixed=AUTHORIZATION_FIXED,
        )
        self.insert_decisions = _insert(t.decisions, dialect)
        self.insert_requests = _insert(t.requests, dialect)
        self.delete_requests = _delete(t.requests, ["caller", "request_id", "method"], dialect)
        self.insert_open_items = _insert(t.open_items, dialect)
        self.delete_open_items = _delete(
            t.open_items, ["operator_id", "asset_id", "authorization_id"], dialect
        )
        self.insert_payments = _insert(t.payments, dialect)
        self.insert_transfers = _insert(t.transfers, dialect)
        self.update_transfers = _update(
            t.transfers,
            ["user_id", "transfer_id"],
            "change_us",
            dialect,
            fixed=("authorization_id", "kind", "amount_minor", "currency", "request_us"),
        )
        self.select_last_seal = _text(
            select(func.coalesce(func.max(t.seals.c.number), literal_column("0"))), dialect, ()
        )
        self.insert_seals = _insert(t.seals, dialect)
        self.insert_sealed_heads = _insert(t.sealed_heads, dialect)
        self.insert_outbox = _insert(t.outbox, dialect, leave_out="sequence")


_COMPILED: dict[tuple[str, str], Statements] = {}


def statements_for(engine: Engine) -> Statements:
    """The statements for a database, shared by all databases of its dialect and driver.

    Compiling them takes longer than most commands of the shell have to do.
    """
    key = (engine.dialect.name, engine.dialect.driver)
    if key not in _COMPILED:
        _COMPILED[key] = Statements(engine.dialect)
    return _COMPILED[key]
