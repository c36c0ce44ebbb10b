"""Rules of admission: in a policy, and the values that they read in each decision.

The new columns are NULL: policies of before have no rules. A server of the build before decides
without rules, so whoever stores the first rules names build 27 in `compatibility`.

Revision: 0027, after 0026.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("policies", sa.Column("rules", sa.Text(), nullable=True))
    op.add_column("decisions", sa.Column("read_values", sa.Text(), nullable=True))
