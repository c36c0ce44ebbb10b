"""The table of lapses: steps by which time alone ended or decided something."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, String

from service.domain.lapses import Lapse
from service.engine.tables import LAPSES
from service.storage.schema.columns import among
from service.storage.schema.record_tables import of_records

lapses = of_records(
    LAPSES,
    CheckConstraint(among("lapse", Lapse), "lapse_known"),
    Index("ix_lapses_operator", "operator_id", "lapse", "authorization_id"),
    lapse=String(32),
    transition=String(64),
)
