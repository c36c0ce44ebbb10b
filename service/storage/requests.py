"""Request records, read outside any write transaction."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine, select

from service.engine.records.requests import RequestRecord
from service.storage import schema as t
from service.storage.database import reading

PORTION = 500
"""The most ids in one statement."""


def find_requests(
    engine: Engine, caller: str, request_ids: Collection[str]
) -> dict[str, RequestRecord]:
    """A caller's records by request id; unknown ids are left out.

    Raises StorageFailed if the database is unavailable.
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
