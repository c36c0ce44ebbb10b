"""Reads an authorization with its captures, corrections and attestations."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, Table, select

from service.domain.authorization import Authorization, Start
from service.engine.reads import Told
from service.engine.tables import ATTESTATIONS, AUTHORIZATIONS, CAPTURES, CORRECTIONS
from service.storage import schema as t
from service.storage.schema.record_tables import CONVERTERS


def told(connection: Connection, user_id: str, authorization_id: str) -> Told | None:
    """One authorization with its captures, corrections and attestations, or None."""

    def of(table: Table) -> Select[Any]:
        c = table.c
        same = (c.user_id == user_id, c.authorization_id == authorization_id)
        return select(*t.recorded(table)).where(*same)

    row = connection.execute(of(t.authorizations)).first()
    if row is None:
        return None
    it = CONVERTERS[AUTHORIZATIONS].record(row)
    captures, corrections = [], []
    if it.captures:
        query = of(t.captures).order_by(t.captures.c.number)
        captures = list(map(CONVERTERS[CAPTURES].record, connection.execute(query)))
    if it.corrections:
        query = of(t.corrections).order_by(t.corrections.c.number)
        corrections = list(map(CONVERTERS[CORRECTIONS].record, connection.execute(query)))
    attestations = []
    if it.start_us is not None:
        query = of(t.attestations).order_by(t.attestations.c.number)
        attestations = list(map(CONVERTERS[ATTESTATIONS].record, connection.execute(query)))
    return Told(it, captures, corrections, _reservation(connection, it), attestations)


def _reservation(connection: Connection, it: Authorization) -> str:
    """The resource name of the reservation that a late pick-up cites; empty for other rentals."""
    if it.start is not Start.LATE_PICKUP:
        return ""
    c = t.late_pickups.c
    same = (c.user_id == it.user_id, c.started_id == it.authorization_id)
    cited = connection.scalar(select(c.authorization_id).where(*same))
    return f"users/{it.user_id}/authorizations/{cited}"
