"""Attestations of rentals: pauses, waivers and returns without a dock.

A rental has the length of its pauses, and a policy has the bounds of pauses. Columns get values with
which every row satisfies the new CHECKs. A server of the build before that is running goes on, and
attests nothing. It would charge for the time of a pause, so it cannot start any more.

Revision: 0016, after 0015.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

BOUNDS = {"pause_limit_us": (sa.BigInteger(), "86400000000"), "most_pauses": (sa.Integer(), "10")}
OF_PAUSE_OR_WAIVER = "(kind = 'PAUSE' OR kind = 'WAIVER')"
CHECKS = {
    "number_positive": "number > 0",
    "pending_minor_not_negative": "pending_minor >= 0",
    "kind_known": (
        "kind = 'BY_HAND' OR kind = 'BY_POST' OR kind = 'PAUSE' OR kind = 'RESUME'"
        " OR kind = 'WAIVER'"
    ),
    "cause_known": (
        "cause IS NULL OR cause = 'APP_DOWN' OR cause = 'CABINET_FULL'"
        " OR cause = 'ITEM_AT_FAULT' OR cause = 'OTHER' OR cause = 'SITE_CLOSED'"
    ),
    "source_known": (
        "source IS NULL OR source = 'OPERATOR' OR source = 'SUPPORT' OR source = 'USER'"
    ),
    "pause_has_an_end": "(until_us IS NOT NULL) = (kind = 'PAUSE')",
    "waiver_has_an_amount": "(amount_minor > 0) = (kind = 'WAIVER')",
    "pending_within_waived": "pending_minor <= amount_minor",
    "cause_and_source_of_its_kind": (
        f"(cause IS NOT NULL) = {OF_PAUSE_OR_WAIVER} AND (source IS NOT NULL) = {OF_PAUSE_OR_WAIVER}"
    ),
}
KEPT = (
    "authorization_id, number, kind, cause, source, evidence, until_us, amount_minor,"
    " pending_minor, authorization_version, event_us, record_us, digest"
)
"""The columns that never change; a person who is erased gets another id."""


def upgrade() -> None:
    paused = sa.Column("paused_us", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("authorizations", paused)
    add_check("authorizations", "ck_authorizations_paused_us_not_negative", "paused_us >= 0")
    for name, (kind, default) in BOUNDS.items():
        op.add_column("policies", sa.Column(name, kind, nullable=False, server_default=default))
        add_check("policies", f"ck_policies_{name}_not_negative", f"{name} >= 0")
    postgresql = op.get_bind().dialect.name == "postgresql"
    text = sa.String(200, collation="C") if postgresql else sa.String(200)
    op.create_table(
        "attestations",
        sa.Column("user_id", text, nullable=False),
        sa.Column("authorization_id", text, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(16), nullable=True),
        sa.Column("source", sa.String(16), nullable=True),
        sa.Column("evidence", text, nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("pending_minor", sa.BigInteger(), nullable=False),
        sa.Column("authorization_version", sa.BigInteger(), nullable=False),
        sa.Column("event_us", sa.BigInteger(), nullable=False),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        *(
            sa.CheckConstraint(condition, name=op.f(f"ck_attestations_{name}"))
            for name, condition in CHECKS.items()
        ),
        sa.PrimaryKeyConstraint(
            *("user_id", "authorization_id", "number"), name=op.f("pk_attestations")
        ),
    )
    if postgresql:
        change = f"BEFORE DELETE OR UPDATE OF {KEPT} ON attestations FOR EACH ROW"
        empty = "BEFORE TRUNCATE ON attestations FOR EACH STATEMENT"
        refuse = "EXECUTE FUNCTION refuse_change()"
        op.execute(f"CREATE TRIGGER attestations_append_only {change} {refuse}")
        op.execute(f"CREATE TRIGGER attestations_keep_all {empty} {refuse}")
    else:
        refuse = "BEGIN SELECT RAISE(ABORT, 'attestations is append-only'); END"
        table = "attestations"
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}")
        op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE OF {KEPT} ON {table} {refuse}")
    op.execute("INSERT INTO compatibility (oldest_build) VALUES (16)")
