"""Rows of lists are numbered as they arrive, so that no page skips a row that commits late.

On PostgreSQL the database gives each new authorization and transfer a number; rows of before have
0 and stay in the order of their ids. SQLite has one writer and needs no numbers. A server of the
build before goes on writing: its rows are numbered as well.

Revision: 0007, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = ("authorizations", "transfers")
INDEXES = (
    "ix_authorizations_arrival ON authorizations (operator_id, arrival, authorization_id)",
    "ix_authorizations_review_arrival ON authorizations (arrival, authorization_id) WHERE state = 'REVIEW'",
    "ix_transfers_arrival ON transfers (arrival, transfer_id)",
    "ix_transfers_state_arrival ON transfers (state, arrival, transfer_id)",
)


def upgrade() -> None:
    for table in TABLES:
        # A constant, so that PostgreSQL does not write every row anew.
        column = sa.Column("arrival", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
        op.add_column(table, column)
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("CREATE SEQUENCE arrivals")
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN arrival SET DEFAULT nextval('arrivals')")
    for index in INDEXES:
        op.execute(f"CREATE INDEX {index}")
