"""Each capture is a row with a purpose, and so is each correction of one.

Amounts that were captured before have no rows: they count as captured for the fee. A server of the
build before goes on writing none, and its captures count in the same way.

Corrections are only ever added, and of a capture only what the operator gave up or the person
disputes changes: the database refuses anything else.

Revision: 0012, after 0011.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ADDED = {
    "captures": sa.Integer(),
    "other_captured_minor": sa.BigInteger(),
    "corrections": sa.Integer(),
    "uncollected_minor": sa.BigInteger(),
}
KEPT = {
    "captures": (
        "authorization_id, number, purpose, amount_minor, business_reference, "
        "authorization_version, event_us, record_us, digest"
    ),
    "corrections": (
        "authorization_id, number, transition, capture, amount_minor, conceded_minor, "
        "disputed_minor, business_reference, reason, authorization_version, event_us, record_us, "
        "digest"
    ),
}
"""The columns of each table that never change; a person who is erased gets another id."""


def _text(name: str) -> sa.Column[str]:
    kind = sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _short(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=False)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def upgrade() -> None:
    for name, kind in ADDED.items():
        # Constants, so that neither database writes every row anew.
        op.add_column("authorizations", sa.Column(name, kind, nullable=False, server_default="0"))
    op.create_table(
        "captures",
        *map(_text, ("user_id", "authorization_id")),
        _whole("number"),
        _short("purpose", 16),
        _number("amount_minor"),
        _short("business_reference", 64),
        *map(_number, ("authorization_version", "event_us", "record_us")),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        *map(_number, ("conceded_minor", "disputed_minor")),
        _check("captures", "number_positive", "number > 0"),
        _check("captures", "amount_positive", "amount_minor > 0"),
        _check("captures", "conceded_minor_not_negative", "conceded_minor >= 0"),
        _check("captures", "disputed_minor_not_negative", "disputed_minor >= 0"),
        _check(
            "captures",
            "given_up_within_captured",
            "conceded_minor + disputed_minor <= amount_minor",
        ),
        _check(
            "captures",
            "purpose_known",
            "purpose = 'DAMAGE' OR purpose = 'FEE' OR purpose = 'PENALTY'",
        ),
        sa.PrimaryKeyConstraint("user_id", "authorization_id", "number", name=op.f("pk_captures")),
    )
    op.create_table(
        "corrections",
        *map(_text, ("user_id", "authorization_id")),
        _whole("number"),
        _short("transition", 64),
        _whole("capture"),
        *map(_number, ("amount_minor", "conceded_minor", "disputed_minor")),
        _short("business_reference", 64),
        _short("reason", 200),
        *map(_number, ("authorization_version", "event_us", "record_us")),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        _check("corrections", "number_positive", "number > 0"),
        _check("corrections", "amount_positive", "amount_minor > 0"),
        _check("corrections", "capture_not_negative", "capture >= 0"),
        _check("corrections", "conceded_minor_not_negative", "conceded_minor >= 0"),
        sa.PrimaryKeyConstraint(
            "user_id", "authorization_id", "number", name=op.f("pk_corrections")
        ),
    )
    for table, columns in KEPT.items():
        op.execute(
            f"CREATE UNIQUE INDEX ix_{table}_business_reference ON {table}"
            " (user_id, authorization_id, business_reference) WHERE business_reference <> ''"
        )
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
