"""Reads everybody's latest features, a portion at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from service.engine.records.users import UserFeatures
from service.storage import schema as t
from service.storage.statements import features_of

PORTION = 2_000
"""The people that are read at a time."""


def everybody(connection: Connection, portion: int = PORTION) -> Iterator[list[UserFeatures]]:
    """All people in the order of their ids, those merged into others included.

    The connection reads one state of the database (`reading`).
    """
    user_id = t.users.c.user_id
    query = features_of(t.users).order_by(user_id).limit(portion)
    after = ""
    while rows := connection.execute(query.where(user_id > after)).all():
        found = [UserFeatures(*row) for row in rows]
        yield found
        after = found[-1].user_id


def schemas(connection: Connection) -> dict[str, tuple[str, ...]]:
    """The names of the values of each feature schema, in order."""
    rows: Any = connection.execute(select(t.feature_schemas))
    return {schema_id: tuple(json.loads(names)) for schema_id, names in rows}
