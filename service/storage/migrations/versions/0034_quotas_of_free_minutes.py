"""Quotas of free minutes, and their uses by rentals.

Both tables are empty. A build of before does not count quotas and bills the whole use, so whoever
stores the first tariff with a quota names build 34 in `compatibility`.

Revision: 0034, after 0033.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def _text(name: str, length: int = 200) -> sa.Column[str]:
    kind = sa.String(length=length)
    if length == 200:
        kind = kind.with_variant(sa.String(length=length, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def upgrade() -> None:
    known = "per = 'DAY' OR per = 'WEEK'"
    op.create_table(
        "quotas",
        *map(_text, ("user_id", "operator_id", "name")),
        _text("per", 16),
        *map(_number, ("period_us", "most_minutes", "used_minutes", "changes")),
        _check("quotas", "used_within", "used_minutes >= 0 AND used_minutes <= most_minutes"),
        _check("quotas", "per_known", known),
        _check("quotas", "changes_positive", "changes > 0"),
        sa.PrimaryKeyConstraint(
            *("user_id", "operator_id", "name", "per", "period_us"), name=op.f("pk_quotas")
        ),
    )
    later = "returned_version = 0 OR returned_version >= authorization_version"
    op.create_table(
        "quota_uses",
        *map(_text, ("user_id", "authorization_id", "name")),
        _text("per", 16),
        _text("operator_id"),
        *map(_number, ("period_us", "minutes", "authorization_version", "returned_version")),
        _check("quota_uses", "minutes_positive", "minutes > 0"),
        _check("quota_uses", "per_known", known),
        _check("quota_uses", "version_positive", "authorization_version > 0"),
        _check("quota_uses", "returned_later", later),
        sa.PrimaryKeyConstraint(
            *("user_id", "authorization_id", "name", "per"), name=op.f("pk_quota_uses")
        ),
    )
