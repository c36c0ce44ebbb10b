"""The schema names the oldest build that may run on it; entries name the format of their links.

A server of the build before, started before this migration, goes on writing: its entries get the
default, format 1, in which it makes their links.

Revision: 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEPT = (
    "currency, sequence, transaction_sequence, operator_id, authorization_id, transition, "
    "book, debit, credit, amount_minor, debit_after_minor, credit_after_minor, event_us, "
    "ledger_us, link, link_format"
)
"""The columns of entries that never change."""


def upgrade() -> None:
    op.create_table(
        "compatibility",
        sa.Column("oldest_build", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("oldest_build", name=op.f("pk_compatibility")),
    )
    # Earlier builds do not look; those that were started before this migration go on.
    op.execute("INSERT INTO compatibility (oldest_build) VALUES (6)")
    # Without a CHECK, for which every entry would be read while the servers wait. Verification
    # names a format that nobody knows.
    op.add_column(
        "entries",
        sa.Column("link_format", sa.Integer(), server_default="1", nullable=False),
    )
    _refuse_changes()


def _refuse_changes() -> None:
    """The trigger of 0002 over entries, with the new column."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER entries_append_only ON entries")
        op.execute(
            f"CREATE TRIGGER entries_append_only BEFORE DELETE OR UPDATE OF {KEPT} ON entries "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        return
    op.execute("DROP TRIGGER entries_no_update")
    op.execute(
        f"CREATE TRIGGER entries_no_update BEFORE UPDATE OF {KEPT} ON entries "
        "BEGIN SELECT RAISE(ABORT, 'entries is append-only'); END"
    )
