"""Late pick-ups: one row for each expired reservation whose item was picked up in time, and the
start of the rental that cites it.

The table is empty. A server of the build before that is running goes on, and cannot read a rental
that began so; it cannot start any more.

Revision: 0018, after 0017.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import widen_check

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STARTS = "start = 'IMMEDIATE' OR start = 'ON_PICKUP'"


def upgrade() -> None:
    more = "start = 'IMMEDIATE' OR start = 'LATE_PICKUP' OR start = 'ON_PICKUP'"
    widen_check("authorizations", "ck_authorizations_start_known", STARTS, more)
    postgresql = op.get_bind().dialect.name == "postgresql"
    text = sa.String(200, collation="C") if postgresql else sa.String(200)
    op.create_table(
        "late_pickups",
        sa.Column("user_id", text, nullable=False),
        sa.Column("authorization_id", text, nullable=False),
        sa.Column("started_id", text, nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("deposit_minor", sa.BigInteger(), nullable=False),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "deposit_minor >= 0", name=op.f("ck_late_pickups_deposit_minor_not_negative")
        ),
        sa.PrimaryKeyConstraint("user_id", "authorization_id", name=op.f("pk_late_pickups")),
    )
    op.create_index(
        "ix_late_pickups_started_id", "late_pickups", ["user_id", "started_id"], unique=True
    )
    op.execute("INSERT INTO compatibility (oldest_build) VALUES (18)")
