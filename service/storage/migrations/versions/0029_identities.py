"""The keyed hash of a person's identity, with which an operator's own check is compared.

It is empty for the people of before. A server of the build before leaves it as it is.

Revision: 0029, after 0028.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "users", sa.Column("identity_hash", sa.String(length=64), nullable=False, server_default="")
    )
