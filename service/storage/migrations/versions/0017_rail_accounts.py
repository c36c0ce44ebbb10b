"""Rail accounts, under the names that operators and the platform give them, and aliases of people.

Servers of earlier builds that are running go on: they count each reference in its caller's default
account, as all did. They do not know that operators may share an account, nor that two people may be
one, so they cannot start any more.

Revision: 0017, after 0016.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    text = sa.String(200, collation="C") if postgresql else sa.String(200)
    op.create_table(
        "rail_accounts",
        sa.Column("caller", text, nullable=False),
        sa.Column("name", text, nullable=False),
        sa.Column("owner", text, nullable=False),
        sa.Column("account", text, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("label", text, nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(owner = caller AND account = name) OR (owner = 'platform' AND caller <> 'platform')",
            name=op.f("ck_rail_accounts_others_use_the_platforms"),
        ),
        sa.CheckConstraint(
            "owner <> caller OR name <> 'default'",
            name=op.f("ck_rail_accounts_a_default_is_shared"),
        ),
        sa.PrimaryKeyConstraint("caller", "name", name=op.f("pk_rail_accounts")),
    )
    op.create_index("ix_rail_accounts_account", "rail_accounts", ["owner", "account"])
    op.add_column("users", sa.Column("alias_of", text, nullable=False, server_default=""))
    op.create_table(
        "aliases",
        sa.Column("user_id", text, nullable=False),
        sa.Column("survivor", text, nullable=False),
        sa.Column("reason", text, nullable=False),
        sa.Column("proposed_by", text, nullable=False),
        sa.Column("propose_us", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", text, nullable=False),
        sa.Column("approve_us", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("user_id <> survivor", name=op.f("ck_aliases_of_somebody_else")),
        sa.CheckConstraint(
            "(approve_us IS NULL) = (approved_by = '')", name=op.f("ck_aliases_approval_is_whole")
        ),
        sa.CheckConstraint("approved_by <> proposed_by", name=op.f("ck_aliases_two_people_merge")),
        sa.CheckConstraint("version > 0", name=op.f("ck_aliases_version_positive")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_aliases")),
    )
    op.create_index("ix_aliases_survivor", "aliases", ["survivor"])
    for statement in _one_step(postgresql=postgresql):
        op.execute(statement)
    op.execute("INSERT INTO compatibility (oldest_build) VALUES (17)")


CHAINED = (
    "NEW.approve_us IS NOT NULL AND EXISTS (SELECT 1 FROM aliases WHERE approve_us IS NOT NULL"
    " AND (user_id = NEW.survivor OR survivor = NEW.user_id))"
)


def _one_step(*, postgresql: bool) -> list[str]:
    """An alias leads to its survivor in one step, so that there is no chain and no circle."""
    said = "an alias leads to its survivor in one step"
    if postgresql:
        refuse = f"RAISE EXCEPTION '{said}' USING ERRCODE = '23514'"
        body = f"BEGIN IF {CHAINED} THEN {refuse}; END IF; RETURN NEW; END"
        change = "BEFORE INSERT OR UPDATE ON aliases FOR EACH ROW"
        return [
            f"CREATE FUNCTION refuse_chain() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
            f"CREATE TRIGGER aliases_one_step {change} EXECUTE FUNCTION refuse_chain()",
        ]
    return [
        f"CREATE TRIGGER aliases_one_step_{name} BEFORE {event} ON aliases WHEN {CHAINED} "
        f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
        for name, event in (("insert", "INSERT"), ("update", "UPDATE"))
    ]
