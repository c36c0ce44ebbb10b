"""Checks the users' consents: each belongs to an event that may have charged for damage."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from sqlalchemy import Connection, and_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books.columns import Cursor, typed
from service.books.expectations import CONSENTED
from service.domain.verification import BookFault
from service.engine.records.captures import digest_of
from service.storage import schema as t

TOGETHER = 1_000
"""The number of rows fetched together."""
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


def wrong_consent(connection: Connection, people: People) -> BookFault | None:
    """The first row, by its key, that belongs to no charge for damage, or None.

    Few charges need consent, and the terms that ask for it may be missing, so a missing row is no
    fault.
    """
    c, o, a = t.consents.c, t.outbox.c, t.authorizations.c
    names = ("user_id", "authorization_id", "operator_id", "authorization_version", "record_us")
    told = and_(*[o[name] == c[name] for name in names], *people(o.user_id))
    own = and_(a.user_id == c.user_id, a.authorization_id == c.authorization_id)
    query = (
        select(typed(connection, list(c)), o.transition, a.parent_id != "", *t.recorded(t.consents))
        .select_from(t.consents.outerjoin(t.outbox, told).outerjoin(t.authorizations, own))
        .where(*people(c.user_id))
        .order_by(c.user_id, c.authorization_id, c.authorization_version)
    )
    with closing(Cursor(connection, "consents", query)) as cursor:
        while rows := cursor.fetch(TOGETHER):
            for readable, transition, charge, *row in rows:
                name = "/".join(("consents", *map(str, row[:3])))
                if not readable:
                    return BookFault("UNREADABLE", name, "has a value of another type")
                if transition is None:
                    return BookFault("CONSENTS", name, "no event tells of it")
                if (transition, bool(charge)) not in CONSENTED:
                    return BookFault("CONSENTS", name, f"{transition} charges no damage anew")
                if digest_of(*row[1:-1]) != row[-1]:
                    return BookFault("CONSENTS", name, "the digest does not fit the row")
    return None
