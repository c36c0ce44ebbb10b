"""Listings of users, devices and payment accounts.

The new tables are empty. The first listing adds a row to `compatibility`, because a server of the
build before follows no listings.

Revision: 0030, after 0029.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

LISTINGS, KINDS = "listings", "listing_kinds"
KEPT = (
    "owner, number, effect, kind, subject, rules, policy_id, reason, create_us, created_by, "
    "expire_us"
)
"""The columns of a listing that never change."""


def _text(name: str, length: int = 200) -> sa.Column[str]:
    kind = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def _instant(name: str, *, nullable: bool = True) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _check(name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{LISTINGS}_{name}"))


def upgrade() -> None:
    op.create_table(
        LISTINGS,
        _text("owner"),
        sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("effect", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        _text("subject"),
        _text("rules", 2000),
        *map(_text, ("policy_id", "reason")),
        _instant("create_us", nullable=False),
        _text("created_by"),
        *map(_instant, ("expire_us", "end_us")),
        *map(_text, ("ended_by", "end_reason")),
        _check("number_positive", "number > 0"),
        _check("effect_known", "effect = 'ALLOW' OR effect = 'DENY'"),
        _check(
            "kind_known",
            "kind = 'DEVICE' OR kind = 'EVERYBODY' OR kind = 'PAYMENT_ACCOUNT' OR kind = 'USER'",
        ),
        _check("allow_names_rules", "(effect = 'ALLOW') = (rules <> '')"),
        _check("subject_given", "(kind = 'EVERYBODY') = (subject = '')"),
        _check("everybody_ends", "kind <> 'EVERYBODY' OR expire_us IS NOT NULL"),
        _check("expires_after_create", "expire_us > create_us"),
        _check("ends_after_create", "end_us >= create_us"),
        _check("end_whole", "(end_us IS NULL) = (ended_by = '')"),
        sa.PrimaryKeyConstraint("owner", "number", name=op.f(f"pk_{LISTINGS}")),
    )
    op.create_index("ix_listings_subject", LISTINGS, ["owner", "kind", "subject"])
    op.create_table(
        KINDS,
        *map(_text, ("owner", "kind")),
        sa.PrimaryKeyConstraint("owner", "kind", name=op.f(f"pk_{KINDS}")),
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in _on_postgresql() if postgresql else _on_sqlite():
        op.execute(statement)


def _on_postgresql() -> list[str]:
    change = f"BEFORE DELETE OR UPDATE OF {KEPT} ON {LISTINGS} FOR EACH ROW"
    ended = f"BEFORE UPDATE ON {LISTINGS} FOR EACH ROW WHEN (OLD.end_us IS NOT NULL)"
    empty = f"BEFORE TRUNCATE ON {LISTINGS} FOR EACH STATEMENT"
    note = "EXECUTE FUNCTION note_terms_change('owner', 'kind')"
    return [
        f"CREATE TRIGGER {LISTINGS}_append_only {change} EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {LISTINGS}_end_once {ended} EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {LISTINGS}_keep_all {empty} EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {KINDS}_note AFTER INSERT OR UPDATE OR DELETE ON {KINDS} FOR EACH ROW {note}",
        f"CREATE TRIGGER {KINDS}_note_all AFTER TRUNCATE ON {KINDS} FOR EACH STATEMENT {note}",
        f"ALTER TABLE {KINDS} ENABLE ALWAYS TRIGGER {KINDS}_note",
        f"ALTER TABLE {KINDS} ENABLE ALWAYS TRIGGER {KINDS}_note_all",
    ]


def _on_sqlite() -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{LISTINGS} is append-only'); END"
    ended = f"BEFORE UPDATE ON {LISTINGS} WHEN OLD.end_us IS NOT NULL"
    notes = {
        event: " ".join(
            f"INSERT INTO terms_changes (kind, name, part) VALUES ('{KINDS}', {row}.owner, {row}.kind);"
            for row in rows
        )
        for event, rows in (("INSERT", ["NEW"]), ("DELETE", ["OLD"]), ("UPDATE", ["OLD", "NEW"]))
    }
    return [
        f"CREATE TRIGGER {LISTINGS}_no_delete BEFORE DELETE ON {LISTINGS} {refuse}",
        f"CREATE TRIGGER {LISTINGS}_no_update BEFORE UPDATE OF {KEPT} ON {LISTINGS} {refuse}",
        f"CREATE TRIGGER {LISTINGS}_end_once {ended} {refuse}",
        *(
            f"CREATE TRIGGER {KINDS}_note_{event.lower()} AFTER {event} ON {KINDS} BEGIN {text} END"
            for event, text in notes.items()
        ),
    ]
