"""Reads everybody's latest features, a portion at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from service.engine.records.users import UserFeatures
from service.storage import schema as t

PORTION = 2_000
"""The people that are read at a time."""


def everybody(connection: Connection) -> Iterator[list[UserFeatures]]:
    """All people in the order of their ids, those merged into others included.

    The connection reads one state of the database (`reading`).
    """
    u, s = t.users.c, t.feature_snapshots.c
    own = (s.user_id == u.user_id) & (s.version == u.feature_version)
    query = (
        select(
            *(u.user_id, u.scoring_consent, u.feature_version, s.schema_id, s.raw, s.as_of_us),
            *(u.alias_of, s.texts),
        )
        .select_from(t.users.outerjoin(t.feature_snapshots, own))
        .order_by(u.user_id)
        .limit(PORTION)
    )
    after = ""
    while rows := connection.execute(query.where(u.user_id > after)).all():
        found = [UserFeatures(*row) for row in rows]
        yield found
        after = found[-1].user_id


def schemas(connection: Connection) -> dict[str, tuple[str, ...]]:
    """The names of the values of each feature schema, in order."""
    rows: Any = connection.execute(select(t.feature_schemas))
    return {schema_id: tuple(json.loads(names)) for schema_id, names in rows}
