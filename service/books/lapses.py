"""Checks the list of what time ended: each row is an event of its authorization."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from sqlalchemy import Connection, and_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books.columns import Cursor, typed
from service.domain.lapses import Lapse
from service.domain.transitions import Transition
from service.domain.verification import BookFault
from service.engine.records.captures import digest_of
from service.storage import schema as t

TOGETHER = 1_000
"""The number of rows fetched together."""
TOLD_BY = {
    **dict.fromkeys((Lapse.OFFER_EXPIRED, Lapse.REVIEW_EXPIRED), Transition.EXPIRED),
    **dict.fromkeys((Lapse.PICKUP_EXPIRED, Lapse.DAMAGE_CHARGE_ENDED), Transition.EXPIRED),
    Lapse.CLAIM_ACCEPTED: Transition.CLAIM_ACCEPTED,
    Lapse.LOST: Transition.LOST,
    Lapse.SOLD: Transition.SOLD,
    Lapse.RETURN_PRESUMED: Transition.RETURN_PRESUMED,
    Lapse.DEBT_DROPPED: Transition.DEBT_DROPPED,
}
"""The event of each kind, told a second time."""
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


def wrong_lapse(connection: Connection, people: People) -> BookFault | None:
    """The first row, by its key, that no event tells of, or None.

    Events of earlier builds have no rows, so a missing row is no fault.
    """
    c, o = t.lapses.c, t.outbox.c
    names = ("user_id", "authorization_id", "operator_id", "authorization_version")
    same = (*names, "transition", "event_us", "record_us")
    told = and_(*[o[name] == c[name] for name in same], *people(o.user_id))
    query = (
        select(typed(connection, list(c)), o.sequence, *t.recorded(t.lapses))
        .select_from(t.lapses.outerjoin(t.outbox, told))
        .where(*people(c.user_id))
        .order_by(c.user_id, c.authorization_id, c.authorization_version)
    )
    with closing(Cursor(connection, "lapses", query)) as cursor:
        while rows := cursor.fetch(TOGETHER):
            for readable, sequence, *row in rows:
                name = "/".join(("lapses", *map(str, row[:3])))
                if not readable:
                    return BookFault("UNREADABLE", name, "has a value of another type")
                if sequence is None:
                    return BookFault("LAPSES", name, "no event tells of it")
                lapse, transition = row[3], row[5]
                if TOLD_BY.get(lapse) != transition:
                    return BookFault("LAPSES", name, f"{transition} is no {lapse}")
                if digest_of(*row[1:-1]) != row[-1]:
                    return BookFault("LAPSES", name, "the digest does not fit the row")
    return None
