"""Bounds of increments: of the whole hold, and of the tries on one authorization.

The new columns are NULL: terms of before have no bounds. The new table is empty. A server of the
build before writes none of its rows, so a rolling upgrade counts only the tries at new servers.

Revision: 0026, after 0025.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLE = "refused_increments"


def _text(name: str, length: int = 200) -> sa.Column[str]:
    kind = sa.String(length=length)
    if length == 200:
        kind = kind.with_variant(sa.String(length=length, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.add_column("policies", sa.Column("most_increments", sa.Integer(), nullable=True))
    add_check("policies", "ck_policies_most_increments_not_negative", "most_increments >= 0")
    op.add_column("products", sa.Column("most_hold_minor", sa.BigInteger(), nullable=True))
    above = "most_hold_minor >= deposit_minor"
    add_check("products", "ck_products_most_hold_above_deposit", above)
    op.create_table(
        TABLE,
        *map(_text, ("user_id", "authorization_id")),
        sa.Column("number", sa.BigInteger(), nullable=False),
        *map(_text, ("caller", "request_id")),
        _text("reason", 64),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f(f"ck_{TABLE}_number_positive")),
        sa.PrimaryKeyConstraint(
            *("user_id", "authorization_id", "number"), name=op.f(f"pk_{TABLE}")
        ),
    )
