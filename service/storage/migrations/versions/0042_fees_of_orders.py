"""The fee of an order: the most that is charged for the usage.

The new column is empty for all authorizations of earlier builds. A running server of the build
before would charge the tariff's fee for an order with a fee of its own; the CHECK keeps it from
that. Whoever stores the first such order names build 42 in `compatibility`.

Revision: 0042, after 0041.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

WITHIN_ORDER = (
    "order_fee_minor IS NULL"
    " OR captured_minor - other_captured_minor - conceded_minor <= order_fee_minor"
    " OR (state = 'SETTLED' AND custody <> 'IN_STATION')"
)


def upgrade() -> None:
    op.add_column("authorizations", sa.Column("order_fee_minor", sa.BigInteger(), nullable=True))
    name = "ck_authorizations_order_fee_minor_not_negative"
    add_check("authorizations", name, "order_fee_minor >= 0")
    add_check("authorizations", "ck_authorizations_fee_within_order", WITHIN_ORDER)
