"""Checks the rows of ends by time, of settlements that posted nothing, of decisions of increments,
and of verdicts on reviews.

Each row must have its event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books.columns import Cursor, Row, kept, typed
from service.books.receipts import DOCKINGS
from service.domain.lapses import Lapse
from service.domain.reviews import Verdict
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
AFTER_VERDICTS = frozenset(
    {Transition.DECLINED, Transition.OFFERED, Transition.AUTHORIZED, Transition.ACTIVE}
)
"""The steps that carry a verdict out."""
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


_KEY = ("user_id", "authorization_id", "authorization_version")


def wrong_lapse(connection: Connection, people: People) -> BookFault | None:
    """The first row of an end by time, by its key, that has no event, or None."""

    def wrong(row: Row) -> str:
        lapse, transition = row[3], row[5]
        return "" if TOLD_BY.get(lapse) == transition else f"{transition} is no {lapse}"

    same = (*_KEY, "operator_id", "transition", "event_us", "record_us")
    return _untold(connection, people, "LAPSES", t.lapses, same, wrong)


def wrong_unposted(connection: Connection, people: People) -> BookFault | None:
    """The first row of a settlement that posted nothing, by its key, that has no event, or None."""

    def wrong(row: Row) -> str:
        return "" if row[3] in DOCKINGS else f"{row[3]} settles no rental"

    same = (*_KEY, "transition", "event_us", "record_us")
    return _untold(connection, people, "UNPOSTED", t.unposted_dockings, same, wrong)


def wrong_decision(connection: Connection, people: People) -> BookFault | None:
    """The first decision of an increment, by its key, that has no event, or None."""

    def wrong(row: Row) -> str:
        return "" if row[6] == Transition.INCREMENTED else f"{row[6]} has no decision of its own"

    same = (*_KEY, "transition", "event_us", "record_us")
    return _untold(connection, people, "DECISION", t.later_decisions, same, wrong)


def wrong_verdict(connection: Connection, people: People) -> BookFault | None:
    """The first verdict on a review, by its key, that has no event, or None."""

    def wrong(row: Row) -> str:
        verdict, transition = row[4], row[8]
        allowed = AFTER_VERDICTS if verdict == Verdict.APPROVED else {Transition.DECLINED}
        return "" if transition in allowed else f"{transition} carries out no {verdict}"

    same = (*_KEY, "operator_id", "transition", "event_us", "record_us")
    return _untold(connection, people, "VERDICTS", t.verdicts, same, wrong)


def _untold(
    connection: Connection,
    people: People,
    rule: str,
    table: Table,
    same: Sequence[str],
    wrong: Callable[[Row], str],
) -> BookFault | None:
    """The fault of the first wrong row, by its key. The event of a row has the same values in the
    columns `same`."""
    text = _with_events(connection, people, table, same)
    with closing(Cursor(connection, table.name, text)) as cursor:
        while rows := cursor.fetch(TOGETHER):
            for readable, sequence, *row in rows:
                name = "/".join((table.name, *map(str, row[: len(table.primary_key)])))
                if not readable:
                    return BookFault("UNREADABLE", name, "has a value of another type")
                detail = "no event records this row" if sequence is None else wrong(tuple(row))
                if not detail and digest_of(*row[1:-1]) != row[-1]:
                    detail = "the digest does not fit the row"
                if detail:
                    return BookFault(rule, name, detail)
    return None


@kept
def _with_events(
    connection: Connection, people: People, table: Table, same: Sequence[str]
) -> Select[Any]:
    """Selects the rows of a table, each with whether it can be read and its event's number."""
    c, o = table.c, t.outbox.c
    told = and_(*[o[name] == c[name] for name in same], *people(o.user_id))
    return (
        select(typed(connection, list(c)), o.sequence, *t.recorded(table))
        .select_from(table.outerjoin(t.outbox, told))
        .where(*people(c.user_id))
        .order_by(*[c[name] for name in _KEY])
    )
