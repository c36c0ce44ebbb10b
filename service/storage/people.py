"""Reads everybody on record, a page at a time, with the latest features, lines and merges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, select
from sqlalchemy.sql.elements import ColumnElement

from service.domain.ledger import Line
from service.engine.records.aliases import AliasRecord
from service.engine.records.users import UserFeatures
from service.engine.rows import Rows
from service.engine.tables import ALIASES, LINES
from service.storage import schema as t
from service.storage.latest_features import everybody
from service.storage.rows import line_of


class Person(NamedTuple):
    """A person's latest features. `rows` has the person's lines, the people merged into the person,
    and the lines of those."""

    features: UserFeatures
    rows: Rows


def pages_of_people(connection: Connection, size: int) -> Iterator[list[Person]]:
    """Everybody on record in the order of the ids, `size` people a page.

    Read them in one state of the database."""
    for people in everybody(connection, size):
        rows = _rows(connection, people)
        yield [Person(it, rows[it.user_id]) for it in people]


def _rows(connection: Connection, people: list[UserFeatures]) -> dict[str, Rows]:
    """The rows of each person of a page."""
    found = {it.user_id: Rows() for it in people}
    lines = t.lines.c.user_id
    for line in _lines(connection, lines.between(people[0].user_id, people[-1].user_id)):
        # An operator's line may be among them.
        if line.user_id in found:
            found[line.user_id][LINES][line.user_id, line.currency] = line
    survivors = [it.user_id for it in people if it.alias_of == it.user_id]
    if not survivors:
        return found
    merged = select(t.aliases).where(t.aliases.c.survivor.in_(survivors))
    survivor_of = {}
    for row in connection.execute(merged):
        it = AliasRecord(*row)
        found[it.survivor][ALIASES][it.user_id] = it
        survivor_of[it.user_id] = it.survivor
    for line in _lines(connection, lines.in_(survivor_of)):
        found[survivor_of[line.user_id]][LINES][line.user_id, line.currency] = line
    return found


def _lines(connection: Connection, whose: ColumnElement[bool]) -> Iterator[Line]:
    for row in connection.execute(select(t.lines).where(whose)):
        yield line_of(row)
