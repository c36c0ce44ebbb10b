"""Request records, read outside any write transaction."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine, select

from service.engine.records.requests import RequestRecord
from service.storage import schema as t
from service.storage.database import reading

PORTION = 500
"""Ids a statement asks for at most."""


def find_requests(
    engine: Engine, caller: str, request_ids: Collection[str]
) -> dict[str, RequestRecord]:
    """A caller's records by request id; an id without a record is left out.

    Raises StorageFailed when the database is away.
    """
    wanted = list(request_ids)
    found: dict[str, RequestRecord] = {}
    r = t.requests.c
    with reading(engine) as connection:
        for start in range(0, len(wanted), PORTION):
            query = select(t.requests).where(
                r.caller == caller, r.request_id.in_(wanted[start : start + PORTION])
            )
            for row in connection.execute(query):
                found[row.request_id] = RequestRecord(*row)
    return found
