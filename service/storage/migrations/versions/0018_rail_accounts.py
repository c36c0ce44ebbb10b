"""Rail accounts, under the names that operators and the platform give them.

Servers of earlier builds that are running go on: they count each reference in its caller's default
account, as all did. They do not know that operators may share an account, so they cannot start any
more.

Revision: 0018, after 0016.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    text = sa.String(200, collation="C") if postgresql else sa.String(200)
    op.create_table(
        "rail_accounts",
        sa.Column("caller", text, nullable=False),
        sa.Column("name", text, nullable=False),
        sa.Column("owner", text, nullable=False),
        sa.Column("account", text, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("label", text, nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(owner = caller AND account = name) OR (owner = 'platform' AND caller <> 'platform')",
            name=op.f("ck_rail_accounts_others_use_the_platforms"),
        ),
        sa.CheckConstraint(
            "owner <> caller OR name <> 'default'",
            name=op.f("ck_rail_accounts_a_default_is_shared"),
        ),
        sa.PrimaryKeyConstraint("caller", "name", name=op.f("pk_rail_accounts")),
    )
    op.create_index("ix_rail_accounts_account", "rail_accounts", ["owner", "account"])
    op.execute("INSERT INTO compatibility (oldest_build) VALUES (18)")
