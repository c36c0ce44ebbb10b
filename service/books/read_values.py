"""Checks the counts of a person's rentals that decisions have read: recounts them from the events.

The rules of a policy count rentals as they were when the decision was made. The events of a person
tell every step in order, so each rental's state at that moment follows from them. Rentals of people
who were merged into the person count from the merge on. Counts of a device and of a payment account
are over several people, and are not checked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, case, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books.columns import Cursor, first_of, kept, rows_of
from service.domain.authorization import Start, State
from service.domain.settlement import DOCKINGS
from service.domain.transitions import Transition
from service.domain.verification import BookFault
from service.storage import schema as t

RULE = "READ_VALUES"
ALL_OPERATORS = ".all_operators"
BREAKER = "breaker."
"""The beginning of the name of a breaker's number, before the policy."""
HOUR_US = 3_600_000_000
WINDOWS_US = {"user.hour": HOUR_US, "user.day": 24 * HOUR_US}
GRANTS = frozenset({Transition.AUTHORIZED, Transition.ACTIVE, Transition.LATE_PICKED_UP})
"""The steps that place a hold for a rental."""
STARTS = frozenset({Transition.ACTIVE, Transition.STARTED, Transition.LATE_PICKED_UP})
ENDS = DOCKINGS | {Transition.CANCELLED}
"""The steps after which a rental is settled."""
TOGETHER = 1_000
"""The number of rows fetched together."""
UNDONE = frozenset({Transition.REVERSED, Transition.EXPIRED, Transition.ASSET_TAKEN})
BY_TIME = frozenset({Transition.EXPIRED, Transition.CLAIM_ACCEPTED})
"""The steps that count from their own instant on, even if they were taken later."""
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


class _Told(NamedTuple):
    """One event of a person, or of a person merged into this one, with its authorization, and the
    values that its decision read. `root` is the survivor."""

    root: Any
    user_id: Any
    sequence: Any
    authorization_id: Any
    transition: Any
    event_us: Any
    operator_id: Any
    request_id: Any
    create_us: Any
    state: Any
    waits_until_us: Any
    read_values: Any
    decision_id: Any


class _Rental:
    """A rental as the events so far tell it; times are microseconds since the epoch, UTC."""

    def __init__(self, first: _Told) -> None:
        self.user_id = first.user_id
        self.operator_id, self.create_us = first.operator_id, first.create_us
        self.ends_us: int | None = first.waits_until_us
        self.granted = self.started = self.ended = self.undone = False
        self.lapses = False
        """True if it ends without a charge at `ends_us`."""

    def counts(self, now_us: int) -> bool:
        """True if it was granted, and neither reversed nor lapsed by then."""
        return self.granted and not self.undone and not self._lapsed(now_us)

    def is_open(self, now_us: int) -> bool:
        """True if it held then."""
        over = self.ends_us is not None and self.ends_us <= now_us
        return self.counts(now_us) and not self.ended and not over

    def _lapsed(self, now_us: int) -> bool:
        return self.lapses and self.ends_us is not None and self.ends_us <= now_us

    def take(self, transition: str, state: str) -> None:
        """Takes a step; `state` is the present one."""
        # The time of a reservation may have a price.
        charged = transition == Transition.EXPIRED and state == State.SETTLED
        self.granted = self.granted or transition in GRANTS
        self.undone = self.undone or (transition in UNDONE and not charged)
        self.started = self.started or transition in STARTS
        self.ended = self.ended or transition in ENDS or charged
        self.lapses = self.lapses and not charged


def wrong_read_values(connection: Connection, people: People) -> BookFault | None:
    """The fault of the first decision, in the order of a person's events, with a wrong count."""
    if first_of(connection, _with_rules(connection)) is None:
        return None
    settled = _most_settled(connection)
    opened = set(rows_of(connection, _opened(connection)))
    told = _told(connection, people)
    for _, each in groupby(told, key=attrgetter("root")):
        events = list(each)
        for it in events:
            fault = _wrong_breaker(it, opened)
            if fault is not None:
                return fault
        for decision_id, found in _recounted(events):
            for name, value, expected in found:
                capped = name.startswith("user.settled") and value in settled
                if value in expected or (capped and value < max(expected)):
                    continue
                detail = f"{name} was {expected[0]}, {value} were read"
                return BookFault(RULE, f"decisions/{decision_id}", detail)
    return None


def _wrong_breaker(it: _Told, opened: set[tuple[Any, ...]]) -> BookFault | None:
    """The fault of a decision that names a breaker which never opened."""
    values = {} if it.read_values is None else _values(it.read_values)
    for name, number in values.items():
        policy_id = name.removeprefix(BREAKER)
        if policy_id != name and number and (it.operator_id, policy_id, number) not in opened:
            detail = f"the breaker {number} of {policy_id} never opened"
            return BookFault(RULE, f"decisions/{it.decision_id}", detail)
    return None


def _told(connection: Connection, people: People) -> Iterator[_Told]:
    with closing(Cursor(connection, "read_values", _events(connection, people))) as cursor:
        while rows := cursor.fetch(TOGETHER):
            yield from map(_Told._make, rows)


def _recounted(events: list[_Told]) -> Iterator[tuple[str, list[tuple[str, Any, list[Any]]]]]:
    """Each decision of a person with the values read and their recounts: of the whole person, and
    of the rentals under the decision's own user id.

    A decision before the merge counted the latter. So did one whose server had not seen the merge.
    """
    rentals: dict[str, _Rental] = {}
    ends: dict[str, _Told] = {it.authorization_id: it for it in events if it.transition in BY_TIME}
    requests: dict[tuple[str, str], Callable[[str], list[Any]]] = {}
    for it in events:
        if it.read_values is not None:
            order = (it.operator_id, it.request_id)
            # All items of a group are decided before the first is granted.
            if order not in requests:
                requests[order] = _counter(list(rentals.values()), it)
            recount = requests[order]
            values = _values(it.read_values)
            own = [name for name in values if name.startswith("user.")]
            yield it.decision_id, [(name, values[name], recount(name)) for name in own]
        rental = rentals.get(it.authorization_id)
        if rental is None:
            rental = rentals[it.authorization_id] = _Rental(it)
            end = ends.get(it.authorization_id)
            if end is not None:
                rental.ends_us = end.event_us
                rental.lapses = end.transition == Transition.EXPIRED
            else:
                rental.lapses = it.state == State.AUTHORIZED
        rental.take(it.transition, it.state)


def _values(text: object) -> dict[str, Any]:
    """The table in a JSON text; a text that makes no sense has a name that no rule reads."""
    try:
        found = json.loads(str(text))
    except (TypeError, ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"user.unreadable": text}


def _counter(rentals: list[_Rental], at: _Told) -> Callable[[str], list[Any]]:
    """A function that recounts a value, by its name, before a decision: of all the rentals, and of
    those under the decision's own user id."""
    whole = _counter_of(rentals, at)
    own = [it for it in rentals if it.user_id == at.user_id]
    if len(own) == len(rentals):
        return lambda name: [whole(name)]
    alone = _counter_of(own, at)
    return lambda name: [whole(name), alone(name)]


def _counter_of(rentals: list[_Rental], at: _Told) -> Callable[[str], Any]:
    now_us: int = at.create_us
    states = [(it.operator_id, it.create_us, it.counts(now_us), it.is_open(now_us),
               it.started and it.ended)
              for it in rentals]  # fmt: skip

    def recount(name: str) -> Any:
        plain = name.removesuffix(ALL_OPERATORS)
        those = [it for it in states if plain != name or it[0] == at.operator_id]
        if plain == "user.open":
            return sum(it[3] for it in those)
        if plain == "user.settled":
            return sum(it[2] and it[4] for it in those)
        if plain in WINDOWS_US:
            return sum(it[2] and it[1] > now_us - WINDOWS_US[plain] for it in those)
        if plain != "user.age_us":
            return None
        first_us = min((it[1] for it in those if it[2]), default=None)
        return None if first_us is None else now_us - first_us

    return recount


@kept
def _with_rules(_connection: Connection) -> Select[Any]:
    p = t.policies.c
    return select(p.policy_id).where(p.rules.is_not(None)).limit(1)


@kept
def _opened(_connection: Connection) -> Select[Any]:
    b = t.breakers.c
    return select(b.operator_id, b.policy_id, b.number).order_by(b.operator_id, b.number)


def _most_settled(connection: Connection) -> set[int]:
    """The numbers of settled rentals up to which policies count."""
    found: set[int] = set()
    for (text,) in connection.execute(select(t.policies.c.rules)):
        new = _values(text).get("new_user")
        if isinstance(new, dict):
            found.add(new.get("until_settled", 0))
    return found


@kept
def _events(_connection: Connection, people: People) -> Select[Any]:
    """Selects the events of people with decisions that read values, in their order."""
    o, a, d, x = t.outbox.c, t.authorizations.c, t.decisions.c, t.aliases.c
    own = and_(a.user_id == o.user_id, a.authorization_id == o.authorization_id)
    decided = and_(
        d.user_id == a.user_id,
        d.decision_id == a.decision_id,
        d.decide_us == a.create_us,
        o.authorization_version == 1,
        a.start != Start.LATE_PICKUP,
    )
    counted = select(d.user_id).where(d.read_values.is_not(None), *people(d.user_id))
    merged = select(x.user_id).where(x.approve_us.is_not(None), x.survivor.in_(counted))
    survivor = select(x.survivor).where(
        x.user_id == o.user_id, x.approve_us.is_not(None), x.survivor.in_(counted)
    )
    root = func.coalesce(survivor.scalar_subquery(), o.user_id).label("root")
    # Of equal values PostgreSQL expects few rows while it has no statistics, and so would read a
    # whole table for each of them.
    without_parent = a.parent_id <= ""
    # No timer may have ended it yet.
    waits = case((a.state == State.RETURN_CLAIMED, a.claim_until_us), else_=a.expire_us)
    return (
        select(
            *(root, o.user_id, o.sequence, o.authorization_id, o.transition, o.event_us),
            *(
                a.operator_id,
                a.request_id,
                a.create_us,
                a.state,
                waits,
                d.read_values,
                d.decision_id,
            ),
        )
        .select_from(t.outbox.join(t.authorizations, own).outerjoin(t.decisions, decided))
        .where(without_parent, or_(o.user_id.in_(counted), o.user_id.in_(merged)))
        .order_by(root, o.sequence)
    )
