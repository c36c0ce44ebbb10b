"""Decisions name the feature for which nobody was scored, and those that were extrapolated.

Revision: 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With defaults, so that a server of the build before goes on writing.
    for name in ("unscorable_feature", "extrapolated"):
        op.add_column("decisions", sa.Column(name, sa.Text(), nullable=False, server_default=""))
