"""Checks the refused tries of increments, and the bounds of all increments."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from service.books.columns import Cursor, first_of, kept, typed
from service.domain.increments import DECIDED
from service.domain.verification import BookFault
from service.engine.records.captures import digest_of
from service.storage import schema as t

TOGETHER = 1_000
"""The number of rows fetched together."""
RULE = "INCREMENTS"
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


def wrong_increment(connection: Connection, people: People) -> BookFault | None:
    """The fault of the first refused try, by its key, that is wrong or follows a missing one.

    Without such a try: the fault of the first authorization with more tries than its policy allows,
    then of the first that holds more than its product allows; None if there is none.
    """
    before, last = ("", ""), 0
    with closing(Cursor(connection, "refused_increments", _refused(connection, people))) as cursor:
        while rows := cursor.fetch(TOGETHER):
            for readable, known, *row in rows:
                name = "/".join(("refused_increments", *map(str, row[:3])))
                if not readable:
                    return BookFault("UNREADABLE", name, "has a value of another type")
                last = last + 1 if tuple(row[:2]) == before else 1
                before = (row[0], row[1])
                detail = "" if known else "the authorization is missing"
                if not detail and row[2] != last:
                    detail = f"the try {last} is missing"
                if not detail and row[5] not in DECIDED:
                    detail = f"{row[5]} is no refusal that was decided on the line"
                if not detail and digest_of(*row[1:-1]) != row[-1]:
                    detail = "the digest does not fit the row"
                if detail:
                    return BookFault(RULE, name, detail)
    for query, wrong in ((_tried, "{2} tries, {3} allowed"), (_held, "holds {2}, {3} allowed")):
        found = first_of(connection, query(connection, people))
        if found is not None:
            name = "users/{}/authorizations/{}".format(*found)
            return BookFault(RULE, name, wrong.format(*found))
    return None


@kept
def _refused(connection: Connection, people: People) -> Select[Any]:
    """Selects the refused tries, each with whether it can be read and its authorization's id."""
    r, a = t.refused_increments.c, t.authorizations.c
    key = (r.user_id, r.authorization_id)
    own = and_(a.user_id == key[0], a.authorization_id == key[1])
    return (
        select(typed(connection, list(r)), a.authorization_id, *t.recorded(t.refused_increments))
        .select_from(t.refused_increments.outerjoin(t.authorizations, own))
        .where(*people(r.user_id))
        .order_by(*key, r.number)
    )


def _of_terms() -> ColumnElement[bool]:
    a, p = t.authorizations.c, t.products.c
    return and_(
        p.operator_id == a.operator_id,
        p.product_id == a.product_id,
        p.revision == a.product_revision,
    )


@kept
def _tried(_connection: Connection, people: People) -> Select[Any]:
    """Selects the first authorization with more tries than its policy allows."""
    a, p, q = t.authorizations.c, t.products.c, t.policies.c
    each = union_all(
        *(
            select(table.c.user_id, table.c.authorization_id).where(*people(table.c.user_id))
            for table in (t.later_decisions, t.refused_increments)
        )
    ).subquery("each_try")
    key = (each.c.user_id, each.c.authorization_id)
    tries = select(*key, func.count().label("tries")).group_by(*key).subquery("all_tries")
    own = and_(a.user_id == tries.c.user_id, a.authorization_id == tries.c.authorization_id)
    policy = and_(q.policy_id == p.policy_id, q.revision == p.policy_revision)
    return (
        select(a.user_id, a.authorization_id, tries.c.tries, q.most_increments)
        .select_from(
            tries.join(t.authorizations, own).join(t.products, _of_terms()).join(t.policies, policy)
        )
        .where(tries.c.tries > q.most_increments)
        .order_by(a.user_id, a.authorization_id)
        .limit(1)
    )


@kept
def _held(_connection: Connection, people: People) -> Select[Any]:
    """Selects the first authorization that holds more than its product allows.

    A debt without a hold has its amount in the same column.
    """
    a, p = t.authorizations.c, t.products.c
    whole = a.credit_minor + a.cash_minor
    return (
        select(a.user_id, a.authorization_id, whole, p.most_hold_minor)
        .select_from(t.authorizations.join(t.products, _of_terms()))
        .where(whole > p.most_hold_minor, a.unheld_minor == 0, *people(a.user_id))
        .order_by(a.user_id, a.authorization_id)
        .limit(1)
    )
