"""Breakers on losses: the openings of each, and an index of the rentals that may have a loss.

The new table is empty. A server of the build before refuses products under a policy with a breaker,
because it does not know this rule. On SQLite the migration reads all authorizations for the index:
calls wait for it, about a second for a million rows. On PostgreSQL the index is built before the
migration, while the servers go on.

Revision: 0040, after 0039.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

BREAKERS = "breakers"
OPEN = "close_us IS NULL"
LOSING = (
    "custody = 'MISSING' OR custody = 'SOLD' OR written_off_minor > 0 OR unheld_dropped_minor > 0"
)
INDEX, COLUMNS = "ix_authorizations_losing", ("operator_id", "authorization_id")
KEPT = (
    "operator_id, number, policy_id, currency, policy_revision, window_us, most_minor, "
    "least_rentals, loss_minor, rentals, since_us, open_us"
)
"""The columns of an opening that never change."""

AHEAD = {INDEX: f"authorizations ({', '.join(COLUMNS)}) WHERE {LOSING}"}
"""The index that PostgreSQL builds before the migration."""
AHEAD_SINCE = "0020"
"""The first schema with all of its columns."""


def _text(name: str, length: int = 200) -> sa.Column[str]:
    kind = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def _check(name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{BREAKERS}_{name}"))


def upgrade() -> None:
    op.create_index(
        INDEX,
        "authorizations",
        list(COLUMNS),
        if_not_exists=True,
        sqlite_where=sa.text(LOSING),
        postgresql_where=sa.text(LOSING),
    )
    op.create_table(
        BREAKERS,
        _text("operator_id"),
        _number("number"),
        _text("policy_id"),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("policy_revision", sa.Integer(), nullable=False),
        *map(_number, ("window_us", "most_minor", "least_rentals", "loss_minor", "rentals")),
        *map(_number, ("since_us", "open_us")),
        sa.Column("close_us", sa.BigInteger(), nullable=True),
        _text("closed_by"),
        sa.Column("close_reason", sa.String(200), nullable=False),
        _check("number_positive", "number > 0"),
        _check("window_positive", "window_us > 0"),
        _check("beyond_the_bound", "loss_minor > most_minor AND most_minor >= 0"),
        _check("enough_rentals", "rentals >= least_rentals AND least_rentals > 0"),
        _check("within_the_window", "since_us >= open_us - window_us AND since_us <= open_us"),
        _check("closed_after_opened", "close_us >= open_us"),
        _check("closed_by_somebody", "(close_us IS NULL) = (closed_by = '')"),
        sa.ForeignKeyConstraint(
            ["operator_id"],
            ["operators.operator_id"],
            name=op.f(f"fk_{BREAKERS}_operator_id"),
        ),
        sa.PrimaryKeyConstraint("operator_id", "number", name=op.f(f"pk_{BREAKERS}")),
    )
    op.create_index(
        "ix_breakers_open",
        BREAKERS,
        ["operator_id", "policy_id", "currency"],
        unique=True,
        sqlite_where=sa.text(OPEN),
        postgresql_where=sa.text(OPEN),
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in _on_postgresql() if postgresql else _on_sqlite():
        op.execute(statement)


def _on_postgresql() -> list[str]:
    change = f"BEFORE DELETE OR UPDATE OF {KEPT} ON {BREAKERS} FOR EACH ROW"
    closed = f"BEFORE UPDATE ON {BREAKERS} FOR EACH ROW WHEN (OLD.close_us IS NOT NULL)"
    empty = f"BEFORE TRUNCATE ON {BREAKERS} FOR EACH STATEMENT"
    noted = f"AFTER INSERT OR UPDATE OR DELETE ON {BREAKERS} FOR EACH ROW"
    note = "EXECUTE FUNCTION note_terms_change('operator_id', 'policy_id')"
    return [
        f"CREATE TRIGGER {BREAKERS}_append_only {change} EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {BREAKERS}_close_once {closed} EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {BREAKERS}_keep_all {empty} EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {BREAKERS}_note {noted} {note}",
        f"ALTER TABLE {BREAKERS} ENABLE ALWAYS TRIGGER {BREAKERS}_note",
    ]


def _on_sqlite() -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{BREAKERS} is append-only'); END"
    closed = f"BEFORE UPDATE ON {BREAKERS} WHEN OLD.close_us IS NOT NULL"
    return [
        f"CREATE TRIGGER {BREAKERS}_no_delete BEFORE DELETE ON {BREAKERS} {refuse}",
        f"CREATE TRIGGER {BREAKERS}_no_update BEFORE UPDATE OF {KEPT} ON {BREAKERS} {refuse}",
        f"CREATE TRIGGER {BREAKERS}_close_once {closed} {refuse}",
        *(
            f"CREATE TRIGGER {BREAKERS}_note_{event.lower()} AFTER {event} ON {BREAKERS} BEGIN"
            " INSERT INTO terms_changes (kind, name, part)"
            f" VALUES ('{BREAKERS}', {row}.operator_id, {row}.policy_id); END"
            for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD"))
        ),
    ]
