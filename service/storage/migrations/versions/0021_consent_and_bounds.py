"""Consents to damage charges, the price of a cancellation, and bounds of whole times.

The new columns of terms have values that change nothing: no damage needs consent, a cancellation is
free at any time, and extensions have no bound. The table of consents is empty. A server of the
build before that is running goes on by the old rules. It cannot read a cancelled reservation that
was charged, so it cannot start any more.

Revision: 0021, after 0020.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

POLICIES = ("free_cancellation_us", "longest_reservation_us", "longest_rental_us")


def _text(name: str) -> sa.Column[str]:
    kind = sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def _add(table: str, column: sa.Column[int]) -> None:
    op.add_column(table, column)
    add_check(table, f"ck_{table}_{column.name}_not_negative", f"{column.name} >= 0")


def upgrade() -> None:
    for name in POLICIES:
        _add("policies", sa.Column(name, sa.BigInteger(), nullable=True))
    fee = sa.Column("cancellation_fee_minor", sa.BigInteger(), nullable=False, server_default="0")
    _add("products", fee)
    _add("products", sa.Column("damage_without_consent_minor", sa.BigInteger(), nullable=True))
    op.create_table(
        "consents",
        *map(_text, ("user_id", "authorization_id")),
        sa.Column("authorization_version", sa.BigInteger(), nullable=False),
        *map(_text, ("operator_id", "user_consent_reference")),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("authorization_version > 0", name=op.f("ck_consents_version_positive")),
        sa.CheckConstraint(
            "user_consent_reference <> ''", name=op.f("ck_consents_reference_given")
        ),
        sa.PrimaryKeyConstraint(
            *("user_id", "authorization_id", "authorization_version"), name=op.f("pk_consents")
        ),
    )
    op.execute("INSERT INTO compatibility (oldest_build) VALUES (21)")
