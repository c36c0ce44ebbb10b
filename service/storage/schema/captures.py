"""Captures of authorizations, and corrections of them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, String, text

from service.domain.captures import Purpose
from service.domain.transitions import Transition
from service.engine.tables import CAPTURES, CORRECTIONS
from service.storage.schema.columns import WHOLE, among, not_negative
from service.storage.schema.record_tables import of_records

REFERRED = text("business_reference <> ''")


def _once(table: str) -> Index:
    """A business reference is used once for a rental."""
    columns = ("user_id", "authorization_id", "business_reference")
    name = f"ix_{table}_business_reference"
    return Index(name, *columns, unique=True, sqlite_where=REFERRED, postgresql_where=REFERRED)


captures = of_records(
    CAPTURES,
    CheckConstraint("number > 0", "number_positive"),
    CheckConstraint("amount_minor > 0", "amount_positive"),
    *not_negative("conceded_minor", "disputed_minor"),
    CheckConstraint("conceded_minor + disputed_minor <= amount_minor", "given_up_within_captured"),
    CheckConstraint(among("purpose", Purpose), "purpose_known"),
    _once("captures"),
    number=WHOLE,
    purpose=String(16),
    business_reference=String(64),
)

corrections = of_records(
    CORRECTIONS,
    CheckConstraint("number > 0", "number_positive"),
    CheckConstraint("amount_minor > 0", "amount_positive"),
    *not_negative("capture"),
    CheckConstraint(
        f"conceded_minor >= 0 OR transition = '{Transition.CHARGE_BACK_REOPENED}'",
        "conceded_minor_not_negative",
    ),
    _once("corrections"),
    number=WHOLE,
    transition=String(64),
    capture=WHOLE,
    business_reference=String(64),
    reason=String(200),
)
