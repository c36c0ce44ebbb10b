"""Cases, and the evidence of their sides."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, String, text

from service.domain.cases import PLATFORM_ONLY, CaseKind, CaseState, Outcome, Side
from service.engine.tables import CASES, EVIDENCE
from service.storage.schema.columns import (
    ARRIVAL,
    CURRENCY,
    WHOLE,
    among,
    arrival_column,
    not_negative,
    numbered_index,
    partial_index,
)
from service.storage.schema.record_tables import of_records

WAITS = "state = 'OPEN'"
ONE_OPEN = text(f"{WAITS} AND " + " AND ".join(f"kind <> '{it}'" for it in sorted(PLATFORM_ONLY)))
"""An authorization has one open case of each kind."""

cases = of_records(
    CASES,
    CheckConstraint(among("kind", CaseKind), "kind_known"),
    CheckConstraint(among("state", CaseState), "state_known"),
    CheckConstraint(among("opened_by", Side), "opened_by_known"),
    CheckConstraint(among("waits_for", Side), "waits_for_known"),
    CheckConstraint(f"outcome IS NULL OR {among('outcome', Outcome)}", "outcome_known"),
    CheckConstraint(
        "(state <> 'OPEN' OR (outcome IS NULL AND close_us IS NULL AND close_version = 0"
        " AND granted_minor = 0 AND closed_by = ''))"
        " AND (state <> 'CLOSED' OR (outcome IS NOT NULL AND close_us IS NOT NULL))",
        "outcome_at_the_end",
    ),
    *not_negative("asked_minor", "granted_minor", "open_version", "close_version", "evidence"),
    CheckConstraint("version > 0", "version_positive"),
    Index(
        "ix_cases_open_kind",
        *("user_id", "authorization_id", "kind"),
        unique=True,
        sqlite_where=ONE_OPEN,
        postgresql_where=ONE_OPEN,
    ),
    # It begins with the state, or SQLite takes the index of a state and sorts all open cases.
    partial_index(
        "ix_cases_due_us",
        WAITS,
        *("state", "due_us", "user_id", "authorization_id", "case_id"),
    ),
    # Lists are of one state: few cases are open.
    Index("ix_cases_state", "state", "case_id"),
    Index("ix_cases_operator_id", "operator_id", "state", "case_id"),
    numbered_index("ix_cases_arrival", "state", ARRIVAL, "case_id"),
    numbered_index("ix_cases_operator_arrival", "operator_id", "state", ARRIVAL, "case_id"),
    kind=String(24),
    opened_by=String(16),
    state=String(16),
    waits_for=String(16),
    outcome=String(16),
    currency=CURRENCY,
    open_version=WHOLE,
    close_version=WHOLE,
    evidence=WHOLE,
    version=WHOLE,
    last=[arrival_column()],
)

case_evidence = of_records(
    EVIDENCE,
    CheckConstraint("number > 0", "number_positive"),
    CheckConstraint(among("side", Side), "side_known"),
    number=WHOLE,
    side=String(16),
    text=String(1000),
)
