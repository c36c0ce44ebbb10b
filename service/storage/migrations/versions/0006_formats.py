"""The schema names the oldest build that may run on it.

Revision: 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "compatibility",
        sa.Column("oldest_build", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("oldest_build", name=op.f("pk_compatibility")),
    )
    # Earlier builds do not look; those that were started before this migration go on.
    op.execute("INSERT INTO compatibility (oldest_build) VALUES (6)")
