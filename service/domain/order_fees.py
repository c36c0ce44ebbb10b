"""The fee of an order: how much of the usage is charged through Freehold, as the order knows it.

An operator says one of three things when it asks for a hold:

- Nothing: the fee is unknown, and follows from the tariff at the return. The hold is the deposit.
- An amount above zero: the fee is known. The hold is the deposit and the fee, and no more than the
  fee is charged for the usage. An increment raises the fee by its amount.
- Zero: the user pays the fee elsewhere. The hold is the deposit, and only damage and the price of a
  lost item are charged.

In each case the tariff goes on counting. It says when an item that does not come back counts as
lost, and the price of a lost item is its buy-out cap. A usage that costs less by the tariff than
the known fee is charged by the tariff. Amounts are in minor units.
"""

from __future__ import annotations

from service.domain.authorization import Authorization
from service.domain.captures import Purpose
from service.domain.errors import InvalidInput
from service.domain.fee_lines import Fee, FeeItem, line, reduction, shown, total
from service.domain.product import Product

_AFTER = (FeeItem.PAUSED_MINUTES, FeeItem.WAIVED)
"""The lines of a fee that come after all reductions."""


def within_order(fee: Fee, order_fee_minor: int | None, waived_minor: int) -> Fee:
    """The fee with at most the fee of the order; None means that the order has none.

    `waived_minor` is taken off after that, so that a waiver lowers what is charged.
    """
    if order_fee_minor is None:
        return fee
    priced = tuple([it for it in fee.lines if it.item not in _AFTER])
    item = FeeItem.ORDER_FEE_REDUCTION if order_fee_minor else FeeItem.PAID_ELSEWHERE
    over = reduction(item, priced, order_fee_minor)
    if not over.amount_minor:
        return fee
    waived_minor = min(waived_minor, order_fee_minor)
    paused = tuple([it for it in fee.lines if it.item is FeeItem.PAUSED_MINUTES])
    waived = shown([line(FeeItem.WAIVED, 1, -waived_minor)])
    lines = (*priced, over, *paused, *waived)
    return Fee(lines, total(lines))


def require_fee(fee_minor: int, product: Product, field: str) -> None:
    """Raises InvalidInput if the product's terms do not allow this fee of an order.

    `field` is the path of the amount.
    """
    most_minor = product.tariff.buy_out_minor
    if most_minor and fee_minor > most_minor:
        raise InvalidInput.of(
            f"{field}.amount_minor",
            "order_fee.exceeds_buy_out",
            f"must be at most {most_minor}, the buy-out cap of the tariff",
        )
    hold_minor = product.most_hold_minor
    if hold_minor is not None and product.deposit_minor + fee_minor > hold_minor:
        raise InvalidInput.of(
            f"{field}.amount_minor",
            "order_fee.exceeds_hold",
            f"must be at most {hold_minor - product.deposit_minor}: the product holds at most"
            f" {hold_minor}, the deposit included",
        )


def require_ordered(it: Authorization, purpose: Purpose, amount_minor: int) -> None:
    """Raises InvalidInput if the fee of the order does not allow to capture the amount."""
    most_minor = it.order_fee_minor
    if most_minor is None or not amount_minor:
        return
    if not most_minor and purpose is not Purpose.DAMAGE:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.paid_elsewhere",
            "must be zero unless the purpose is DAMAGE: the order says that its fee is paid"
            " elsewhere",
        )
    left_minor = most_minor - it.fee_captured_minor
    if purpose is Purpose.FEE and amount_minor > left_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.exceeds_order_fee",
            f"must be at most {left_minor}, the rest of the order's fee; raise the fee with"
            " IncrementAuthorization",
        )


def raised_minor(it: Authorization, by_minor: int) -> int | None:
    """The fee of the order after an increment; one that is paid elsewhere stays so."""
    return it.order_fee_minor + by_minor if it.order_fee_minor else it.order_fee_minor
