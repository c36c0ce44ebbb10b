"""Breakers that opened, with the losses that opened them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, String, text

from service.engine.tables import BREAKERS
from service.storage.schema.columns import CURRENCY, WHOLE
from service.storage.schema.record_tables import of_records

OPEN = "close_us IS NULL"

# Triggers refuse to change a row, except that it may be closed once. Servers learn of a new or a
# closed row as of changed terms.
breakers = of_records(
    BREAKERS,
    CheckConstraint("number > 0", "number_positive"),
    CheckConstraint("window_us > 0", "window_positive"),
    CheckConstraint("loss_minor > most_minor AND most_minor >= 0", "beyond_the_bound"),
    CheckConstraint("rentals >= least_rentals AND least_rentals > 0", "enough_rentals"),
    CheckConstraint("since_us >= open_us - window_us AND since_us <= open_us", "within_the_window"),
    CheckConstraint("close_us >= open_us", "closed_after_opened"),
    CheckConstraint("(close_us IS NULL) = (closed_by = '')", "closed_by_somebody"),
    ForeignKeyConstraint(["operator_id"], ["operators.operator_id"]),
    Index(
        "ix_breakers_open",
        *("operator_id", "policy_id", "currency"),
        unique=True,
        sqlite_where=text(OPEN),
        postgresql_where=text(OPEN),
    ),
    currency=CURRENCY,
    policy_revision=WHOLE,
    close_reason=String(200),
)
