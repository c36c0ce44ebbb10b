"""Events carry their operator and the authorization as it stood, so that they tell all alone.

A server of the build before leaves both empty, and may go on writing. So are those of events that
were written before.

Revision: 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLE = "outbox"


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    text = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
    # Constants, so that neither database writes every row anew. '' is a text on SQLite.
    nothing = sa.text(r"'\x'" if postgresql else "x''")
    op.add_column(TABLE, sa.Column("operator_id", text, nullable=False, server_default=""))
    op.add_column(
        TABLE, sa.Column("payload", sa.LargeBinary(), nullable=False, server_default=nothing)
    )
