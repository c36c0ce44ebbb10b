"""Passes of people, and their uses by rentals.

The table of passes is empty, and the CHECKs of the uses of quotas allow more. A build of before
does not know passes and would bill the whole use, so whoever stores the first tariff with a pass
names build 43 in `compatibility`.

Revision: 0044, after 0043.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import widen_check

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

PERIODS = "per = 'DAY' OR per = 'WEEK'"
GIFTS = ("MINUTES_A_DAY", "MINUTES_A_RENTAL", "PERCENT")


def _text(name: str, length: int = 200) -> sa.Column[str]:
    kind = sa.String(length=length)
    if length == 200:
        kind = kind.with_variant(sa.String(length=length, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def _check(name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_passes_{name}"))


def upgrade() -> None:
    op.create_table(
        "passes",
        *map(_text, ("user_id", "operator_id", "pass_id", "product_id")),
        _number("product_revision"),
        _text("name"),
        _text("gives", 16),
        _number("size"),
        _text("time_zone", 64),
        _number("price_minor"),
        _text("currency", 3),
        *map(_number, ("from_us", "until_us")),
        *map(_text, ("authorization_id", "reference", "request_id")),
        _number("record_us"),
        _number("refund_us", nullable=True),
        _text("refund_request_id"),
        *map(_number, ("uses", "changes")),
        _check("gives_known", " OR ".join(f"gives = '{it}'" for it in GIFTS)),
        _check("size_positive", "size > 0"),
        _check("price_positive", "price_minor > 0"),
        _check("ends_later", "from_us < until_us"),
        _check("uses_not_negative", "uses >= 0"),
        _check("only_unused_refunded", "refund_us IS NULL OR uses = 0"),
        _check("refund_is_whole", "(refund_us IS NULL) = (refund_request_id = '')"),
        _check("changes_positive", "changes > 0"),
        sa.PrimaryKeyConstraint("user_id", "operator_id", "pass_id", name=op.f("pk_passes")),
    )
    by_day = f"{PERIODS} OR per = 'MINUTES_A_DAY'"
    widen_check("quotas", "ck_quotas_per_known", PERIODS, by_day)
    any_gift = " OR ".join((PERIODS, *(f"per = '{it}'" for it in GIFTS)))
    widen_check("quota_uses", "ck_quota_uses_per_known", PERIODS, any_gift)
    positive = "minutes > 0"
    share = f"{positive} OR (minutes = 0 AND per = 'PERCENT')"
    widen_check("quota_uses", "ck_quota_uses_minutes_positive", positive, share)
