"""Charge-backs get a row for each case of the bank, and money that matches nothing a row of its own.

Both tables are new. A correction may give a concession back if it reopens a charge-back. A server
of the build before knows neither the new kinds of payments nor the account `suspense`: it goes on
with all that it knows, and cannot start any more.

Revision: 0019, after 0018.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import widen_check

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

KINDS = (
    "kind = 'CHARGE_BACK' OR kind = 'DEPOSIT' OR kind = 'ELSEWHERE' OR kind = 'OPERATOR_PAYMENT'"
    " OR kind = 'OPERATOR_PAYOUT' OR kind = 'PAYMENT'"
)
MORE_KINDS = (
    "kind = 'CASE' OR kind = 'CHARGE_BACK' OR kind = 'DEPOSIT' OR kind = 'ELSEWHERE'"
    " OR kind = 'OPERATOR_PAYMENT' OR kind = 'OPERATOR_PAYOUT' OR kind = 'PAYMENT'"
    " OR kind = 'REGAINED' OR kind = 'RETURNED' OR kind = 'UNMATCHED_IN' OR kind = 'UNMATCHED_OUT'"
)
CONCEDED = "conceded_minor >= 0"
CONCEDED_OR_GIVEN_BACK = f"{CONCEDED} OR transition = 'collection.charge_back_reopened'"
PLACES = (
    *("suspense_minor", "open_minor", "overturned_minor", "owed_minor", "held_minor"),
    *("conceded_minor", "goodwill_minor", "recovered_minor", "overpaid_minor", "found_minor"),
)


def upgrade() -> None:
    widen_check("payments", "ck_payments_kind_known", KINDS, MORE_KINDS)
    widen_check(
        "corrections",
        "ck_corrections_conceded_minor_not_negative",
        CONCEDED,
        CONCEDED_OR_GIVEN_BACK,
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    text = sa.String(200, collation="C") if postgresql else sa.String(200)

    def named(*names: str) -> list[sa.Column[str]]:
        return [sa.Column(name, text, nullable=False) for name in names]

    def amounts(*names: str) -> list[sa.Column[int]]:
        return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]

    def whole(*names: str) -> list[sa.Column[int]]:
        return [sa.Column(name, sa.Integer(), nullable=False) for name in names]

    def check(table: str, condition: str, name: str) -> sa.CheckConstraint:
        return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))

    def not_negative(table: str, *names: str) -> list[sa.CheckConstraint]:
        return [check(table, f"{name} >= 0", f"{name}_not_negative") for name in names]

    op.create_table(
        "charge_backs",
        *named("user_id", "authorization_id", "case_id", "caller", "payment"),
        *amounts("amount_minor"),
        sa.Column("currency", sa.String(3), nullable=False),
        *amounts("gone_out_minor", "record_us", *PLACES),
        sa.Column("decide_us", sa.BigInteger(), nullable=True),
        *whole("decide_version", "reopened", "changes"),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        check("charge_backs", "amount_minor > 0", "amount_positive"),
        *not_negative("charge_backs", *PLACES, "gone_out_minor", "reopened"),
        check("charge_backs", f"{' + '.join(PLACES)} = amount_minor", "amount_has_its_place"),
        check(
            "charge_backs",
            "gone_out_minor <= amount_minor - suspense_minor",
            "gone_out_within_charged",
        ),
        sa.PrimaryKeyConstraint(
            *("user_id", "authorization_id", "case_id"), name=op.f("pk_charge_backs")
        ),
    )
    op.create_table(
        "suspense",
        *named("caller", "payment_reference", "user_id", "authorization_id"),
        sa.Column("direction", sa.String(8), nullable=False),
        *amounts("amount_minor"),
        sa.Column("currency", sa.String(3), nullable=False),
        *amounts("record_us", "open_minor", "returned_minor"),
        *whole("matches"),
        *named("proposed_by", "proposed_user_id", "proposed_authorization_id"),
        *amounts("proposed_minor"),
        *whole("changes"),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        check("suspense", "amount_minor > 0", "amount_positive"),
        *not_negative("suspense", "open_minor", "returned_minor", "matches", "proposed_minor"),
        check("suspense", "open_minor + returned_minor <= amount_minor", "open_within_amount"),
        check("suspense", "proposed_minor <= open_minor", "proposed_within_open"),
        check(
            "suspense",
            "(proposed_by = '') = (proposed_minor = 0)"
            " AND (proposed_by = '') = (proposed_user_id = '')"
            " AND (proposed_by = '') = (proposed_authorization_id = '')",
            "proposal_is_whole",
        ),
        check("suspense", "direction = 'IN' OR direction = 'OUT'", "direction_known"),
        sa.PrimaryKeyConstraint("caller", "payment_reference", name=op.f("pk_suspense")),
    )
    for table, columns in (
        ("charge_backs", "user_id, authorization_id, case_id"),
        ("suspense", "caller, payment_reference"),
    ):
        op.execute(f"CREATE INDEX ix_{table}_open ON {table} ({columns}) WHERE open_minor > 0")
    op.execute("INSERT INTO compatibility (oldest_build) VALUES (19)")
