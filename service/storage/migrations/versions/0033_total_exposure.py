"""The rates of a total exposure over a person's lines in several currencies.

The new table is empty: each line is by itself, as before. A server of the build before does not know
the total, so whoever stores the first rate names build 33 in `compatibility`.

Revision: 0033, after 0032.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

TABLE = "exposure_rates"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column(
            "currency",
            sa.String(length=3).with_variant(sa.String(length=3, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("total_currency", sa.String(length=3), nullable=False),
        sa.Column("worth_minor", sa.BigInteger(), nullable=False),
        sa.Column("of_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("currency <> total_currency", name=op.f(f"ck_{TABLE}_rate_of_another")),
        sa.CheckConstraint(
            "worth_minor > 0 AND of_minor > 0", name=op.f(f"ck_{TABLE}_rate_positive")
        ),
        sa.PrimaryKeyConstraint("currency", name=op.f(f"pk_{TABLE}")),
    )
    if op.get_bind().dialect.name == "postgresql":
        _note_changes_on_postgresql()
    else:
        _note_changes_on_sqlite()


def _note_changes_on_postgresql() -> None:
    run = "EXECUTE FUNCTION note_terms_change('currency', '')"
    op.execute(
        f"CREATE TRIGGER {TABLE}_note AFTER INSERT OR UPDATE OR DELETE ON {TABLE} FOR EACH ROW {run}"
    )
    op.execute(
        f"CREATE TRIGGER {TABLE}_note_all AFTER TRUNCATE ON {TABLE} FOR EACH STATEMENT {run}"
    )
    op.execute(f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {TABLE}_note")
    op.execute(f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {TABLE}_note_all")


def _note_changes_on_sqlite() -> None:
    for event, rows in (("INSERT", ["NEW"]), ("DELETE", ["OLD"]), ("UPDATE", ["OLD", "NEW"])):
        notes = " ".join(
            f"INSERT INTO terms_changes (kind, name, part) VALUES ('{TABLE}', {row}.currency, '');"
            for row in rows
        )
        op.execute(
            f"CREATE TRIGGER {TABLE}_note_{event.lower()} AFTER {event} ON {TABLE} BEGIN {notes} END"
        )
