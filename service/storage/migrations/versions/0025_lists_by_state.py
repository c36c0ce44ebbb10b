"""An index for lists of an operator's authorizations in one state.

On SQLite the migration reads all authorizations: calls wait for it, about a second for a million
rows. On PostgreSQL the index is built before the migration, while the servers go on. There it takes
the place of an index that no build which may run on this schema uses: their lists are in the order
of arrival.

Revision: 0025, after 0023.
"""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

ON_POSTGRESQL = "ix_authorizations_state_arrival"
COLUMNS = "authorizations (operator_id, state, arrival, authorization_id)"

AHEAD = {ON_POSTGRESQL: COLUMNS}
"""The indexes that PostgreSQL builds before the migration."""
AHEAD_SINCE = "0007"
"""The first schema with all of their columns."""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE INDEX IF NOT EXISTS {ON_POSTGRESQL} ON {COLUMNS}")
        op.execute("DROP INDEX ix_authorizations_operator_id")
    else:
        op.create_index(
            "ix_authorizations_state",
            "authorizations",
            ["operator_id", "state", "authorization_id"],
        )
