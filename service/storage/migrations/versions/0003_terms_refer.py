"""Terms refer to what is there, and no window is negative.

Revision: 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import CreateTable

from service.domain.errors import FreeholdError

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WINDOWS = (
    "offer_window_us",
    "pickup_window_us",
    "max_feature_age_us",
    "review_window_us",
    "rental_period_us",
    "claim_window_us",
    "missing_window_us",
)
# What the new rules would refuse: a sentence about the first such row.
WRONG = {
    "SELECT policy_id, revision FROM policies WHERE "
    + " OR ".join(f"{window} < 0" for window in WINDOWS): (
        "policies: {} revision {} has a negative window"
    ),
    """SELECT operator_id, product_id, revision FROM products WHERE NOT EXISTS
    (SELECT 1 FROM operators WHERE operators.operator_id = products.operator_id)""": (
        "products: {} {} revision {} is of an operator that is not there"
    ),
    """SELECT operator_id, product_id, revision, policy_id, policy_revision FROM products
    WHERE NOT EXISTS (SELECT 1 FROM policies WHERE policies.policy_id = products.policy_id
    AND policies.revision = products.policy_revision)""": (
        "products: {} {} revision {} names the policy {} revision {}, which is not there"
    ),
    """SELECT operator_id FROM api_keys WHERE operator_id IS NOT NULL AND NOT EXISTS
    (SELECT 1 FROM operators WHERE operators.operator_id = api_keys.operator_id)""": (
        "api_keys: a key is of the operator {}, which is not there"
    ),
}
KEYS = {
    "fk_products_operator_id": ("products", "operators", ["operator_id"], ["operator_id"]),
    "fk_products_policy_id": (
        "products",
        "policies",
        ["policy_id", "policy_revision"],
        ["policy_id", "revision"],
    ),
    "fk_api_keys_operator_id": ("api_keys", "operators", ["operator_id"], ["operator_id"]),
}


RULES = {f"ck_policies_{window}_not_negative": f"{window} >= 0" for window in WINDOWS}


class WrongTerms(FreeholdError):
    """A row that the new rules refuse; nothing was changed."""

    def __init__(self, row: str) -> None:
        super().__init__(
            "WRONG_TERMS",
            f"{row}; nothing was changed: put the row right or delete it, then migrate again",
        )


def _text() -> sa.types.TypeEngine[str]:
    return sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql")


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _small(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), autoincrement=False, nullable=False)


def _keys(table: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint(columns, [f"{referred}.{it}" for it in theirs], name=op.f(name))
        for name, (owner, referred, columns, theirs) in KEYS.items()
        if owner == table
    ]


def _tables() -> list[sa.Table]:
    """The tables as 0001 made them, with the new rules: SQLite has to make them anew.

    What is referred to comes first: while it is made anew nobody refers to it.
    """
    metadata = sa.MetaData()
    sa.Table("operators", metadata, sa.Column("operator_id", _text(), primary_key=True))
    amounts = (
        "buy_out_minor",
        "day_cap_minor",
        "deposit_minor",
        "free_minutes",
        "interval_price_minor",
        "replacement_minor",
        "start_fee_minor",
    )
    return [
        sa.Table(
            "policies",
            metadata,
            sa.Column("policy_id", _text(), nullable=False),
            _small("revision"),
            _small("zero_from_score"),
            _small("reduced_from_score"),
            _small("reduced_credit_share_bp"),
            *map(_number, WINDOWS),
            sa.CheckConstraint(
                "reduced_credit_share_bp BETWEEN 0 AND 10000",
                name=op.f("ck_policies_credit_share_is_a_share"),
            ),
            sa.CheckConstraint(
                "zero_from_score >= reduced_from_score", name=op.f("ck_policies_cut_offs_in_order")
            ),
            *(sa.CheckConstraint(rule, name=op.f(name)) for name, rule in RULES.items()),
            sa.PrimaryKeyConstraint("policy_id", "revision", name=op.f("pk_policies")),
        ),
        sa.Table(
            "products",
            metadata,
            sa.Column("operator_id", _text(), nullable=False),
            sa.Column("product_id", _text(), nullable=False),
            _small("revision"),
            sa.Column("category", _text(), nullable=False),
            sa.Column("currency", sa.String(length=3), nullable=False),
            _number("deposit_minor"),
            _number("replacement_minor"),
            sa.Column("policy_id", _text(), nullable=False),
            _small("policy_revision"),
            _number("start_fee_minor"),
            _small("free_minutes"),
            _small("interval_minutes"),
            _number("interval_price_minor"),
            _number("day_cap_minor"),
            _number("buy_out_minor"),
            *(
                sa.CheckConstraint(f"{name} >= 0", name=op.f(f"ck_products_{name}_not_negative"))
                for name in amounts
            ),
            sa.CheckConstraint("interval_minutes > 0", name=op.f("ck_products_interval_positive")),
            sa.PrimaryKeyConstraint(
                "operator_id", "product_id", "revision", name=op.f("pk_products")
            ),
            *_keys("products"),
        ),
        sa.Table(
            "api_keys",
            metadata,
            sa.Column("key_hash", sa.String(length=64), nullable=False),
            sa.Column("operator_id", sa.String(length=128), nullable=True),
            sa.Column("scopes", sa.String(length=1024), nullable=False),
            sa.Column("create_us", sa.BigInteger(), nullable=False),
            sa.Column("revoke_us", sa.BigInteger(), nullable=True),
            sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_api_keys")),
            *_keys("api_keys"),
        ),
    ]


def upgrade() -> None:
    connection = op.get_bind()
    for query, sentence in WRONG.items():
        row = connection.execute(sa.text(query)).first()
        if row is not None:
            raise WrongTerms(sentence.format(*row))
    if connection.dialect.name == "postgresql":
        for name, condition in RULES.items():
            op.create_check_constraint(op.f(name), "policies", condition)
        for name, (table, referred, columns, theirs) in KEYS.items():
            op.create_foreign_key(op.f(name), table, referred, columns, theirs)
        return
    for made in _tables():
        anew, names = f"{made.name}_anew", ", ".join(made.columns.keys())
        text = str(CreateTable(made).compile(dialect=connection.dialect))
        op.execute(text.replace(f"CREATE TABLE {made.name} ", f"CREATE TABLE {anew} ", 1))
        op.execute(f"INSERT INTO {anew} ({names}) SELECT {names} FROM {made.name}")
        op.drop_table(made.name)
        op.rename_table(anew, made.name)
