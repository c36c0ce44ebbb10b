"""Persons behind keys, labels and expiries of keys, the record of administrative acts, and approvals.

Keys of before have no person, no label and no expiry, and go on as they are. A server or a command
of the build before reads and writes keys as before: it does not know of expiries, and its acts are
not in the record.

Revision: 0024, after 0023.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

KEPT = {
    "audit": (
        "owner, number, record_us, act, subject, details, by_owner, by_key_id, by_person_id, "
        "by_user, request_id, proposal, approved_by"
    ),
    "proposals": (
        "owner, number, method, request, proposed_by, proposer_key_id, reason, create_us, expire_us"
    ),
}
"""The columns of each table that never change."""


def _text(name: str, length: int = 200) -> sa.Column[str]:
    kind = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _instant(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=True)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def upgrade() -> None:
    _extend_keys()
    op.create_table(
        "persons",
        *map(_text, ("owner", "person_id", "name")),
        _number("create_us"),
        _text("created_by"),
        _instant("leave_us"),
        sa.Column("left_by", sa.String(200), nullable=True),
        _check("persons", "name_given", "name <> ''"),
        _check("persons", "leaves_after_create", "leave_us >= create_us"),
        _check("persons", "left_whole", "(leave_us IS NULL) = (left_by IS NULL)"),
        _key("persons", "owner", "person_id"),
    )
    op.create_table(
        "audit_heads",
        _text("owner"),
        _number("number"),
        _check("audit_heads", "number_not_negative", "number >= 0"),
        _key("audit_heads", "owner"),
    )
    op.create_table(
        "audit",
        _text("owner"),
        sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
        _number("record_us"),
        *map(_text, ("act", "subject")),
        sa.Column("details", sa.Text(), nullable=False),
        *map(_text, ("by_owner", "by_key_id", "by_person_id", "by_user", "request_id")),
        _number("proposal"),
        _text("approved_by"),
        _check("audit", "number_positive", "number > 0"),
        _check("audit", "one_acts", "(by_key_id = '') <> (by_user = '')"),
        _check("audit", "approved_by_another", "approved_by = '' OR approved_by <> by_person_id"),
        _check("audit", "approval_whole", "(proposal = 0) = (approved_by = '')"),
        _key("audit", "owner", "number"),
    )
    op.create_table(
        "proposals",
        _text("owner"),
        sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
        _text("method"),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        *map(_text, ("proposed_by", "proposer_key_id")),
        _text("reason", 500),
        *map(_number, ("create_us", "expire_us")),
        *map(_text, ("approved_by", "approver_key_id")),
        *map(_instant, ("approve_us", "use_us")),
        _check("proposals", "proposer_given", "proposed_by <> ''"),
        _check("proposals", "approver_is_another", "approved_by <> proposed_by"),
        _check("proposals", "expires_after_create", "expire_us > create_us"),
        _check("proposals", "approval_whole", "(approve_us IS NULL) = (approved_by = '')"),
        _check(
            "proposals",
            "approved_in_time",
            "approve_us >= create_us AND approve_us < expire_us",
        ),
        _check(
            "proposals",
            "used_in_time",
            "use_us IS NULL OR (approve_us IS NOT NULL AND use_us >= approve_us"
            " AND use_us < expire_us)",
        ),
        _key("proposals", "owner", "number"),
    )
    for table, columns in KEPT.items():
        for statement in _triggers(table, columns):
            op.execute(statement)


def _extend_keys() -> None:
    label = sa.Column("label", sa.String(200), nullable=False, server_default="")
    for column in (
        sa.Column("person_id", sa.String(200), nullable=True),
        label,
        _instant("expire_us"),
        _instant("last_use_us"),
        sa.Column("revoked_by", sa.String(200), nullable=True),
    ):
        op.add_column("api_keys", column)
    add_check("api_keys", "ck_api_keys_expires_after_create", "expire_us > create_us")


def _triggers(table: str, columns: str) -> list[str]:
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
