"""The table of users' consents to damage charges."""

from __future__ import annotations

from sqlalchemy import CheckConstraint

from service.engine.tables import CONSENTS
from service.storage.schema.record_tables import of_records

consents = of_records(
    CONSENTS,
    CheckConstraint("authorization_version > 0", "version_positive"),
    CheckConstraint("user_consent_reference <> ''", "reference_given"),
)
