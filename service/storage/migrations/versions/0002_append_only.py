"""Entries and seals are only ever added.

Nothing that the server does changes or removes one; from here on the database refuses it as well.
Only the person's id may be changed, which no link covers: whoever is erased gets another name.

Revision: 0002; after 0001.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEPT = {
    "entries": (
        "currency, sequence, transaction_sequence, operator_id, authorization_id, transition, "
        "book, debit, credit, amount_minor, debit_after_minor, credit_after_minor, event_us, "
        "ledger_us, link"
    ),
    "seals": "number, previous, digest, signature, key_id, seal_us, outbox_sequence",
    "sealed_heads": "currency, number, version, head",
}
"""The columns of each table that never change."""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = '23514'; "
            "END $$"
        )
    for table, columns in KEPT.items():
        for statement in _statements(table, columns):
            op.execute(statement)


def _statements(table: str, columns: str) -> list[str]:
    if op.get_bind().dialect.name == "postgresql":
        change = f"BEFORE DELETE OR UPDATE OF {columns} ON {table} FOR EACH ROW"
        empty = f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT"
        return [
            f"CREATE TRIGGER {table}_append_only {change} EXECUTE FUNCTION refuse_change()",
            f"CREATE TRIGGER {table}_keep_all {empty} EXECUTE FUNCTION refuse_change()",
        ]
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    return [
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE OF {columns} ON {table} {refuse}",
    ]


def downgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    suffixes = ("append_only", "keep_all") if postgresql else ("no_delete", "no_update")
    for table in KEPT:
        for suffix in suffixes:
            on = f" ON {table}" if postgresql else ""
            op.execute(f"DROP TRIGGER {table}_{suffix}{on}")
    if postgresql:
        op.execute("DROP FUNCTION refuse_change()")
