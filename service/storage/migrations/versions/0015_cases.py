"""Cases and their evidence.

A claim or a dispute that is open now has no case: it goes on and ends as before. A server of the
build before that is running opens none. It would leave a case open that it ends, so it cannot start
any more.

Evidence is only ever added: the database refuses anything else. Of a case only its answer changes.

Revision: 0015, after 0014.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

KINDS = (
    *("CLAIM", "DAMAGE_NOT_MINE", "DISPUTE", "ITEM_AT_FAULT", "LATE_CLAIM", "LATE_PICKUP"),
    *("NOT_MINE", "OTHER", "RETURN_BLOCKED", "SECOND_REFERENCE", "UNMATCHED_MONEY", "WRONG_FEE"),
)
SIDES = ("OPERATOR", "PLATFORM", "USER")
OUTCOMES = ("FOR_OPERATOR", "FOR_USER", "HANDLED", "IN_PART")
ONE_OPEN = (
    "state = 'OPEN' AND kind <> 'LATE_PICKUP' AND kind <> 'SECOND_REFERENCE'"
    " AND kind <> 'UNMATCHED_MONEY'"
)
KEPT = {
    "cases": (
        "authorization_id, case_id, kind, operator_id, currency, reference, opened_by, open_us, "
        "open_version, occurred_us"
    ),
    "case_evidence": (
        "authorization_id, case_id, number, side, text, reference, record_us, digest"
    ),
}
"""The columns of each table that never change; a person who is erased gets another id."""


def _text(name: str) -> sa.Column[str]:
    kind = sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=False)


def _short(name: str, length: int, *, absent: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=absent)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _number(name: str, *, absent: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=absent)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _among(column: str, values: tuple[str, ...]) -> str:
    return " OR ".join(f"{column} = '{value}'" for value in values)


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "cases",
        *map(_text, ("user_id", "authorization_id", "case_id")),
        _short("kind", 24),
        _text("operator_id"),
        _short("currency", 3),
        _number("asked_minor"),
        _text("reference"),
        _short("opened_by", 16),
        _number("open_us"),
        _whole("open_version"),
        _number("occurred_us", absent=True),
        _short("state", 16),
        _short("waits_for", 16),
        _number("due_us", absent=True),
        _short("outcome", 16, absent=True),
        _number("granted_minor"),
        _text("closed_by"),
        _number("close_us", absent=True),
        *map(_whole, ("close_version", "evidence", "version")),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column(
            "arrival",
            sa.BigInteger(),
            nullable=False,
            server_default=sa.text("nextval('arrivals')" if postgresql else "0"),
        ),
        _check("cases", "kind_known", _among("kind", KINDS)),
        _check("cases", "state_known", _among("state", ("CLOSED", "OPEN"))),
        _check("cases", "opened_by_known", _among("opened_by", SIDES)),
        _check("cases", "waits_for_known", _among("waits_for", SIDES)),
        _check("cases", "outcome_known", f"outcome IS NULL OR {_among('outcome', OUTCOMES)}"),
        _check(
            "cases",
            "outcome_at_the_end",
            "(state <> 'OPEN' OR (outcome IS NULL AND close_us IS NULL AND close_version = 0"
            " AND granted_minor = 0 AND closed_by = ''))"
            " AND (state <> 'CLOSED' OR (outcome IS NOT NULL AND close_us IS NOT NULL))",
        ),
        *(
            _check("cases", f"{name}_not_negative", f"{name} >= 0")
            for name in (
                *("asked_minor", "granted_minor", "open_version", "close_version", "evidence"),
            )
        ),
        _check("cases", "version_positive", "version > 0"),
        sa.PrimaryKeyConstraint("user_id", "authorization_id", "case_id", name=op.f("pk_cases")),
    )
    op.create_table(
        "case_evidence",
        *map(_text, ("user_id", "authorization_id", "case_id")),
        _whole("number"),
        _short("side", 16),
        _short("text", 1000),
        _text("reference"),
        _number("record_us"),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        _check("case_evidence", "number_positive", "number > 0"),
        _check("case_evidence", "side_known", _among("side", SIDES)),
        sa.PrimaryKeyConstraint(
            *("user_id", "authorization_id", "case_id", "number"), name=op.f("pk_case_evidence")
        ),
    )
    for statement in _indexes(postgresql):
        op.execute(statement)
    for table, columns in KEPT.items():
        for statement in _statements(table, columns):
            op.execute(statement)
    op.execute("INSERT INTO compatibility (oldest_build) VALUES (15)")


def _indexes(postgresql: bool) -> list[str]:
    one = "UNIQUE INDEX ix_cases_open_kind ON cases (user_id, authorization_id, kind)"
    due = "INDEX ix_cases_due_us ON cases (state, due_us, user_id, authorization_id, case_id)"
    everywhere = [
        f"CREATE {one} WHERE {ONE_OPEN}",
        f"CREATE {due} WHERE state = 'OPEN'",
        "CREATE INDEX ix_cases_state ON cases (state, case_id)",
        "CREATE INDEX ix_cases_operator_id ON cases (operator_id, state, case_id)",
    ]
    if not postgresql:
        return everywhere
    return [
        *everywhere,
        "CREATE INDEX ix_cases_arrival ON cases (state, arrival, case_id)",
        "CREATE INDEX ix_cases_operator_arrival ON cases (operator_id, state, arrival, case_id)",
    ]


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
