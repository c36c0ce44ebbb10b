"""Documents of terms, with their states, and the documents of which each product revision was made.

The tables are empty, and no product is retired: terms of before get their documents when somebody
first asks for them. A server of the build before reads and writes the compiled rows as before.

Revision: 0035, after 0034.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

DOCUMENTS, COMPILED = "terms_documents", "compiled_products"
KEPT = {
    DOCUMENTS: (
        "kind, owner, name, revision, operator_id, document, digest, create_us, created_by, "
        "create_reason"
    ),
    COMPILED: (
        "operator_id, product_id, revision, product_revision, tariff_owner, tariff_name, "
        "tariff_revision, policy_owner, policy_name, policy_revision, product_kind, tariff_kind, "
        "policy_kind"
    ),
}
"""The columns of each table that never change."""
STEPS = {"validate": "validated_by", "activate": "activated_by", "retire": "retired_by"}
WRONG_STEP = """NOT (
    (OLD.state = 'DRAFT' AND (NEW.state = 'VALIDATED' OR NEW.state = 'RETIRED'))
    OR (OLD.state = 'VALIDATED' AND (NEW.state = 'ACTIVE' OR NEW.state = 'RETIRED'))
    OR (OLD.state = 'ACTIVE' AND NEW.state = 'RETIRED'))"""
"""The next states are VALIDATED, ACTIVE and RETIRED; a draft may be withdrawn at once."""


def _string(length: int = 200) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, _string(), nullable=nullable)


def _small(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), autoincrement=False, nullable=False)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _step(step: str, by: str) -> list[sa.Column[str] | sa.Column[int]]:
    return [
        sa.Column(f"{step}_us", sa.BigInteger(), nullable=True),
        _text(by, nullable=True),
        _text(f"{step}_reason", nullable=True),
    ]


def upgrade() -> None:
    _make_documents()
    _make_compiled()
    op.add_column("products", sa.Column("retire_us", sa.BigInteger(), nullable=True))
    add_check("products", "ck_products_retire_us_not_negative", "retire_us >= 0")
    for table, columns in KEPT.items():
        for statement in _triggers(table, columns):
            op.execute(statement)
    op.execute(_step_trigger())


def _make_documents() -> None:
    op.create_table(
        DOCUMENTS,
        *map(_text, ("kind", "owner", "name")),
        _small("revision"),
        _text("operator_id", nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        _text("state"),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        *map(_text, ("created_by", "create_reason")),
        *(column for step, by in STEPS.items() for column in _step(step, by)),
        _check(
            DOCUMENTS,
            "kind_known",
            "kind = 'bounds' OR kind = 'limits' OR kind = 'policy' OR kind = 'product'"
            " OR kind = 'tariff'",
        ),
        _check(DOCUMENTS, "revision_positive", "revision > 0"),
        _check(DOCUMENTS, "owner_is_the_operator", "owner = coalesce(operator_id, 'platform')"),
        _check(DOCUMENTS, "product_of_an_operator", "kind <> 'product' OR operator_id IS NOT NULL"),
        _check(
            DOCUMENTS,
            "bounds_of_the_platform",
            "(kind <> 'bounds' AND kind <> 'limits') OR operator_id IS NULL",
        ),
        *(
            _check(
                DOCUMENTS,
                f"{step}_whole",
                f"({step}_us IS NULL) = ({by} IS NULL)"
                f" AND ({by} IS NULL) = ({step}_reason IS NULL)",
            )
            for step, by in STEPS.items()
        ),
        _check(
            DOCUMENTS,
            "steps_in_order",
            "validate_us >= create_us AND activate_us >= validate_us AND retire_us >= create_us",
        ),
        _check(
            DOCUMENTS,
            "state_fits_steps",
            "(state = 'DRAFT' AND validate_us IS NULL AND activate_us IS NULL"
            " AND retire_us IS NULL)"
            " OR (state = 'VALIDATED' AND validate_us IS NOT NULL AND activate_us IS NULL"
            " AND retire_us IS NULL)"
            " OR (state = 'ACTIVE' AND validate_us IS NOT NULL AND activate_us IS NOT NULL"
            " AND retire_us IS NULL)"
            " OR (state = 'RETIRED' AND retire_us IS NOT NULL"
            " AND (activate_us IS NULL OR validate_us IS NOT NULL))",
        ),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operators.operator_id"], name=op.f(f"fk_{DOCUMENTS}_operator_id")
        ),
        sa.PrimaryKeyConstraint("kind", "owner", "name", "revision", name=op.f(f"pk_{DOCUMENTS}")),
    )
    active = sa.text("state = 'ACTIVE'")
    op.create_index(
        *(f"ix_{DOCUMENTS}_active", DOCUMENTS, ["kind", "owner", "name"]),
        unique=True,
        sqlite_where=active,
        postgresql_where=active,
    )


def _make_compiled() -> None:
    op.create_table(
        COMPILED,
        *map(_text, ("operator_id", "product_id")),
        *map(_small, ("revision", "product_revision")),
        *map(_text, ("tariff_owner", "tariff_name")),
        _small("tariff_revision"),
        *map(_text, ("policy_owner", "policy_name")),
        _small("policy_revision"),
        *map(_text, ("product_kind", "tariff_kind", "policy_kind")),
        *(
            _check(COMPILED, f"{kind}_kind_fixed", f"{kind}_kind = '{kind}'")
            for kind in ("product", "tariff", "policy")
        ),
        *(
            _check(
                COMPILED,
                f"{kind}_in_reach",
                f"{kind}_owner = operator_id OR {kind}_owner = 'platform'",
            )
            for kind in ("tariff", "policy")
        ),
        sa.ForeignKeyConstraint(
            ["operator_id", "product_id", "revision"],
            ["products.operator_id", "products.product_id", "products.revision"],
            name=op.f(f"fk_{COMPILED}_operator_id"),
        ),
        *(
            sa.ForeignKeyConstraint(
                [f"{kind}_kind", *named],
                [f"{DOCUMENTS}.{it}" for it in ("kind", "owner", "name", "revision")],
                name=op.f(f"fk_{COMPILED}_{kind}"),
            )
            for kind, named in (
                ("product", ("operator_id", "product_id", "product_revision")),
                ("tariff", ("tariff_owner", "tariff_name", "tariff_revision")),
                ("policy", ("policy_owner", "policy_name", "policy_revision")),
            )
        ),
        sa.PrimaryKeyConstraint(
            "operator_id", "product_id", "revision", name=op.f(f"pk_{COMPILED}")
        ),
    )
    op.create_index(f"ix_{COMPILED}_tariff", COMPILED, ["tariff_owner", "tariff_name"])


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


def _step_trigger() -> str:
    """Each update is the next step, and earlier steps stay as they are."""
    changed = [
        f"(OLD.{column} IS NOT NULL AND (NEW.{column} IS NULL OR NEW.{column} <> OLD.{column}))"
        for step, by in STEPS.items()
        for column in (f"{step}_us", by, f"{step}_reason")
    ]
    wrong = " OR ".join([WRONG_STEP, *changed])
    before = f"CREATE TRIGGER {DOCUMENTS}_next_step BEFORE UPDATE ON {DOCUMENTS}"
    if op.get_bind().dialect.name == "postgresql":
        return f"{before} FOR EACH ROW WHEN ({wrong}) EXECUTE FUNCTION refuse_change()"
    text = "a document goes from DRAFT to VALIDATED, ACTIVE and RETIRED"
    return f"{before} WHEN {wrong} BEGIN SELECT RAISE(ABORT, '{text}'); END"
