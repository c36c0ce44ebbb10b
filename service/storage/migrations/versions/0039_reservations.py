"""The beginning of a reservation whose time has a price.

The new column is empty for all authorizations of earlier builds. A server of the build before
refuses a product whose tariff has such a price, because it does not know this key; whoever stores
the first one names build 39 in `compatibility`.

Revision: 0039, after 0038.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("authorizations", sa.Column("reserve_us", sa.BigInteger()))
