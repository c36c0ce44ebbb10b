"""The tables of quotas of free minutes, and of the uses of quotas and passes by rentals."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String

from service.engine.tables import QUOTA_USES, QUOTAS
from service.storage.schema.record_tables import of_records

quotas = of_records(
    QUOTAS,
    CheckConstraint("used_minutes >= 0 AND used_minutes <= most_minutes", "used_within"),
    CheckConstraint("per = 'DAY' OR per = 'WEEK' OR per = 'MINUTES_A_DAY'", "per_known"),
    CheckConstraint("changes > 0", "changes_positive"),
    per=String(16),
)
quota_uses = of_records(
    QUOTA_USES,
    # A share of the fee is no minutes.
    CheckConstraint("minutes > 0 OR (minutes = 0 AND per = 'PERCENT')", "minutes_positive"),
    CheckConstraint(
        "per = 'DAY' OR per = 'WEEK' OR per = 'MINUTES_A_DAY' OR per = 'MINUTES_A_RENTAL'"
        " OR per = 'PERCENT'",
        "per_known",
    ),
    CheckConstraint("authorization_version > 0", "version_positive"),
    CheckConstraint(
        "returned_version = 0 OR returned_version >= authorization_version", "returned_later"
    ),
    per=String(16),
)
