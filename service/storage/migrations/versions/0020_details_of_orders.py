"""Tables for details of orders, and for lapses: steps that time alone took.

Authorizations of before have none, and a server of the build before writes none: it does not know
the fields of the requests, and the list of what time ended begins with this build.

Revision: 0020, after 0019.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

LAPSES = (
    *("CLAIM_ACCEPTED", "DAMAGE_CHARGE_ENDED", "DEBT_DROPPED", "LOST", "OFFER_EXPIRED"),
    *("PICKUP_EXPIRED", "RETURN_PRESUMED", "REVIEW_EXPIRED", "SOLD"),
)
TABLE = "authorization_details"
TEXTS = ("user_id", "authorization_id", "operator_id", "order_reference")
MORE_TEXTS = ("device_hash", "payment_account_hash", "rail_account", "time_zone")
PLACES = ("start_station", "start_condition", "end_station", "end_condition")


def _text(name: str) -> sa.Column[str]:
    kind = sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.create_table(
        TABLE,
        *map(_text, TEXTS),
        sa.Column("labels", sa.Text(), nullable=False),
        *map(_text, MORE_TEXTS),
        sa.Column("price_hash", sa.String(64), nullable=False),
        *map(_text, PLACES),
        sa.Column("authorization_version", sa.BigInteger(), nullable=False),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("authorization_version > 0", name=op.f(f"ck_{TABLE}_version_positive")),
        sa.PrimaryKeyConstraint("user_id", "authorization_id", name=op.f(f"pk_{TABLE}")),
    )
    kinds = " OR ".join(f"lapse = '{it}'" for it in LAPSES)
    op.create_table(
        "lapses",
        *map(_text, ("user_id", "authorization_id")),
        sa.Column("authorization_version", sa.BigInteger(), nullable=False),
        sa.Column("lapse", sa.String(32), nullable=False),
        _text("operator_id"),
        sa.Column("transition", sa.String(64), nullable=False),
        sa.Column("event_us", sa.BigInteger(), nullable=False),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(kinds, name=op.f("ck_lapses_lapse_known")),
        sa.PrimaryKeyConstraint(
            *("user_id", "authorization_id", "authorization_version"), name=op.f("pk_lapses")
        ),
    )
    op.create_index("ix_lapses_operator", "lapses", ["operator_id", "lapse", "authorization_id"])
    told = sa.text("order_reference <> ''")
    op.create_index(
        f"ix_{TABLE}_order",
        TABLE,
        ["operator_id", "order_reference", "authorization_id"],
        sqlite_where=told,
        postgresql_where=told,
    )
