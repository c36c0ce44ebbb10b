"""Checks the credit lines that decisions saw: computes them again from the entries.

A decision names the number of entries behind the line that it saw. The balances after so many
entries are sums of their amounts. A decision that held its amount at once was made right before its
own first entry, and any other one before its own. Under a total exposure a decision also names the
person's other lines and the rates, from which the free part follows.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, literal_column, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from service.books.columns import Cursor, kept
from service.books.faults import SENSELESS
from service.domain.authorization import Start
from service.domain.ledger import LINE_COLUMNS, Account, Book
from service.domain.policy import Offer
from service.domain.transitions import Transition
from service.domain.verification import BookFault
from service.storage import schema as t

RULE = "DECISION_LINE"
TOGETHER = 1_000
"""The number of rows fetched together."""
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""
SEEN = (Account.LIMIT_CONTROL, Account.HELD, Account.DRAWN)
"""The accounts of the balances that a decision stores, in the order of their columns."""
NAMES = tuple(LINE_COLUMNS[it][0] for it in SEEN)
GRANTS = frozenset({Transition.AUTHORIZED, Transition.ACTIVE})
FREE, LINES, RATES, TOTAL = "total.free_minor", "total.lines", "total.rates", "total.currency"
Balances = tuple[int, int, int]
_user_of, _currency_of = itemgetter(0), itemgetter(1)


class _Decided(NamedTuple):
    """A decision with the line that it saw, and its authorization."""

    user_id: str
    currency: str
    version: int
    limit_minor: int
    held_minor: int
    drawn_minor: int
    decision_id: str
    authorization_id: str
    at_once: bool
    """True for a decision that may have held its amount at once, alone."""
    decide_us: int
    read_values: str | None


class _Line:
    """The balances after each entry of one line, and each authorization's first entry that changed
    them."""

    def __init__(self, entries: Iterable[tuple[Any, ...]]) -> None:
        """`entries` are those of the line, with a row of its end."""
        self._sequences, self._balances = [0], [(0, 0, 0)]
        self.firsts: dict[str, tuple[int, str, int]] = {}
        sums = dict.fromkeys(SEEN, 0)
        for _, _, sequence, debit, credit, minor, name, transition, event_us in entries:
            for account, sign in ((debit, 1), (credit, -1)):
                if account in sums:
                    sums[account] += sign * LINE_COLUMNS[Account(account)][1] * minor
            limit_minor, held_minor, drawn_minor = sums.values()
            self._sequences.append(sequence)
            self._balances.append((limit_minor, held_minor, drawn_minor))
            self.firsts.setdefault(name, (sequence, transition, event_us))

    @property
    def last(self) -> int:
        """The number of entries, of both books together."""
        return self._sequences[-1]

    def at(self, version: int) -> Balances:
        """The balances after so many entries, of both books together."""
        return self._balances[max(1, bisect_right(self._sequences, version)) - 1]


class _Lines:
    """The lines of a person, and those of merged people as far as they are asked for."""

    def __init__(
        self, connection: Connection, user_id: str, entries: Iterable[tuple[Any, ...]]
    ) -> None:
        """`entries` are those of the person, in the order of the lines."""
        self._connection, self._user_id = connection, user_id
        of_lines = groupby(entries, key=_currency_of)
        self._known = {(user_id, currency): _Line(its) for currency, its in of_lines}

    def of(self, user_id: str, currency: str) -> _Line:
        """A line; it has no entries if it does not exist."""
        found = self._known.get((user_id, currency))
        if found is None:
            its: Iterable[tuple[Any, ...]] = ()
            if user_id != self._user_id:
                mine = _entries_of(lambda it: (it.user_id == user_id, it.currency == currency))
                its = map(tuple, self._connection.execute(mine))
            found = self._known[user_id, currency] = _Line(its)
        return found


def wrong_line(connection: Connection, people: People) -> BookFault | None:
    """The fault of the first decision, in the order of the lines, that saw another line or another
    total exposure than the entries tell."""
    with ExitStack() as stack:
        streams = []
        for name, query in (("line_entries", _entries), ("line_decisions", _decided)):
            cursor = Cursor(connection, name, query(connection, people))
            stack.callback(cursor.close)
            streams.append(groupby(_rows(cursor), key=_user_of))
        entries, decisions = streams
        known = next(entries, None)
        for user_id, decided in decisions:
            while known is not None and known[0] < user_id:
                known = next(entries, None)
            mine = known[1] if known is not None and known[0] == user_id else ()
            lines = _Lines(connection, user_id, mine)
            for it in map(_Decided._make, decided):
                fault = _wrong(it, lines.of(user_id, it.currency)) or _wrong_total(it, lines)
                if fault is not None:
                    return fault
    return None


def _rows(cursor: Cursor) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetch(TOGETHER):
        yield from rows


def _wrong(it: _Decided, line: _Line) -> BookFault | None:
    if not all(isinstance(value, int) for value in it[2:6]):
        return _fault(it.decision_id, "its line has a value that is no number")
    for name, stored, expected in zip(NAMES, it[3:6], line.at(it.version), strict=True):
        if stored != expected:
            text = f"line_{name} was {expected} after {it.version} entries, {stored} is stored"
            return _fault(it.decision_id, text)
    if it.version > line.last:
        text = f"line_version is {it.version}, and the line has {line.last} entries"
        return _fault(it.decision_id, text)
    first = line.firsts.get(it.authorization_id)
    if first is None:
        return None
    sequence, transition, event_us = first
    granted = it.at_once and transition in GRANTS and event_us == it.decide_us
    if sequence <= it.version or (granted and sequence != it.version + 1):
        text = f"line_version is {it.version}, and the first entry after it is {sequence}"
        return _fault(it.decision_id, text)
    return None


def _fault(decision_id: str, text: str) -> BookFault:
    return BookFault(RULE, f"decisions/{decision_id}", text)


def _wrong_total(it: _Decided, lines: _Lines) -> BookFault | None:
    """The fault of a decision that saw another total exposure than the entries tell."""
    if it.read_values is None or f'"{FREE}"' not in it.read_values:
        return None
    exposures: dict[str, list[int]] = {}
    limit_minor = None
    try:
        values = json.loads(it.read_values)
        others = [(*name.rsplit("/", 1), version) for name, version in values[LINES].items()]
        for user_id, currency, version in [(*it[:3],), *others]:
            line = lines.of(user_id, currency)
            if version > line.last:
                text = f"{LINES} names {version} entries of {user_id}/{currency}, of {line.last}"
                return _fault(it.decision_id, text)
            limit, held, drawn = line.at(version)
            exposures.setdefault(currency, []).append(held + drawn)
            if (user_id, currency) == (it.user_id, values[TOTAL]):
                limit_minor = limit
        own = it.currency, it.limit_minor - it.held_minor - it.drawn_minor
        free_minor = _free(own, exposures, limit_minor, values)
    except SENSELESS:
        return _fault(it.decision_id, "its total exposure is not readable")
    if free_minor != values[FREE]:
        text = f"{FREE} was {free_minor}, {values[FREE]} was read"
        return _fault(it.decision_id, text)
    return None


def _free(
    own: tuple[str, int],
    exposures: Mapping[str, list[int]],
    limit_minor: int | None,
    values: Mapping[str, Any],
) -> int:
    """The free part of a line with this currency and available amount, under a total exposure."""
    currency, available_minor = own
    rates = {values[TOTAL]: (1, 1), **values[RATES]}
    if currency not in rates or limit_minor is None:
        return 0
    left_minor = limit_minor
    for name, amounts in exposures.items():
        for minor in amounts:
            if name not in rates and minor:
                return 0
            worth, of = rates.get(name, (0, 1))
            # A part of a minor unit counts as a whole one.
            left_minor -= (minor * worth + of - 1) // of
    worth, of = rates[currency]
    free_minor: int = min(available_minor, max(0, left_minor) * of // worth)
    return free_minor


@kept
def _entries(_connection: Connection, people: People) -> Any:
    return _entries_of(lambda it: people(it.user_id))


def _entries_of(those: Callable[[Any], Iterable[ColumnElement[bool]]]) -> Any:
    """Selects entries of lines, in the order of the lines and of their entries.

    Each line has a row of its end too, because its last entry may be one of the book of money.
    `those` gives the conditions on the columns of a table.
    """
    e, line = t.entries.c, t.lines.c
    key = (e.user_id, e.currency, e.sequence)
    values = (e.debit, e.credit, e.amount_minor, e.authorization_id, e.transition, e.event_us)
    entries = select(*key, *values).where(e.book == str(Book.LINE), *those(e))
    no_values: list[Any] = [literal_column(it) for it in ("''", "''", "0", "''", "''", "0")]
    ends = select(line.user_id, line.currency, line.version, *no_values).where(*those(line))
    return union_all(entries, ends).order_by("user_id", "currency", "sequence")


@kept
def _decided(_connection: Connection, people: People) -> Any:
    """Selects the decisions of authorizations and of increments, by the line that they saw."""
    both = union_all(_of_orders(people), _of_increments(people)).subquery()
    b = both.c
    return select(both).order_by(b.user_id, b.currency, b.line_version, b.decision_id)


def _of_orders(people: People) -> Select[Any]:
    a, d = t.authorizations.c, t.decisions.c
    own = and_(d.user_id == a.user_id, d.decision_id == a.decision_id)
    at_once = and_(d.offer == str(Offer.ZERO), a.group_id == "", a.start != str(Start.LATE_PICKUP),
                   d.reasons.not_like("%UNDER_REVIEW%"))  # fmt: skip
    query = _columns(at_once.label("at_once")).select_from(t.authorizations.join(t.decisions, own))
    # A late pick-up cites the decision of its reservation.
    return query.where(a.start != str(Start.LATE_PICKUP), *people(a.user_id))


def _of_increments(people: People) -> Select[Any]:
    a, d, x = t.authorizations.c, t.decisions.c, t.later_decisions.c
    raised = and_(x.user_id == a.user_id, x.authorization_id == a.authorization_id)
    own = and_(d.user_id == x.user_id, d.decision_id == x.decision_id)
    source = t.authorizations.join(t.later_decisions, raised).join(t.decisions, own)
    # An increment comes after the authorization's first entry.
    nothing = (d.decision_id != d.decision_id).label("at_once")
    return _columns(nothing, own=False).select_from(source).where(*people(a.user_id))


def _columns(at_once: Any, *, own: bool = True) -> Select[Any]:
    a, d = t.authorizations.c, t.decisions.c
    name = a.authorization_id if own else (a.authorization_id + "/").label("authorization_id")
    return select(
        *(a.user_id, a.currency, d.line_version, d.line_limit_minor, d.line_held_minor),
        *(d.line_drawn_minor, d.decision_id, name, at_once, d.decide_us, d.read_values),
    )
