"""The rate of a key, and the withdrawal of a proposal.

Both columns are NULL: keys of before have the server's rate, and no proposal was withdrawn. The
first use of either adds a row to `compatibility`, because a server of the build before would not
follow it.

Revision: 0036, after 0035.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("units_a_second", sa.Integer(), nullable=True))
    add_check("api_keys", "ck_api_keys_units_not_negative", "units_a_second >= 0")
    op.add_column("proposals", sa.Column("withdraw_us", sa.BigInteger(), nullable=True))
    add_check(
        "proposals",
        "ck_proposals_withdrawn_unused",
        "withdraw_us IS NULL OR (use_us IS NULL AND withdraw_us >= create_us"
        " AND withdraw_us < expire_us)",
    )
