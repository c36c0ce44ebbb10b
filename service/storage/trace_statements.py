"""Reads the traces of rentals that signals of fraud count: of people, devices and accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Select,
    String,
    and_,
    bindparam,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy import column as column_clause
from sqlalchemy import table as table_clause
from sqlalchemy.sql.elements import ClauseElement, ColumnElement
from sqlalchemy.sql.expression import FromClause, TableClause

from service.domain.admission import COUNTED
from service.domain.rules import Of
from service.storage import schema


class TraceRead(NamedTuple):
    """A statement over the passed rows `wanted`, the columns of these rows, the dialect of the
    database, and the statement's parameters in their order."""

    statement: ClauseElement
    keys: Sequence[Column[Any]]
    dialect: Dialect
    parameters: Sequence[str]


_KEYS = [Column("operator_id", String()), Column("of", String()), Column("bearer", String())]
_SINCE = ("since_id", "since_us")


def traces_of_users(dialect: Dialect) -> TraceRead:
    """The traces of people with an operator, asked for since an instant."""
    a, d, wanted = schema.authorizations, schema.authorization_details, _wanted()
    own = and_(d.c.user_id == a.c.user_id, d.c.authorization_id == a.c.authorization_id)
    source = wanted.join(a, a.c.user_id == wanted.c.bearer).outerjoin(d, own)
    statement = _traces(wanted, Of.USER, source, a.c.authorization_id)
    return TraceRead(statement, _KEYS, dialect, _SINCE)


def traces_of_orders(dialect: Dialect) -> TraceRead:
    """The traces of devices and payment accounts with an operator, asked for since an instant."""
    a, d, wanted = schema.authorizations, schema.authorization_details, _wanted()
    own = and_(a.c.user_id == d.c.user_id, a.c.authorization_id == d.c.authorization_id)
    parts = []
    for of, named in (
        (Of.DEVICE, d.c.device_hash),
        (Of.PAYMENT_ACCOUNT, d.c.payment_account_hash),
    ):
        source = wanted.join(d, named == wanted.c.bearer).join(a, own)
        there = named != literal_column("''")
        parts.append(_traces(wanted, of, source, d.c.authorization_id).where(there))
    return TraceRead(union_all(*parts), _KEYS, dialect, _SINCE * 2)


def _wanted() -> TableClause:
    return table_clause("wanted", *(column_clause(key.name) for key in _KEYS))


def _traces(
    wanted: TableClause, of: str, source: FromClause, name: ColumnElement[str]
) -> Select[Any]:
    """The traces of one kind of bearer; the first columns name the bearer and the rental."""
    a, d, u = schema.authorizations.c, schema.authorization_details.c, schema.users
    seen = source.outerjoin(u, u.c.user_id == a.user_id)
    granted = or_(*(a.state == literal_column(f"'{it}'") for it in sorted(COUNTED)))
    statement = select(
        *(wanted.c[key.name] for key in _KEYS),
        *(a.user_id, a.authorization_id, a.create_us, a.asset_id),
        *(d.device_hash, d.payment_account_hash, d.start_station, d.end_station),
        *(a.state, a.start_us, a.close_us, a.expire_us, u.c.create_us),
    ).select_from(seen)
    return statement.where(
        wanted.c.of == literal_column(f"'{of}'"),
        name >= bindparam("since_id", type_=String),
        a.create_us > bindparam("since_us", type_=BigInteger),
        a.operator_id == wanted.c.operator_id,
        granted,
        a.parent_id == literal_column("''"),
    )
