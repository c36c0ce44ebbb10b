"""Reads an authorization with its captures, corrections, attestations and charge-backs."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from service.domain.authorization import Authorization, Start
from service.engine.reads import Told
from service.engine.tables import (
    ATTESTATIONS,
    AUTHORIZATIONS,
    CAPTURES,
    CHARGE_BACKS,
    CORRECTIONS,
)
from service.storage import schema as t
from service.storage.schema.record_tables import CONVERTERS


def told(connection: Connection, user_id: str, authorization_id: str) -> Told | None:
    """One authorization with what belongs to it, or None."""

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
    found = map(CONVERTERS[CHARGE_BACKS].record, connection.execute(of(t.charge_backs)))
    # A charge has few, and no index has them in the order of time.
    charge_backs = sorted(found, key=attrgetter("record_us", "case_id"))
    reservation = _reservation(connection, it)
    return Told(it, captures, corrections, reservation, attestations, charge_backs)


def _reservation(connection: Connection, it: Authorization) -> str:
    """The resource name of the reservation that a late pick-up cites; empty for other rentals."""
    if it.start is not Start.LATE_PICKUP:
        return ""
    c = t.late_pickups.c
    same = (c.user_id == it.user_id, c.started_id == it.authorization_id)
    cited = connection.scalar(select(c.authorization_id).where(*same))
    return f"users/{it.user_id}/authorizations/{cited}"
