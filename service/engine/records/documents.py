"""Rows of documents of terms, and of what was made of them.

Instants are microseconds since the epoch. `owner` is an operator's id, or "platform".
"""

from __future__ import annotations

from typing import NamedTuple


class DocumentName(NamedTuple):
    """The name of one revision of a document; `kind` is a `DocumentKind`."""

    kind: str
    owner: str
    name: str
    revision: int

    @property
    def subject(self) -> str:
        """The name in the record of acts, which is the record of its owner."""
        return f"terms/{self.kind}/{self.name}/{self.revision}"


class TermsDocument(NamedTuple):
    """One revision of a document.

    `document` is its canonical JSON, and `digest` its hash. `operator_id` is None for the platform.
    Each step has its instant, the actor and the reason; all three are None if it did not happen.
    """

    kind: str
    owner: str
    name: str
    revision: int
    operator_id: str | None
    document: str
    digest: str
    state: str
    create_us: int
    created_by: str
    create_reason: str
    validate_us: int | None = None
    validated_by: str | None = None
    validate_reason: str | None = None
    activate_us: int | None = None
    activated_by: str | None = None
    activate_reason: str | None = None
    retire_us: int | None = None
    retired_by: str | None = None
    retire_reason: str | None = None

    @property
    def full_name(self) -> DocumentName:
        """The kind, the owner, the name and the revision."""
        return DocumentName(*self[:4])


class CompiledProduct(NamedTuple):
    """The documents of which one revision of a product was made, each with its revision.

    The kinds repeat for the foreign keys.
    """

    operator_id: str
    product_id: str
    revision: int
    product_revision: int
    tariff_owner: str
    tariff_name: str
    tariff_revision: int
    policy_owner: str
    policy_name: str
    policy_revision: int
    product_kind: str = "product"
    tariff_kind: str = "tariff"
    policy_kind: str = "policy"
