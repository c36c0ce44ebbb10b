"""The document of a product: the item, its deposit, and the names of its tariff and its policy.

`service/data/examples/product.toml` has every key.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from service.domain.document_fields import (
    CATEGORY,
    CURRENCY,
    MOST_MINOR,
    NAME,
    Fields,
    require_none,
)
from service.domain.documents import Table
from service.domain.errors import Violation
from service.domain.jurisdictions import ID as JURISDICTION
from service.domain.line_items import MOST_NAMES as MOST_LINE_ITEMS
from service.domain.line_items import NAME as LINE_ITEM


class ProductDocument(NamedTuple):
    """A product's own terms; amounts are minor units of `currency`.

    `tariff` and `policy` are names of documents: of the operator, or else of the platform. A None
    means as in `Product`: no consent is needed, increments have no bound, and lines of a bill may
    have any name.
    """

    id: str
    category: str
    currency: str
    deposit_minor: int
    replacement_minor: int
    tariff: str
    policy: str
    cancellation_fee_minor: int = 0
    damage_without_consent_minor: int | None = None
    most_hold_minor: int | None = None
    line_items: tuple[str, ...] | None = None
    jurisdiction: str | None = None
    """The place whose rules the product's tariff keeps, such as CN-BJ."""


def read_product(table: Table) -> ProductDocument:
    """Reads a product's document. Raises InvalidInput (TERMS_WRONG) with all faults."""
    faults: list[Violation] = []
    it = Fields(table, faults)
    found = ProductDocument(
        it.text("id", NAME),
        it.text("category", CATEGORY),
        it.text("currency", CURRENCY),
        it.whole("deposit_minor", 0, MOST_MINOR),
        it.whole("replacement_minor", 0, MOST_MINOR),
        it.text("tariff", NAME),
        it.text("policy", NAME),
        it.whole("cancellation_fee_minor", 0, MOST_MINOR, 0),
        it.maybe_whole("damage_without_consent_minor", 0, MOST_MINOR),
        it.maybe_whole("most_hold_minor", 0, MOST_MINOR),
        it.texts("line_items", LINE_ITEM, MOST_LINE_ITEMS) if it.has("line_items") else None,
        it.text("jurisdiction", JURISDICTION) if it.has("jurisdiction") else None,
    )
    it.end()
    if it.has("line_items") and it.take("line_items") == []:
        text = "must name a line item; leave it out if lines may have any name"
        it.fault("line_items", "empty", text)
    if found.most_hold_minor is not None and found.most_hold_minor < found.deposit_minor:
        it.fault("most_hold_minor", "below_deposit", "must not be below deposit_minor")
    require_none(faults)
    return found


def write_product(it: ProductDocument) -> dict[str, Any]:
    """The document of a product; absent values are left out."""
    found = {name: value for name, value in it._asdict().items() if value is not None}
    return found | ({"line_items": list(it.line_items)} if it.line_items else {})
