"""The table of verdicts on reviews."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String

from service.domain.reviews import ReviewReason, Verdict
from service.engine.tables import VERDICTS
from service.storage.schema.columns import among
from service.storage.schema.record_tables import of_records

verdicts = of_records(
    VERDICTS,
    CheckConstraint("authorization_version > 1", "after_the_first_step"),
    CheckConstraint(among("verdict", Verdict), "verdict_known"),
    CheckConstraint(among("reason", ReviewReason), "reason_known"),
    CheckConstraint("reason <> 'NOT_GIVEN' OR reason_text = ''", "text_has_a_reason"),
    CheckConstraint("reason <> 'OTHER' OR reason_text <> ''", "other_reason_told"),
    CheckConstraint("decided_by <> ''", "decided_by_somebody"),
    verdict=String(16),
    reason=String(16),
    reason_text=String(500),
    transition=String(64),
)
