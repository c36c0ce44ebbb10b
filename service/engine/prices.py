"""The terms under which authorizations were asked for, and their prices, for reads.

They come from the terms in use. Revisions that another server has just added are loaded first.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.authorization import Authorization
from service.domain.details import UNKNOWN_PRICE, Price, price_of
from service.domain.product import Product
from service.engine.catalog import Catalog
from service.engine.terms import Terms

Revision = tuple[str, str, int]
"""An operator, a product and a revision."""


def revision_of(it: Authorization) -> Revision:
    """The revision of the product under which an authorization was asked for."""
    return (it.operator_id, it.product_id, it.product_revision)


class Prices:
    """The products of authorizations; thread-safe. It may read the database."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms

    def products(self, of: Sequence[Authorization]) -> list[Product | None]:
        """The product of each authorization, in the revision under which it was asked for.

        A product is None if that revision makes no sense. Raises StorageFailed.
        """
        wanted = list(map(revision_of, of))
        known = self._terms.used.catalog
        missing = {it for it in wanted if it not in known.revisions}
        if missing and (unknown := missing - _wrong(known)):
            self._terms.learn({it[:2] for it in unknown})
            known = self._terms.used.catalog
        return [known.revisions.get(it) for it in wanted]

    def of(self, authorizations: Sequence[Authorization]) -> list[Price]:
        """The price of each authorization; `UNKNOWN_PRICE` if its terms make no sense."""
        products = self.products(authorizations)
        return [UNKNOWN_PRICE if it is None else price_of(it) for it in products]


def _wrong(known: Catalog) -> set[object]:
    """The revisions that make no sense."""
    return {fault.key for fault in known.faults}
