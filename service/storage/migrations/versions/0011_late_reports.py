"""Policies say how late an event may be reported, and how long an item is overdue before it is lost.

An item that counts as lost or sold stays in `open_items`, with its kind. Rows of before are of
items in rentals. Items that a server of the build before gave up as lost have no row.

Revision: 0011, after 0010.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WINDOWS = {"report_window_us": "7776000000000", "overdue_window_us": "7200000000"}
"""90 days and 2 hours, for policies of before and for servers that do not write them."""
KINDS = "kind = 'MISSING' OR kind = 'RENTED' OR kind = 'SOLD'"


def upgrade() -> None:
    checks = {f"ck_policies_{name}_not_negative": f"{name} >= 0" for name in WINDOWS}
    text = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
    if op.get_bind().dialect.name == "postgresql":
        for name, default in WINDOWS.items():
            column = sa.Column(name, sa.BigInteger(), nullable=False, server_default=default)
            op.add_column("policies", column)
        for name, condition in checks.items():
            op.create_check_constraint(op.f(name), "policies", condition)
        kind = sa.Column("kind", text, nullable=False, server_default="RENTED")
        op.add_column("open_items", kind)
        op.create_check_constraint(op.f("ck_open_items_kind_known"), "open_items", KINDS)
        return
    # SQLite takes a CHECK on a table that is there only with a column; else all would be copied.
    for name, default in WINDOWS.items():
        check = f"CONSTRAINT ck_policies_{name}_not_negative CHECK ({name} >= 0)"
        op.execute(
            f"ALTER TABLE policies ADD COLUMN {name} BIGINT DEFAULT '{default}' NOT NULL {check}"
        )
    op.execute(
        "ALTER TABLE open_items ADD COLUMN kind VARCHAR(200) DEFAULT 'RENTED' NOT NULL"
        f" CONSTRAINT ck_open_items_kind_known CHECK ({KINDS})"
    )
