"""Verdicts on reviews: who decided, and why.

The new table is empty. A server of the build before writes none of its rows, so a verdict by such a
server has no reason and no name, as before.

Revision: 0047, after 0046.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

TABLE = "verdicts"
REASONS = (
    *("EXCEPTION", "FRAUD", "HISTORY", "IDENTITY", "INFORMATION"),
    *("MEANS", "NOT_GIVEN", "ORDER", "OTHER"),
)


def _text(name: str, length: int = 200) -> sa.Column[str]:
    kind = sa.String(length=length)
    if length == 200:
        kind = kind.with_variant(sa.String(length=length, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _check(name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{TABLE}_{name}"))


def upgrade() -> None:
    op.create_table(
        TABLE,
        *map(_text, ("user_id", "authorization_id")),
        _number("authorization_version"),
        _text("operator_id"),
        _text("verdict", 16),
        _text("reason", 16),
        _text("reason_text", 500),
        _text("decided_by"),
        _text("transition", 64),
        *map(_number, ("event_us", "record_us")),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        _check("after_the_first_step", "authorization_version > 1"),
        _check("verdict_known", "verdict = 'APPROVED' OR verdict = 'DECLINED'"),
        _check("reason_known", " OR ".join(f"reason = '{it}'" for it in REASONS)),
        _check("text_has_a_reason", "reason <> 'NOT_GIVEN' OR reason_text = ''"),
        _check("other_reason_told", "reason <> 'OTHER' OR reason_text <> ''"),
        _check("decided_by_somebody", "decided_by <> ''"),
        sa.PrimaryKeyConstraint("user_id", "authorization_id", name=op.f(f"pk_{TABLE}")),
    )
