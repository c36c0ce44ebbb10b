"""The statements of the hot path, built once for a dialect with SQLAlchemy Core.

Keys are handed over as one JSON text, whatever their number, so that each statement has one
form, one plan and one parameter; an IN list over pairs is a full scan on SQLite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Dialect,
    Engine,
    Select,
    String,
    Table,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import TableValuedAlias

from service.storage import tables


@dataclass(frozen=True, slots=True)
class RowStatement:
    """A statement executed for many rows of plain values, in the order of `columns`."""

    sql: str
    columns: tuple[str, ...]


def _compiled(statement: Any, dialect: Dialect, columns: Sequence[str]) -> RowStatement:
    compiled = statement.compile(dialect=dialect)
    if list(compiled.positiontup) != list(columns):
        raise TypeError(f"parameters stand in another order than expected: {compiled}")
    return RowStatement(str(compiled), tuple(columns))


def _insert(table: Table, dialect: Dialect, *, leave_out: str = "") -> RowStatement:
    """Inserts whole rows, in the order of the table's columns."""
    names = [column.name for column in table.columns if column.name != leave_out]
    statement = insert(table).values({name: bindparam(name) for name in names})
    return _compiled(statement, dialect, names)


def _update(table: Table, keys: Sequence[str], version: str, dialect: Dialect) -> RowStatement:
    """Sets every other column, by key, where the row still has the version that was read.

    Values: the columns in the order of the table without the keys, the keys, the version read.
    """
    names = [column.name for column in table.columns if column.name not in keys]
    conditions = [table.c[name] == bindparam(f"key_{name}") for name in keys]
    conditions.append(table.c[version] == bindparam("read_version"))
    statement = update(table).where(*conditions).values({name: bindparam(name) for name in names})
    order = [*names, *(f"key_{name}" for name in keys), "read_version"]
    return _compiled(statement, dialect, order)


def _delete(table: Table, columns: Sequence[str], dialect: Dialect) -> RowStatement:
    """Deletes by the given columns."""
    conditions = [table.c[name] == bindparam(name) for name in columns]
    return _compiled(delete(table).where(*conditions), dialect, columns)


def _by_keys(
    table: Table, keys: Sequence[Column[Any]], dialect: Dialect, *, lock: bool = False
) -> Select[Any]:
    """Rows whose key columns match an element of the parameter `keys`: JSON, a list of lists.

    With `lock`, PostgreSQL locks the rows in the order of their keys, so that two processes
    cannot wait for each other; SQLite has one writer and needs neither.
    """
    wanted = _wanted(dialect)
    statement = select(table).select_from(wanted.join(table, _matches(wanted, keys)))
    if lock and dialect.name == "postgresql":
        statement = statement.order_by(*keys).with_for_update(of=table)
    return statement


def _wanted(dialect: Dialect) -> TableValuedAlias:
    parameter = bindparam("keys", type_=String)
    elements = (
        func.json_each(parameter)
        if dialect.name == "sqlite"
        else func.json_array_elements(cast(parameter, JSON))
    )
    return elements.table_valued("value", name="wanted")


def _matches(wanted: TableValuedAlias, keys: Sequence[Column[Any]]) -> ColumnElement[bool]:
    return and_(
        *(
            key == wanted.c.value.op("->>")(literal_column(str(place)))
            for place, key in enumerate(keys)
        )
    )


def _latest_features(dialect: Dialect) -> Select[Any]:
    """People with their latest features, by the parameter `keys`: one-element lists of ids."""
    users, snapshots = tables.users, tables.feature_snapshots
    wanted = _wanted(dialect)
    people = wanted.join(users, _matches(wanted, [users.c.user_id]))
    latest = and_(
        snapshots.c.user_id == users.c.user_id, snapshots.c.version == users.c.feature_version
    )
    return select(
        users,
        snapshots.c.schema_id,
        snapshots.c.raw,
        snapshots.c.as_of_us,
        snapshots.c.record_us,
    ).select_from(people.outerjoin(snapshots, latest))


class Statements:
    """Every statement of a batch, for one dialect."""

    def __init__(self, engine: Engine) -> None:
        dialect = engine.dialect
        t = tables
        self.select_features = _latest_features(dialect)
        self.select_requests = _by_keys(
            t.requests, [t.requests.c.caller, t.requests.c.request_id], dialect
        )
        self.select_users = _by_keys(t.users, [t.users.c.user_id], dialect)
        self.select_lines = _by_keys(t.lines, [t.lines.c.user_id], dialect, lock=True)
        self.select_authorizations = _by_keys(
            t.authorizations,
            [t.authorizations.c.user_id, t.authorizations.c.authorization_id],
            dialect,
            lock=True,
        )
        self.select_open_items = _by_keys(
            t.open_items, [t.open_items.c.operator_id, t.open_items.c.asset_id], dialect
        )
        self.select_payments = _by_keys(
            t.payments, [t.payments.c.caller, t.payments.c.payment_reference], dialect
        )
        self.insert_users = _insert(t.users, dialect)
        self.update_users = _update(t.users, ["user_id"], "feature_version", dialect)
        self.insert_snapshots = _insert(t.feature_snapshots, dialect)
        self.insert_lines = _insert(t.lines, dialect)
        self.update_lines = _update(t.lines, ["user_id", "currency"], "version", dialect)
        self.insert_entries = _insert(t.entries, dialect)
        self.insert_authorizations = _insert(t.authorizations, dialect)
        self.update_authorizations = _update(
            t.authorizations, ["user_id", "authorization_id"], "version", dialect
        )
        self.insert_decisions = _insert(t.decisions, dialect)
        self.insert_requests = _insert(t.requests, dialect)
        self.delete_requests = _delete(t.requests, ["caller", "request_id", "method"], dialect)
        self.insert_open_items = _insert(t.open_items, dialect)
        self.delete_open_items = _delete(
            t.open_items, ["operator_id", "asset_id", "authorization_id"], dialect
        )
        self.insert_payments = _insert(t.payments, dialect)
        self.insert_outbox = _insert(t.outbox, dialect, leave_out="sequence")
