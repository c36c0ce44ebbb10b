"""The table of decisions that are not the authorization's own."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String

from service.engine.tables import LATER_DECISIONS
from service.storage.schema.columns import CURRENCY
from service.storage.schema.record_tables import of_records

later_decisions = of_records(
    LATER_DECISIONS,
    CheckConstraint("authorization_version > 1", "after_the_first_step"),
    CheckConstraint("transaction_sequence > 0", "sequence_positive"),
    currency=CURRENCY,
    transition=String(64),
)
