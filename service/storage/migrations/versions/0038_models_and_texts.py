"""Models whose features are kept, and texts among the features of people.

Snapshots of before have no texts. A server of the build before neither reads nor writes texts, and
serves no model that needs them: to it they were not sent.

Revision: 0038, after 0037.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    kind = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.add_column(
        "feature_snapshots", sa.Column("texts", sa.Text(), nullable=False, server_default="")
    )
    op.create_table(
        "models",
        _text("model_id"),
        _text("outcome"),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("register_us", sa.BigInteger(), nullable=False),
        _text("registered_by"),
        sa.Column("retire_us", sa.BigInteger(), nullable=True),
        sa.Column("retired_by", sa.String(200), nullable=True),
        sa.Column("reason", sa.String(1000), nullable=False, server_default=""),
        sa.CheckConstraint(
            "retire_us >= register_us", name=op.f("ck_models_retires_after_register")
        ),
        sa.CheckConstraint(
            "(retire_us IS NULL) = (retired_by IS NULL)", name=op.f("ck_models_retired_whole")
        ),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_models")),
    )
