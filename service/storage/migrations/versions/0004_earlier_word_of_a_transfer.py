"""A transfer keeps the word that a late success took the place of.

An older server leaves the columns empty, and may go on writing.

Revision: 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = "transfers"
CHECKS = {
    "only_a_success_is_late": "earlier_state IS NULL OR state = 'SUCCEEDED' OR state = 'RETURNED'",
    "earlier_word_is_whole": "(earlier_state IS NULL) = (earlier_us IS NULL)"
    " AND (earlier_state IS NULL) = (earlier_detail IS NULL)",
}


def upgrade() -> None:
    state = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
    op.add_column(TABLE, sa.Column("earlier_state", state, nullable=True))
    op.add_column(TABLE, sa.Column("earlier_detail", sa.String(512), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.add_column(TABLE, sa.Column("earlier_us", sa.BigInteger(), nullable=True))
        for name, condition in CHECKS.items():
            op.create_check_constraint(op.f(f"ck_{TABLE}_{name}"), TABLE, condition)
        return
    # SQLite takes a CHECK on a table that is there only with a column; else all would be copied.
    checks = [f"CONSTRAINT ck_{TABLE}_{name} CHECK ({it})" for name, it in CHECKS.items()]
    op.execute(f"ALTER TABLE {TABLE} ADD COLUMN earlier_us BIGINT {' '.join(checks)}")
