"""The beginning of a reservation whose time has a price.

The new column is empty for all authorizations of earlier builds. A server of the build before
refuses a product whose tariff has such a price, because it does not know this key; whoever stores
the first one names build 38 in `compatibility`.

Revision: 0038, after 0037.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("authorizations", sa.Column("reserve_us", sa.BigInteger()))
