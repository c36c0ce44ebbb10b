"""Checks the details of orders: each is of its authorization, and its digest fits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Select, and_, case, literal, select
from sqlalchemy.sql.elements import ColumnElement

from service.books.columns import Cursor, kept, typed
from service.domain.verification import BookFault
from service.engine.tables import DETAILS
from service.storage import schema as t
from service.storage.schema.record_tables import CONVERTERS

TOGETHER = 1_000
"""The number of rows fetched together."""
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


def wrong_details(connection: Connection, people: People) -> BookFault | None:
    """The first row of details, by its key, that differs from the operator's request, or None."""
    record = CONVERTERS[DETAILS].record
    with closing(Cursor(connection, "details", _details(connection, people))) as cursor:
        while rows := cursor.fetch(TOGETHER):
            for readable, found, *row in rows:
                name = "/".join((t.authorization_details.name, *map(str, row[:2])))
                if not readable:
                    return BookFault("UNREADABLE", name, "has a value of another type")
                it = record(row)
                if not found and it.digest != it.expected_digest:
                    found = "the digest does not fit the row"
                if found:
                    return BookFault("DETAILS", name, found)
    return None


@kept
def _details(connection: Connection, people: People) -> Select[Any]:
    """Selects the details. The first columns of each row say whether it can be read, and what does
    not fit its rental."""
    d, a = t.authorization_details.c, t.authorizations.c
    own = and_(
        a.user_id == d.user_id,
        a.authorization_id == d.authorization_id,
        a.operator_id == d.operator_id,
    )
    wrong = case(
        (a.version.is_(None), literal("the authorization is missing")),
        (a.version < d.authorization_version, literal("of a later version")),
        else_=literal(""),
    )
    return (
        select(typed(connection, list(d)), wrong, *t.recorded(t.authorization_details))
        .select_from(t.authorization_details.outerjoin(t.authorizations, own))
        .where(*people(d.user_id))
        .order_by(d.user_id, d.authorization_id)
    )
