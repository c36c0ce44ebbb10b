"""Late pick-ups of expired reservations."""

from __future__ import annotations

from sqlalchemy import Index

from service.engine.tables import LATE_PICKUPS
from service.storage.schema.columns import not_negative
from service.storage.schema.record_tables import of_records

late_pickups = of_records(
    LATE_PICKUPS,
    *not_negative("deposit_minor"),
    Index("ix_late_pickups_started_id", "user_id", "started_id", unique=True),
)
