"""The outbox."""

from __future__ import annotations

from sqlalchemy import Column

from service.engine.tables import OUTBOX
from service.storage.schema.columns import SERIAL, NoBytes
from service.storage.schema.record_tables import of_records

outbox = of_records(
    OUTBOX,
    first=[Column("sequence", SERIAL, primary_key=True, autoincrement=True)],
    added={"operator_id": "", "payload": NoBytes()},
)
