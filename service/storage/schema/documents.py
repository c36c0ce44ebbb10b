"""Documents of terms, and the documents of which each revision of a product was made."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from service.domain.access import PLATFORM
from service.domain.documents import DocumentKind
from service.storage.schema.columns import (
    among,
    instant_column,
    key_column,
    metadata,
    number_column,
    string,
    text_column,
)

WHOLE_STEPS = {
    "validate": "validated_by",
    "activate": "activated_by",
    "retire": "retired_by",
}
"""The steps after the draft, with the column of the actor."""


def _step_columns(step: str, by: str) -> list[Column[int | None] | Column[str]]:
    return [
        instant_column(f"{step}_us"),
        Column(by, string(200), nullable=True),
        Column(f"{step}_reason", string(200), nullable=True),
    ]


# Triggers refuse to change a document, and every step other than the next one.
terms_documents = Table(
    "terms_documents",
    metadata,
    key_column("kind"),
    key_column("owner"),
    key_column("name"),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    # NULL for a document of the platform
    Column("operator_id", string(200), nullable=True),
    Column("document", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    text_column("state"),
    number_column("create_us"),
    text_column("created_by"),
    text_column("create_reason"),
    *_step_columns("validate", "validated_by"),
    *_step_columns("activate", "activated_by"),
    *_step_columns("retire", "retired_by"),
    CheckConstraint(among("kind", DocumentKind), "kind_known"),
    CheckConstraint("revision > 0", "revision_positive"),
    CheckConstraint(f"owner = coalesce(operator_id, '{PLATFORM}')", "owner_is_the_operator"),
    CheckConstraint("kind <> 'product' OR operator_id IS NOT NULL", "product_of_an_operator"),
    CheckConstraint(
        "(kind <> 'bounds' AND kind <> 'limits') OR operator_id IS NULL", "bounds_of_the_platform"
    ),
    *(
        CheckConstraint(
            f"({step}_us IS NULL) = ({by} IS NULL) AND ({by} IS NULL) = ({step}_reason IS NULL)",
            f"{step}_whole",
        )
        for step, by in WHOLE_STEPS.items()
    ),
    CheckConstraint(
        "validate_us >= create_us AND activate_us >= validate_us AND retire_us >= create_us",
        "steps_in_order",
    ),
    CheckConstraint(
        "(state = 'DRAFT' AND validate_us IS NULL AND activate_us IS NULL AND retire_us IS NULL)"
        " OR (state = 'VALIDATED' AND validate_us IS NOT NULL AND activate_us IS NULL"
        " AND retire_us IS NULL)"
        " OR (state = 'ACTIVE' AND validate_us IS NOT NULL AND activate_us IS NOT NULL"
        " AND retire_us IS NULL)"
        " OR (state = 'RETIRED' AND retire_us IS NOT NULL"
        " AND (activate_us IS NULL OR validate_us IS NOT NULL))",
        "state_fits_steps",
    ),
    ForeignKeyConstraint(["operator_id"], ["operators.operator_id"]),
    Index(
        "ix_terms_documents_active",
        *("kind", "owner", "name"),
        unique=True,
        sqlite_where=text("state = 'ACTIVE'"),
        postgresql_where=text("state = 'ACTIVE'"),
    ),
)

# Triggers refuse to change or remove a row.
compiled_products = Table(
    "compiled_products",
    metadata,
    key_column("operator_id"),
    key_column("product_id"),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("product_revision", Integer, nullable=False),
    text_column("tariff_owner"),
    text_column("tariff_name"),
    Column("tariff_revision", Integer, nullable=False),
    text_column("policy_owner"),
    text_column("policy_name"),
    Column("policy_revision", Integer, nullable=False),
    text_column("product_kind"),
    text_column("tariff_kind"),
    text_column("policy_kind"),
    CheckConstraint("product_kind = 'product'", "product_kind_fixed"),
    CheckConstraint("tariff_kind = 'tariff'", "tariff_kind_fixed"),
    CheckConstraint("policy_kind = 'policy'", "policy_kind_fixed"),
    CheckConstraint(
        f"tariff_owner = operator_id OR tariff_owner = '{PLATFORM}'", "tariff_in_reach"
    ),
    CheckConstraint(
        f"policy_owner = operator_id OR policy_owner = '{PLATFORM}'", "policy_in_reach"
    ),
    ForeignKeyConstraint(
        ["operator_id", "product_id", "revision"],
        ["products.operator_id", "products.product_id", "products.revision"],
    ),
    *(
        ForeignKeyConstraint(
            [f"{kind}_kind", *named],
            [f"terms_documents.{it}" for it in ("kind", "owner", "name", "revision")],
            name=f"fk_compiled_products_{kind}",
        )
        for kind, named in (
            ("product", ("operator_id", "product_id", "product_revision")),
            ("tariff", ("tariff_owner", "tariff_name", "tariff_revision")),
            ("policy", ("policy_owner", "policy_name", "policy_revision")),
        )
    ),
    Index("ix_compiled_products_tariff", "tariff_owner", "tariff_name"),
)
