"""The fees that an order knows, as Authorize takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.domain.authorization import Authorization
from service.domain.errors import InvalidInput
from service.domain.money import Money
from service.domain.order_fees import require_fee
from service.domain.policy import Part
from service.domain.product import Product
from service.engine.records.compatibility import ORDER_FEES_BUILD, CompatibilityRecord
from service.engine.rows import Draft, Rows
from service.engine.tables import COMPATIBILITY

OrderFees = Sequence[int | None]
"""The fee of each item in minor units; None for an item whose fee is not known."""


class PricedItem(Protocol):
    """A requested item with the fee that the order knows, if any."""

    @property
    def order_fee(self) -> Money | None: ...


class Asking(Protocol):
    """A command that orders items; with a `parent_id` it asks for a damage charge."""

    @property
    def items(self) -> Sequence[PricedItem]: ...
    @property
    def parent_id(self) -> str: ...
    @property
    def grouped(self) -> bool: ...


def order_fees_of(command: Asking, products: Sequence[Product]) -> OrderFees:
    """The fees of the items, in their order.

    Raises InvalidInput for a damage charge, for a fee in another currency than the product's, and
    for one that the product's terms do not allow.
    """
    found: list[int | None] = []
    for place, (item, product) in enumerate(zip(command.items, products, strict=True)):
        if item.order_fee is None:
            found.append(None)
            continue
        field = f"items[{place}].order_fee" if command.grouped else "order_fee"
        if command.parent_id:
            raise InvalidInput.of(
                field, "order_fee.damage_charge", "must be absent for a damage charge"
            )
        fee_minor = item.order_fee.require(product.currency, f"{field}.currency_code")
        require_fee(fee_minor, product, field)
        found.append(fee_minor)
    return found


def with_fee(it: Authorization, fee_minor: int | None, draft: Draft, rows: Rows) -> Authorization:
    """A new authorization with the fee of its order. The first one shuts out older builds."""
    if ORDER_FEES_BUILD not in rows[COMPATIBILITY] and COMPATIBILITY not in draft:
        draft[COMPATIBILITY] = [CompatibilityRecord(ORDER_FEES_BUILD)]
    return it._replace(order_fee_minor=fee_minor)


def amounts_of(
    products: Sequence[Product], fees: OrderFees | None, damage: Money | None
) -> list[Part]:
    """The amounts to hold: that of the damage, or each deposit with the fee of its order."""
    known = [None] * len(products) if fees is None else fees
    return [
        Part(
            (product.deposit_minor if damage is None else damage.amount_minor) + (fee_minor or 0),
            product.policy,
            product.category,
        )
        for product, fee_minor in zip(products, known, strict=True)
    ]
