"""Scores of features: what the model gave for them, beside the features.

Snapshots of before, and those of a server of the build before, have none: the model scores them in
each call, as before.

Revision: 0043, after 0042.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table = "feature_snapshots"
    for name, kind in (
        ("model_id", sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")),
        ("margin", sa.String(32)),
        ("extrapolated", sa.Text()),
    ):
        op.add_column(table, sa.Column(name, kind, nullable=False, server_default=""))
    op.add_column(table, sa.Column("reasons", sa.Text(), nullable=True))
    add_check(table, "ck_feature_snapshots_margin_of_a_model", "(margin = '') = (model_id = '')")
    alone = "margin <> '' OR (reasons IS NULL AND extrapolated = '')"
    add_check(table, "ck_feature_snapshots_reasons_of_a_margin", alone)
