"""Charge-backs, and money at the rail that matches nothing."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String

from service.domain.suspense import Direction
from service.engine.tables import CHARGE_BACKS, SUSPENSE
from service.storage.schema.columns import CURRENCY, WHOLE, among, not_negative, partial_index
from service.storage.schema.record_tables import of_records

OPEN = "open_minor > 0"
"""Lists are mostly of what is open, which is little."""

charge_backs = of_records(
    CHARGE_BACKS,
    CheckConstraint("amount_minor > 0", "amount_positive"),
    *not_negative("suspense_minor", "open_minor", "overturned_minor", "owed_minor", "held_minor"),
    *not_negative("conceded_minor", "goodwill_minor", "recovered_minor", "overpaid_minor"),
    *not_negative("found_minor", "gone_out_minor", "reopened"),
    CheckConstraint(
        "suspense_minor + open_minor + overturned_minor + owed_minor + held_minor"
        " + conceded_minor + goodwill_minor + recovered_minor + overpaid_minor + found_minor"
        " = amount_minor",
        "amount_has_its_place",
    ),
    CheckConstraint("gone_out_minor <= amount_minor - suspense_minor", "gone_out_within_charged"),
    partial_index("ix_charge_backs_open", OPEN, *("user_id", "authorization_id", "case_id")),
    currency=CURRENCY,
    decide_version=WHOLE,
    changes=WHOLE,
    reopened=WHOLE,
)

suspense = of_records(
    SUSPENSE,
    CheckConstraint("amount_minor > 0", "amount_positive"),
    *not_negative("open_minor", "returned_minor", "matches", "proposed_minor"),
    CheckConstraint("open_minor + returned_minor <= amount_minor", "open_within_amount"),
    CheckConstraint("proposed_minor <= open_minor", "proposed_within_open"),
    CheckConstraint(
        "(proposed_by = '') = (proposed_minor = 0)"
        " AND (proposed_by = '') = (proposed_user_id = '')"
        " AND (proposed_by = '') = (proposed_authorization_id = '')",
        "proposal_is_whole",
    ),
    CheckConstraint(among("direction", Direction), "direction_known"),
    partial_index("ix_suspense_open", OPEN, *("caller", "payment_reference")),
    currency=CURRENCY,
    direction=String(8),
    matches=WHOLE,
    changes=WHOLE,
)
