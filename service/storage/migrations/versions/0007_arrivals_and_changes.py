"""Rows of lists are numbered as they arrive, and changes of the terms are noted.

On PostgreSQL the database gives each new authorization and transfer a number, so that no page skips
a row that commits late; rows of before have 0 and stay in the order of their ids. SQLite has one
writer and needs no numbers.

Triggers note which terms changed, whoever changes them, so that servers need not read all terms to
learn of it. A server of the build before goes on writing: its rows are numbered and noted as well.

Revision: 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LISTED = ("authorizations", "transfers")
INDEXES = (
    "ix_authorizations_arrival ON authorizations (operator_id, arrival, authorization_id)",
    "ix_authorizations_review_arrival ON authorizations (arrival, authorization_id) WHERE state = 'REVIEW'",
    "ix_transfers_arrival ON transfers (arrival, transfer_id)",
    "ix_transfers_state_arrival ON transfers (state, arrival, transfer_id)",
)
TERMS = {
    "operators": ("operator_id", ""),
    "policies": ("policy_id", "revision"),
    "products": ("operator_id", "product_id"),
    "limit_steps": ("currency", ""),
}
"""The columns by which a change of each table is noted."""


def _text(name: str) -> sa.Column[str]:
    kind = sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "terms_changes",
        sa.Column("change", serial, autoincrement=True, nullable=False),
        *map(_text, ("kind", "name", "part")),
        sa.PrimaryKeyConstraint("change", name=op.f("pk_terms_changes")),
    )
    for table in LISTED:
        # A constant, so that PostgreSQL does not write every row anew.
        column = sa.Column("arrival", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
        op.add_column(table, column)
    if op.get_bind().dialect.name == "postgresql":
        _number_rows()
        _note_changes_on_postgresql()
    else:
        _note_changes_on_sqlite()


def _number_rows() -> None:
    op.execute("CREATE SEQUENCE arrivals")
    for table in LISTED:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN arrival SET DEFAULT nextval('arrivals')")
    for index in INDEXES:
        op.execute(f"CREATE INDEX {index}")


def _note_changes_on_postgresql() -> None:
    # The lock makes whoever changes terms wait for the one before to end: numbers are given in the
    # order of the commits. A restore has no search path, so the table's schema is named.
    op.execute(
        """CREATE FUNCTION note_terms_change() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            note text := format(
                'INSERT INTO %I.terms_changes (kind, name, part) VALUES ($1, $2, $3)',
                TG_TABLE_SCHEMA
            );
            named jsonb;
        BEGIN
            EXECUTE format(
                'LOCK TABLE %I.terms_changes IN SHARE ROW EXCLUSIVE MODE', TG_TABLE_SCHEMA
            );
            IF TG_OP = 'TRUNCATE' THEN
                EXECUTE note USING 'all', '', '';
                RETURN NULL;
            END IF;
            IF TG_OP IN ('UPDATE', 'DELETE') THEN
                named := to_jsonb(OLD);
                EXECUTE note USING
                    TG_TABLE_NAME, named ->> TG_ARGV[0], coalesce(named ->> TG_ARGV[1], '');
            END IF;
            IF TG_OP IN ('UPDATE', 'INSERT') THEN
                named := to_jsonb(NEW);
                EXECUTE note USING
                    TG_TABLE_NAME, named ->> TG_ARGV[0], coalesce(named ->> TG_ARGV[1], '');
            END IF;
            RETURN NULL;
        END $$"""
    )
    for table, (name, part) in TERMS.items():
        run = f"EXECUTE FUNCTION note_terms_change('{name}', '{part}')"
        op.execute(
            f"CREATE TRIGGER {table}_note AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW {run}"
        )
        op.execute(
            f"CREATE TRIGGER {table}_note_all AFTER TRUNCATE ON {table} FOR EACH STATEMENT {run}"
        )
        # Also for whoever turns triggers and foreign keys off.
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_note")
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_note_all")


def _note_changes_on_sqlite() -> None:
    for table, (name, part) in TERMS.items():
        for event, rows in (("INSERT", ["NEW"]), ("DELETE", ["OLD"]), ("UPDATE", ["OLD", "NEW"])):
            notes = " ".join(
                "INSERT INTO terms_changes (kind, name, part) VALUES"
                f" ('{table}', {row}.{name}, {f'{row}.{part}' if part else repr('')});"
                for row in rows
            )
            op.execute(
                f"CREATE TRIGGER {table}_note_{event.lower()} AFTER {event} ON {table} BEGIN {notes} END"
            )
