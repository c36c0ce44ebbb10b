"""Tariffs of arithmetic 2: segments, caps of windows, prices by the time of day.

The new column is NULL: products of before have tariffs of arithmetic 1. A product with the new
column has so many minutes of an interval that a build of before takes its row for a slip. So such a
build refuses the product, and does not bill it by arithmetic 1. Whoever stores the first such
tariff names build 32 in `compatibility`.

Revision: 0032, after 0031.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("products", sa.Column("tariff", sa.Text(), nullable=True))
    refused = "tariff IS NULL OR interval_minutes = 2147483647"
    add_check("products", "ck_products_tariff_of_arithmetic_2", refused)
