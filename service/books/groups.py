"""The large tables of the books, read a group of rows at a time, and portions made of the groups.

Entries, authorizations and events are most of the books. A group is the entries of a line, the
authorizations of a person, or the events of an authorization; its rows arrive as one text. The
rules are in other files, and are the same for portions that were read value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations, repeat
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import Column, Connection, Select, case, literal, not_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books import portion as p
from service.books import texts
from service.books.codes import among
from service.books.columns import (
    Codes,
    Columns,
    Fields,
    Kind,
    Row,
    Stream,
    Text,
    first_of,
    kept,
    read,
    typed,
)
from service.books.faults import Array, Faults, Found, Place
from service.books.portion import Portion
from service.books.texts import Doubt, Rows
from service.storage.database import backend_of

PORTION_BYTES = 1 << 21
"""How much text of a stream is fetched together."""
GROUPS = 256
"""Groups that are fetched together while nothing tells how large they are."""
_LINK_BYTES: Final = 32
_LINK_TEXT: Final = len("X''") + 2 * _LINK_BYTES


class Body(NamedTuple):
    """A table that is read in groups: the names of a group, and the columns of its rows in their
    order. `made` are columns that the database converts first."""

    fields: Fields
    names: tuple[str, ...]
    columns: dict[str, Kind | Codes]
    order: tuple[str, ...]
    made: Mapping[str, ColumnElement[Any]] = {}

    def query(self, connection: Connection) -> Select[Any]:
        """Selects for each group its names, the links of entries, and the text of its rows."""
        c = self.fields.table.c
        names, order = [c[name] for name in self.names], [c[name] for name in self.order]
        backend = backend_of(connection)
        row = backend.array_of_row([self.made.get(name, c[name]) for name in self.columns])
        parts = [backend.text_of_bytes(c.link)] if "link" in c else []
        grouped = [backend.text_of_group(part, order) for part in (*parts, row)]
        return select(*names, *grouped).group_by(*names).order_by(*names)

    @property
    def others(self) -> list[Column[Any]]:
        """The columns that are not in the text."""
        read = {*self.names, *self.columns, "link"} - {*self.made}
        return [column for column in self.fields.table.c if column.name not in read]


def _rest(fields: Fields, *names: str) -> dict[str, Kind | Codes]:
    return {name: kind for name, kind in fields.columns.items() if name not in names}


_LISTS: Final = {
    ",".join(names): p.ACCEPTED.get(",".join(names))
    for count in range(len(p.OFFERS) + 1)
    for names in permutations(p.OFFERS, count)
}
"""The lists of accepted offers that callers send, with their bits."""
_A = p.AUTHORIZATIONS.table.c
AUTHORIZATIONS = Body(
    p.AUTHORIZATIONS,
    ("user_id",),
    {
        **_rest(p.AUTHORIZATIONS, "user_id"),
        "accept_offers": {bits: bits for bits in _LISTS.values()},
    },
    ("authorization_id",),
    {
        # A list has commas, and what somebody wrote may have anything in it.
        "accept_offers": case(_LISTS, value=_A.accept_offers),
        "write_off_by": case((_A.write_off_by == "", ""), else_="-"),
    },
)
EVENTS = Body(
    p.EVENTS,
    ("user_id", "authorization_id"),
    _rest(p.EVENTS, "user_id", "authorization_id"),
    ("authorization_version", "sequence"),
)
ENTRIES = Body(
    p.ENTRIES,
    ("user_id", "currency"),
    {
        # All that a link of the newest format covers, in its order, as hash_chain.py has it.
        "link_format": Kind.NUMBER,
        "currency": Kind.TEXT,
        **among("sequence", "transaction_sequence", kind=Kind.NUMBER),
        **among("operator_id", "authorization_id", kind=Kind.TEXT),
        "transition": p.TRANSITIONS,
        "book": p.BOOKS,
        "debit": p.ACCOUNTS,
        "credit": p.ACCOUNTS,
        "amount_minor": Kind.AMOUNT,
        **among("debit_after_minor", "credit_after_minor", kind=Kind.MAYBE),
        **among("event_us", "ledger_us", kind=Kind.NUMBER),
    },
    ("sequence",),
)
BODIES: Final = {it.fields.table.name: it for it in (ENTRIES, AUTHORIZATIONS, EVENTS)}
"""The tables that are read in groups, by their names."""


class Groups(Stream):
    """The groups of a body in the order of the people; the last value of each is its text."""

    def __init__(self, connection: Connection, body: Body, text: Text) -> None:
        super().__init__(connection, body.fields, text)
        self._size, self._chunk = 0, GROUPS

    def fill(self) -> None:
        """Fetches until there is enough text, or no group is left."""
        while not self.ended and self._size < PORTION_BYTES:
            self.more()

    def more(self) -> None:
        """Fetches some more groups; only a few if they are large."""
        fresh = self._cursor.fetch(self._chunk)
        self.ended = len(fresh) < self._chunk
        if fresh:
            if not (isinstance(fresh[0][0], str) and isinstance(fresh[-1][0], str)):
                raise Doubt
            size = _size(fresh)
            self._size += size
            self._chunk = max(1, min(GROUPS, PORTION_BYTES * len(fresh) // (1 + size)))
        self.rows += fresh

    def before(self, user_id: str | None) -> list[Row]:
        """Takes the groups of the people before `user_id`; None takes all."""
        taken = super().before(user_id)
        self._size -= _size(taken)
        return taken


People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]


def check_types(connection: Connection, people: People) -> None:
    """Raises Doubt where a column of these people that is in no text has another type."""
    if backend_of(connection).checks_types:
        return
    for name, body in BODIES.items():
        if body.others and first_of(connection, _misfits(connection, name, people)) is not None:
            raise Doubt


@kept
def _misfits(connection: Connection, table: str, people: People) -> Select[Any]:
    """Selects a row in which a column outside the text has another type than declared."""
    body = BODIES[table]
    found = select(literal(1)).where(not_(typed(connection, body.others)))
    return found.where(*people(body.fields.table.c.user_id)).limit(1)


def _size(rows: Sequence[Row]) -> int:
    return sum(len(row[-1]) for row in rows)


class Trial(Faults):
    """Raises Doubt at any fault. The portion is expected to be sound; if it has a fault, another
    reader names the first fault."""

    def note(self, rule: str, wrong: Array, *_: Any, **__: Any) -> None:
        """Raises Doubt where any row is wrong."""
        if wrong.any():
            raise Doubt

    def add(self, place: Place, found: Found) -> None:
        """Raises Doubt."""
        raise Doubt


# -- a portion ------------------------------------------------------------------------------------


def portion_of_groups(taken: Sequence[list[Row]]) -> Portion:
    """The rows taken from all streams, in the order of FIELDS. Raises Doubt if any row could not
    occur in sound books."""
    columns, entries = [], Columns()
    for fields, rows in zip(p.FIELDS, taken, strict=True):
        if fields is p.ENTRY_COUNTS:
            counts, entries = _entries(rows)
            columns.append(counts)
        elif fields is p.AUTHORIZATIONS:
            columns.append(_authorizations(rows))
        elif fields is p.EVENTS:
            columns.append(_events(rows))
        else:
            found, wrong = read(fields, rows)
            if wrong:
                raise Doubt
            columns.append(found)
    users = {row[0] for rows in taken for row in rows}
    return p.join(users, columns, lambda line, *_: (entries, line))


class _Taken(NamedTuple):
    """Groups that were taken, by their names, each with its number of rows."""

    names: Sequence[tuple[str, ...]]
    sizes: list[int]
    links: str
    rows: Rows


def _taken(body: Body, groups: Sequence[Row]) -> _Taken:
    values = list(zip(*groups, strict=True)) or [()] * (len(body.names) + 2)
    names, last = values[: len(body.names)], values[-1]
    try:
        for column in names:
            "".join(column)
        text, links = "".join(last), "".join(values[-2]) if body is ENTRIES else ""
    except TypeError:
        raise Doubt from None
    sizes = list(map(str.count, last, repeat("[")))
    return _Taken(names, sizes, links, Rows(text, len(body.columns)))


_READ: Final = {it.fields.table.name: texts.readers(it.columns) for it in (AUTHORIZATIONS, EVENTS)}


def _columns(body: Body, rows: Rows) -> Columns:
    found = Columns(texts.read(rows, _READ[body.fields.table.name]))
    found.count = rows.count
    return found


def _authorizations(groups: Sequence[Row]) -> Columns:
    taken = _taken(AUTHORIZATIONS, groups)
    found = _columns(AUTHORIZATIONS, taken.rows)
    found["user_id"] = texts.spread(taken.names[0], taken.sizes)
    for name in ("authorization_id", "operator_id", "currency"):
        found[name] = list(found[name])
    return found


def _events(groups: Sequence[Row]) -> Columns:
    taken = _taken(EVENTS, groups)
    found = _columns(EVENTS, taken.rows)
    found["user_id"], found["authorization_id"] = taken.names
    found.sizes = taken.sizes
    return found


# -- entries --------------------------------------------------------------------------------------

_FIELD = {name: place for place, name in enumerate(ENTRIES.columns)}
_TEXTS = [name for name, kind in ENTRIES.columns.items() if kind is Kind.TEXT]
_READ_ENTRIES = [it for it in texts.readers(ENTRIES.columns) if it[0] not in _TEXTS]
_QUOTED = [name for name, kind in ENTRIES.columns.items() if not isinstance(kind, Kind)] + _TEXTS
_LINES: Final = bytes.maketrans(b",]", b"\n\0")


def _entries(groups: Sequence[Row]) -> tuple[Columns, Columns]:
    """The number of entries of each line, and the entries."""
    taken = _taken(ENTRIES, groups)
    counts = Columns()
    counts.count = len(groups)
    counts["user_id"], counts["currency"] = taken.names
    counts["count"] = np.array(taken.sizes, dtype=np.int64)
    rows = taken.rows
    found = Columns(texts.read(rows, _READ_ENTRIES))
    found.count = rows.count
    for name in _TEXTS:
        rows.check_texts(_FIELD[name])
    found["link"] = _links(taken.links, rows.count)
    _add_texts(rows, found)
    return counts, found


def _links(text: str, count: int) -> list[bytes]:
    """The links in a text that consists of links only."""
    if not text.isascii() or len(text) != count * _LINK_TEXT:
        raise Doubt
    links = np.frombuffer(text.encode(), dtype=np.uint8).reshape(count, _LINK_TEXT)
    # Nothing else that the database writes of a value begins with X.
    if not ((links[:, 0] == ord("X")).all() and (links[:, -1] == ord("'")).all()):
        raise Doubt
    try:
        whole = bytes.fromhex(links[:, 2:-1].tobytes().decode())
    except ValueError:
        raise Doubt from None
    return [whole[at : at + _LINK_BYTES] for at in range(0, len(whole), _LINK_BYTES)]


def _add_texts(rows: Rows, found: Columns) -> None:
    """Adds the text that each link covers, and the owner of each entry. Both are cut out of the
    text of the entry's fields, which has one field a line and no quotes."""
    # Nothing but a number that is absent follows a comma like this.
    lines = rows.raw.replace(b",null", b",None").translate(_LINES, b'["')
    found["text"] = lines.split(b"\0")[:-1]
    formats = found["link_format"]
    if not np.isin(formats, list(p.LINK_HEADS)).all():
        raise Doubt
    if (formats == 1).any():
        # Format 1 does not cover its own number.
        pairs = zip(found["text"], (formats == 1).tolist(), strict=True)
        found["text"] = [text[len("1\n") :] if first else text for text, first in pairs]
    _, before = rows.bounds(_FIELD["operator_id"] - 1)
    _, end = rows.bounds(_FIELD["authorization_id"])
    # What was left out before them: brackets and quotes.
    row = np.arange(rows.count) * (1 + 2 * len(_QUOTED)) + 1
    quotes = [2 * sum(_FIELD[name] <= _FIELD[last] for name in _QUOTED)
              for last in ("transaction_sequence", "authorization_id")]  # fmt: skip
    found["owner"] = texts.cut(lines.decode(), before + 1 - row - quotes[0], end - row - quotes[1])
