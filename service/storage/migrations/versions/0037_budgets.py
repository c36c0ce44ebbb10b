"""Budgets of exposure: the account of each, and the leases of servers.

The new tables are empty. A server of the build before refuses products under a policy with a budget,
because it does not know this rule.

Revision: 0037, after 0036.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

ACCOUNTS, LEASES = "budget_accounts", "budget_leases"
KEY = ("operator_id", "policy_id", "currency", "period")


def _text(name: str) -> sa.Column[str]:
    kind = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def _key() -> list[sa.Column[str]]:
    currency = sa.Column("currency", sa.String(3), nullable=False)
    return [currency if name == "currency" else _text(name) for name in KEY]


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def upgrade() -> None:
    op.create_table(
        ACCOUNTS,
        *_key(),
        *map(_number, ("most_minor", "granted_minor", "folded_minor", "version")),
        _check(ACCOUNTS, "most_minor_not_negative", "most_minor >= 0"),
        _check(ACCOUNTS, "within_budget", "granted_minor <= most_minor"),
        _check(ACCOUNTS, "version_positive", "version > 0"),
        sa.ForeignKeyConstraint(
            ["operator_id"],
            ["operators.operator_id"],
            name=op.f(f"fk_{ACCOUNTS}_operator_id"),
        ),
        sa.PrimaryKeyConstraint(*KEY, name=op.f(f"pk_{ACCOUNTS}")),
    )
    op.create_table(
        LEASES,
        *_key(),
        _text("server_id"),
        *map(_number, ("granted_minor", "net_minor", "reserve_minor", "change_us", "version")),
        _check(LEASES, "within_grant", "net_minor <= granted_minor"),
        _check(LEASES, "reserve_bounded", "granted_minor - net_minor <= reserve_minor"),
        _check(LEASES, "version_positive", "version > 0"),
        sa.ForeignKeyConstraint(
            KEY,
            [f"{ACCOUNTS}.{name}" for name in KEY],
            name=op.f(f"fk_{LEASES}_operator_id"),
        ),
        sa.PrimaryKeyConstraint(*KEY, "server_id", name=op.f(f"pk_{LEASES}")),
    )
