"""Checks the users' consents.

Each consent belongs to an event that may have charged for damage. No single charge without a
consent is above the bound of its terms.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Select, and_, case, exists, or_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books.columns import Cursor, first_of, kept, typed
from service.books.expectations import CONSENTED
from service.domain.captures import Purpose
from service.domain.verification import BookFault
from service.engine.records.captures import digest_of
from service.storage import schema as t

TOGETHER = 1_000
"""The number of rows fetched together."""
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


def wrong_consent(connection: Connection, people: People) -> BookFault | None:
    """The fault of the first consent, by its key, that belongs to no charge for damage. Without
    such a consent: the fault of a charge that lacks its consent, or None.

    A charge may be above the terms' bound alone, or only together with other charges. Only charges
    that are above the bound alone are checked, because other charges may have been given up since.
    """
    with closing(Cursor(connection, "consents", _consents(connection, people))) as cursor:
        while rows := cursor.fetch(TOGETHER):
            for readable, transition, parent_id, *row in rows:
                name = "/".join(("consents", *map(str, row[:3])))
                if not readable:
                    return BookFault("UNREADABLE", name, "has a value of another type")
                if transition is None or parent_id is None:
                    return BookFault("CONSENTS", name, "no event records this row")
                if (transition, parent_id != "") not in CONSENTED:
                    return BookFault("CONSENTS", name, f"{transition} is no charge for damage")
                if digest_of(*row[1:-1]) != row[-1]:
                    return BookFault("CONSENTS", name, "the digest does not fit the row")
    return _wrong_charge(connection, people)


@kept
def _consents(connection: Connection, people: People) -> Select[Any]:
    """Selects the consents, each with its event and its rental. The first column says whether the
    row can be read."""
    c, o, a = t.consents.c, t.outbox.c, t.authorizations.c
    names = ("user_id", "authorization_id", "authorization_version", "record_us")
    told = and_(*[o[name] == c[name] for name in names], *people(o.user_id))
    own = and_(*[a[name] == c[name] for name in ("user_id", "authorization_id", "operator_id")])
    return (
        select(typed(connection, list(c)), o.transition, a.parent_id, *t.recorded(t.consents))
        .select_from(t.consents.outerjoin(t.outbox, told).outerjoin(t.authorizations, own))
        .where(*people(c.user_id))
        .order_by(c.user_id, c.authorization_id, c.authorization_version)
    )


def _wrong_charge(connection: Connection, people: People) -> BookFault | None:
    """The fault of the first charge for damage that is above the bound of its terms alone and has
    no consent. None if there is no such charge, or if no terms have a bound."""
    if first_of(connection, _bounded(connection)) is None:
        return None
    found = first_of(connection, _charged(connection, people))
    if found is None:
        return None
    return BookFault("CONSENTS", "users/{}/authorizations/{}".format(*found), "nobody consented")


@kept
def _bounded(_connection: Connection) -> Select[Any]:
    """Selects the terms of a product that have a bound, if any have one."""
    p = t.products.c
    return select(p.product_id).where(p.damage_without_consent_minor.is_not(None)).limit(1)


@kept
def _charged(_connection: Connection, people: People) -> Select[Any]:
    """Selects the first charge above the bound of its terms to which nobody consented."""
    p = t.products.c
    bound = p.damage_without_consent_minor
    charge, rental = t.authorizations.c, t.authorizations.alias("rentals")
    c, d, k = t.consents.c, t.debts.c, t.captures.c
    damaged = case((charge.parent_id == "", charge.authorization_id), else_=charge.parent_id)
    of_rental = and_(
        rental.c.user_id == charge.user_id,
        rental.c.authorization_id == damaged,
    )
    terms = and_(
        p.operator_id == rental.c.operator_id,
        p.product_id == rental.c.product_id,
        p.revision == rental.c.product_revision,
    )
    own = and_(c.user_id == charge.user_id, c.authorization_id == charge.authorization_id)
    taken = and_(
        *(k.user_id == charge.user_id, k.authorization_id == charge.authorization_id),
        *(k.purpose == Purpose.DAMAGE, k.amount_minor > bound),
        ~exists()
        .where(own, c.authorization_version == k.authorization_version)
        .correlate(t.authorizations, t.captures),
    )
    booked = and_(
        *(d.user_id == charge.user_id, d.authorization_id == charge.authorization_id),
        # Freehold books the fee above the hold of a late pick-up without evidence.
        *(d.amount_minor > bound, d.user_consent_reference == "", d.evidence != ""),
    )
    wrong = or_(
        and_(charge.parent_id == "", exists().where(taken).correlate(t.authorizations, t.products)),
        and_(
            *(charge.parent_id != "", charge.unheld_minor == 0, charge.captured_minor > bound),
            ~exists().where(own).correlate(t.authorizations),
        ),
        and_(
            charge.unheld_minor != 0, exists().where(booked).correlate(t.authorizations, t.products)
        ),
    )
    return (
        select(charge.user_id, charge.authorization_id)
        .select_from(t.authorizations.join(rental, of_rental).join(t.products, terms))
        .where(bound.is_not(None), wrong, *people(charge.user_id))
        .order_by(charge.user_id, charge.authorization_id)
        .limit(1)
    )
