"""Reads everybody on record, a page at a time, with the latest features, lines and merges."""

from __future__ import annotations

import json
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
from service.storage.rows import line_of
from service.storage.statements import features_of


class Person(NamedTuple):
    """A person's latest features. `rows` has the person's lines, the people merged into the person,
    and the lines of those."""

    features: UserFeatures
    rows: Rows


def pages_of_people(connection: Connection, size: int) -> Iterator[list[Person]]:
    """Everybody on record in the order of the ids, `size` people a page.

    Read them in one state of the database."""
    after = ""
    while people := _people(connection, after, size):
        rows = _rows(connection, people)
        yield [Person(it, rows[it.user_id]) for it in people]
        after = people[-1].user_id


def feature_schemas(connection: Connection) -> dict[str, tuple[str, ...]]:
    """The names of the raw values of each schema, by its id."""
    rows = connection.execute(select(t.feature_schemas.c.schema_id, t.feature_schemas.c.names))
    return {schema_id: tuple(json.loads(names)) for schema_id, names in rows}


def _people(connection: Connection, after: str, size: int) -> list[UserFeatures]:
    user_id = t.users.c.user_id
    query = features_of(t.users).where(user_id > after).order_by(user_id).limit(size)
    return [
        UserFeatures(user_id, bool(consent), *rest)
        for user_id, consent, *rest in connection.execute(query)
    ]


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
