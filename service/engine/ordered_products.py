"""The products that an order names, at the prices of the place at which the items go out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.domain.details import Order
from service.domain.errors import InvalidInput
from service.domain.product import Product
from service.engine.catalog import Catalog


class OrderedItem(Protocol):
    """A requested item."""

    @property
    def product_id(self) -> str: ...


class Ordering(Protocol):
    """A command that orders items, perhaps with details of the order."""

    @property
    def items(self) -> Sequence[OrderedItem]: ...
    @property
    def order(self) -> Order | None: ...


def products_of(operator_id: str, command: Ordering, catalog: Catalog) -> list[Product]:
    """The products in force, one for each item.

    Raises ProductMisconfigured, ProductRetired or NotFound for one that is not rented out, and
    InvalidInput for products of several currencies.
    """
    products = []
    for item in command.items:
        product = catalog.in_force(operator_id, item.product_id)
        if product.by_station and command.order is not None:
            product = product.at(command.order.place.station)
        products.append(product)
    if len(products) > 1:
        _require_one_currency(products)
    return products


def _require_one_currency(products: list[Product]) -> None:
    currency = products[0].currency
    for place, product in enumerate(products):
        if product.currency != currency:
            raise InvalidInput.of(
                f"items[{place}].product_id",
                "items.currency",
                f"must be priced in {currency}, as the first item is",
            )
