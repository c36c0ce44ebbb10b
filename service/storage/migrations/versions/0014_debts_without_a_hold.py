"""Debts without a hold: amounts of authorizations, one row for each business reference, and the
policy's time to pay.

Columns get values with which every row satisfies the new CHECKs. A server of the build before that
is running goes on and books no debt; it would owe a payment of a debt back, so it cannot start any
more.

Revision: 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

AMOUNTS = ("unheld_minor", "unheld_dropped_minor", "unheld_disputed_minor")
WITHIN_BOOKED = (
    "(unheld_minor = 0 AND unheld_dropped_minor + unheld_disputed_minor = 0"
    " AND unheld_until_us IS NULL)"
    " OR (unheld_until_us IS NOT NULL AND state = 'SETTLED' AND parent_id <> ''"
    " AND captured_credit_minor = paid_minor"
    " AND paid_minor + unheld_dropped_minor + unheld_disputed_minor <= unheld_minor)"
)
WINDOW = "debt_window_us"
NINETY_DAYS_US = "7776000000000"


def upgrade() -> None:
    for name in AMOUNTS:
        column = sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        op.add_column("authorizations", column)
    op.add_column("authorizations", sa.Column("unheld_until_us", sa.BigInteger(), nullable=True))
    for name in AMOUNTS:
        add_check("authorizations", f"ck_authorizations_{name}_not_negative", f"{name} >= 0")
    add_check("authorizations", "ck_authorizations_debt_within_booked", WITHIN_BOOKED)
    window = sa.Column(WINDOW, sa.BigInteger(), nullable=False, server_default=NINETY_DAYS_US)
    op.add_column("policies", window)
    add_check("policies", f"ck_policies_{WINDOW}_not_negative", f"{WINDOW} >= 0")
    postgresql = op.get_bind().dialect.name == "postgresql"
    text = sa.String(200, collation="C") if postgresql else sa.String(200)
    op.create_table(
        "debts",
        sa.Column("user_id", text, nullable=False),
        sa.Column("parent_id", text, nullable=False),
        sa.Column("business_reference", text, nullable=False),
        sa.Column("authorization_id", text, nullable=False),
        sa.Column("operator_id", text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("evidence", text, nullable=False),
        sa.Column("user_consent_reference", text, nullable=False),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_debts_amount_positive")),
        sa.PrimaryKeyConstraint(
            *("user_id", "parent_id", "business_reference"), name=op.f("pk_debts")
        ),
    )
    op.execute("INSERT INTO compatibility (oldest_build) VALUES (14)")
