"""A table for settlements that posted nothing, so that their receipts are found.

Settlements of before have no row, and a server of the build before writes none: GetReceipt says of
them that there is no receipt, as before.

Revision: 0022, after 0021.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

TABLE = "unposted_dockings"
DOCKINGS = (
    *("authorization.claim_accepted", "authorization.handed_over"),
    *("authorization.lost", "authorization.settled"),
)


def _text(name: str) -> sa.Column[str]:
    kind = sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    docks = " OR ".join(f"transition = '{it}'" for it in DOCKINGS)
    op.create_table(
        TABLE,
        *map(_text, ("user_id", "authorization_id")),
        sa.Column("authorization_version", sa.BigInteger(), nullable=False),
        sa.Column("transition", sa.String(64), nullable=False),
        sa.Column("event_us", sa.BigInteger(), nullable=False),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("authorization_version > 0", name=op.f(f"ck_{TABLE}_version_positive")),
        sa.CheckConstraint(docks, name=op.f(f"ck_{TABLE}_transition_docks")),
        sa.PrimaryKeyConstraint(
            *("user_id", "authorization_id", "authorization_version"), name=op.f(f"pk_{TABLE}")
        ),
    )
