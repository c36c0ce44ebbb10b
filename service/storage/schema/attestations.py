"""Attestations of rentals: pauses, waivers, and returns without a dock."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String

from service.domain.attestations import AttestationKind, Cause, Source
from service.engine.tables import ATTESTATIONS
from service.storage.schema.columns import WHOLE, among, not_negative
from service.storage.schema.record_tables import of_records

attestations = of_records(
    ATTESTATIONS,
    CheckConstraint("number > 0", "number_positive"),
    *not_negative("pending_minor"),
    CheckConstraint(among("kind", AttestationKind), "kind_known"),
    CheckConstraint(f"cause IS NULL OR {among('cause', Cause)}", "cause_known"),
    CheckConstraint(f"source IS NULL OR {among('source', Source)}", "source_known"),
    CheckConstraint("(until_us IS NOT NULL) = (kind = 'PAUSE')", "pause_has_an_end"),
    CheckConstraint("(amount_minor > 0) = (kind = 'WAIVER')", "waiver_has_an_amount"),
    CheckConstraint("pending_minor <= amount_minor", "pending_within_waived"),
    CheckConstraint(
        "(cause IS NOT NULL) = (kind = 'PAUSE' OR kind = 'WAIVER')"
        " AND (source IS NOT NULL) = (kind = 'PAUSE' OR kind = 'WAIVER')",
        "cause_and_source_of_its_kind",
    ),
    number=WHOLE,
    kind=String(16),
    cause=String(16),
    source=String(16),
)
