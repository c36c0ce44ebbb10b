"""Details that an operator gives of an order, and the hash of a price.

Rules of admission may read the place, the device, the payment account, the time zone and the
labels. All details are stored, because history cannot be filled in later.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from service.domain.errors import PriceChanged
from service.domain.product import Product
from service.domain.tariff import AnyTariff, Tariff
from service.domain.tariff_document import arithmetic_of


class ItemPlace(NamedTuple):
    """The place at which an item changes hands, and its condition there; both may be empty."""

    station: str = ""
    condition: str = ""


NOTHING_TOLD = ItemPlace()


class Order(NamedTuple):
    """An order as Authorize tells it; any part may be empty.

    `labels` is a JSON object of names and values, in the order of the names, or empty.
    """

    order_reference: str = ""
    labels: str = ""
    place: ItemPlace = NOTHING_TOLD
    device_hash: str = ""
    payment_account_hash: str = ""
    rail_account: str = ""
    time_zone: str = ""


NO_ORDER = Order()


class Price(NamedTuple):
    """A price as answers tell it: its hash, and the place in the tariff whose prices it has. The
    place is empty for the ordinary prices."""

    hash: str
    place: str


UNKNOWN_PRICE = Price("", "")
"""The price of an authorization whose terms make no sense."""


def price_of(product: Product) -> Price:
    """The price of a product, with its hash as the contract explains it."""
    if product.cancellation_fee_minor:
        return _price(product.currency, product.tariff, product.cancellation_fee_minor)
    return _price(product.currency, product.tariff)


def price_hash(product: Product) -> str:
    """The hash of a product's price."""
    return price_of(product).hash


@lru_cache(maxsize=4096)
def _price(currency: str, tariff: AnyTariff, *more_minor: int) -> Price:
    values = tariff if isinstance(tariff, Tariff) else (arithmetic_of(tariff),)
    text = "\n".join([currency, *map(str, (*values, *more_minor))])
    return Price(sha256(text.encode()).hexdigest(), tariff.place)


def require_price(product: Product, shown: str) -> None:
    """Raises PriceChanged if the hash of the price shown is another one."""
    if shown != price_hash(product):
        raise PriceChanged(product.product_id, price_hash(product))
