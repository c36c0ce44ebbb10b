"""Names of line items: a product's terms may list the names that the lines of a bill may have.

The new column is NULL: terms of before allow every name. A server of the build before does not look
at it, so it accepts lines that the list does not name.

Revision: 0028, after 0027.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text = sa.String(length=4000)
    text = text.with_variant(sa.String(length=4000, collation="C"), "postgresql")
    op.add_column("products", sa.Column("line_items", text, nullable=True))
    add_check("products", "ck_products_line_items_are_a_list", "line_items LIKE '[\"%\"]'")
