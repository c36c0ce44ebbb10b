"""Money owed back goes out by itself, and operators have a bound on what they may owe.

Policies get the time after which a refund goes out, 24 hours for those that are there.
Authorizations of before, and those that a server of the build before makes, get no such time: their
refunds wait for PayOutRefund as before. Operators get the default bound.

Revision: 0013, after 0012.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

DAY_US = 86_400_000_000
DEBT_LIMIT_MINOR = 100_000
CHECKED = (
    ("policies", "refund_after_us", str(DAY_US)),
    ("operators", "debt_limit_minor", str(DEBT_LIMIT_MINOR)),
)


def upgrade() -> None:
    for name in ("refund_after_us", "refund_since_us"):
        op.add_column("authorizations", sa.Column(name, sa.BigInteger(), nullable=True))
    tries = sa.Column("refund_tries", sa.Integer(), nullable=False, server_default="0")
    op.add_column("authorizations", tries)
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, name, default in CHECKED:
        check = f"{name} >= 0"
        if postgresql:
            column = sa.Column(name, sa.BigInteger(), nullable=True, server_default=default)
            op.add_column(table, column)
            op.create_check_constraint(op.f(f"ck_{table}_{name}_not_negative"), table, check)
            continue
        # SQLite takes a CHECK on a table that is there only with a column. Both tables are small.
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN {name} BIGINT DEFAULT '{default}'"
            f" CONSTRAINT ck_{table}_{name}_not_negative CHECK ({check})"
        )
