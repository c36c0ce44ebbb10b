"""A person's row keeps the score that the limit rests on.

A server of the build before leaves the columns as they are, and may go on writing: the version of
the features that it takes shows that the score is an older one's.

Revision: 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLE = "users"
CHECKS = {
    "score_limit_minor_not_negative": "score_limit_minor >= 0",
    "score_of_known_features": "score_version >= 0 AND score_version <= feature_version",
    "score_or_reason": "(score IS NULL) = (score_model_id = '')"
    " AND (score_version = 0 OR (score IS NULL) = (unscorable_reason <> ''))",
}


def upgrade() -> None:
    for column in (
        sa.Column("score_version", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("score_band", sa.String(1), nullable=False, server_default=""),
        sa.Column("score_model_id", sa.String(200), nullable=False, server_default=""),
        sa.Column("score_scale_version", sa.String(200), nullable=False, server_default=""),
        sa.Column("unscorable_reason", sa.String(64), nullable=False, server_default=""),
        sa.Column("unscorable_feature", sa.Text(), nullable=False, server_default=""),
        sa.Column("extrapolated", sa.Text(), nullable=False, server_default=""),
    ):
        op.add_column(TABLE, column)
    if op.get_bind().dialect.name == "postgresql":
        last = sa.Column("score_limit_minor", sa.BigInteger(), nullable=True, server_default="0")
        op.add_column(TABLE, last)
        for name, condition in CHECKS.items():
            op.create_check_constraint(op.f(f"ck_{TABLE}_{name}"), TABLE, condition)
        return
    # SQLite takes a CHECK on a table that is there only with a column; else all would be copied.
    checks = [f"CONSTRAINT ck_{TABLE}_{name} CHECK ({it})" for name, it in CHECKS.items()]
    op.execute(
        f"ALTER TABLE {TABLE} ADD COLUMN score_limit_minor BIGINT DEFAULT '0' {' '.join(checks)}"
    )
