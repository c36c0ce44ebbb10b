"""Indexes for counts of rentals: of a person, of a device and of a payment account.

On SQLite the migration reads all authorizations and all details of orders: calls wait for it, about
a second for a million rows. On PostgreSQL the indexes are built before the migration, while the
servers go on.

Revision: 0031, after 0030.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

OPEN = "state = 'ACTIVE' OR state = 'AUTHORIZED' OR state = 'OVERDUE' OR state = 'RETURN_CLAIMED'"
INDEXES = (
    ("ix_authorizations_open", "authorizations", ("user_id", "authorization_id"), OPEN),
    (
        "ix_authorization_details_device",
        "authorization_details",
        ("device_hash", "authorization_id"),
        "device_hash <> ''",
    ),
    (
        "ix_authorization_details_account",
        "authorization_details",
        ("payment_account_hash", "authorization_id"),
        "payment_account_hash <> ''",
    ),
)

AHEAD = {
    name: f"{table} ({', '.join(columns)}) WHERE {condition}"
    for name, table, columns, condition in INDEXES
}
"""The indexes that PostgreSQL builds before the migration."""
AHEAD_SINCE = "0020"
"""The first schema with all of their columns."""


def upgrade() -> None:
    for name, table, columns, condition in INDEXES:
        where = sa.text(condition)
        op.create_index(
            name,
            table,
            list(columns),
            if_not_exists=True,
            sqlite_where=where,
            postgresql_where=where,
        )
