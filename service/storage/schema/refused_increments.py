"""The table of refused increments that were decided on the line."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String

from service.engine.tables import REFUSED_INCREMENTS
from service.storage.schema.record_tables import of_records

refused_increments = of_records(
    REFUSED_INCREMENTS,
    CheckConstraint("number > 0", "number_positive"),
    reason=String(64),
)
