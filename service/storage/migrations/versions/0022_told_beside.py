"""Tables for settlements that posted nothing, and for the decisions of increments.

Settlements and increments of before have no rows, and a server of the build before writes none.
GetReceipt says of such settlements that there is no receipt, as before; entries of such increments
are listed without a decision.

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
DECISIONS = "later_decisions"
KEY = ("user_id", "authorization_id", "authorization_version")
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
        sa.PrimaryKeyConstraint(*KEY, name=op.f(f"pk_{TABLE}")),
    )
    op.create_table(
        DECISIONS,
        *map(_text, ("user_id", "authorization_id")),
        sa.Column("authorization_version", sa.BigInteger(), nullable=False),
        _text("decision_id"),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("transaction_sequence", sa.BigInteger(), nullable=False),
        sa.Column("transition", sa.String(64), nullable=False),
        sa.Column("event_us", sa.BigInteger(), nullable=False),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "authorization_version > 1", name=op.f(f"ck_{DECISIONS}_after_the_first_step")
        ),
        sa.CheckConstraint(
            "transaction_sequence > 0", name=op.f(f"ck_{DECISIONS}_sequence_positive")
        ),
        sa.PrimaryKeyConstraint(*KEY, name=op.f(f"pk_{DECISIONS}")),
    )
