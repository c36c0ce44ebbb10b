"""Quotes: the rough sight of a credit line, and the bounds of a rental's cost.

A quote leaves no trace, so an operator could ask for as many as it likes. Quotes for products of
different deposits would then find the free part of a person's line by bisection. So a quote sees
the free part only roughly, rounded down to one of ten amounts in each power of ten. However many
quotes are asked for, they find only in which of these intervals the free part lies.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from service.domain.authorization import CLOSED, Authorization
from service.domain.errors import IllegalState, InvalidInput
from service.domain.meter import Meter, Pause
from service.domain.metered import fee_between
from service.domain.policy import Policy
from service.domain.product import Product
from service.domain.tariff import DAY_US, Fee

LONGEST_US = 366 * DAY_US
"""The longest usage of a quote."""
_ROUGH = (80, 60, 50, 40, 30, 25, 20, 15, 12, 10)
"""The amounts to which a quote rounds, from 10 to 99."""


def rough_minor(available_minor: int) -> int:
    """The free part of a line as a quote sees it, in minor units: at most `available_minor`.

    It is one of `_ROUGH` times a power of ten. A free part below 10 is seen as nothing.
    """
    if available_minor < 10:
        return 0
    unit: int = 10 ** (len(str(available_minor)) - 2)
    return next(it * unit for it in _ROUGH if it * unit <= available_minor)


class Cost(NamedTuple):
    """The least and the most that a rental can cost, in minor units; `most_fee_minor` is the most
    for its usage if the item comes back."""

    least_minor: int
    most_fee_minor: int
    most_minor: int


def cost_of(product: Product, order_fee_minor: int | None = None) -> Cost:
    """The bounds of a rental's cost under the present terms, and with the fee of the order.

    The least is the fee of an item that is returned at once. The most is the buy-out cap, which is
    also the price of an item that does not come back. The fee of the order lowers only the fee.
    """
    free_us = product.policy.free_cancellation_us
    at_once = fee_between(product.tariff, 0, 0, Meter(), free_us, order_fee_minor=order_fee_minor)
    most_minor = product.tariff.buy_out_minor
    fee_minor = most_minor if order_fee_minor is None else min(most_minor, order_fee_minor)
    return Cost(at_once.total_minor, fee_minor, most_minor)


class QuotedFee(NamedTuple):
    """The fee of a usage from `start_us` to `end_us`, in microseconds since the epoch.

    `captured_minor` is the part that was captured before.
    """

    product: Product
    start_us: int
    end_us: int
    fee: Fee
    captured_minor: int = 0


def require_length(start_us: int, end_us: int) -> None:
    """Raises InvalidInput unless the end lies after the start, and at most 366 days after it."""
    if end_us < start_us:
        raise InvalidInput.of("end_time", "end_time.before_start", "must not lie before the start")
    if end_us - start_us > LONGEST_US:
        raise InvalidInput.of(
            "end_time", "end_time.too_late", "must lie at most 366 days after the start"
        )


def quote_usage(
    product: Product,
    start_us: int,
    end_us: int,
    pauses: tuple[Pause, ...],
    reserve_us: int | None = None,
    order_fee_minor: int | None = None,
) -> QuotedFee:
    """The fee of a usage with these pauses, by the product's tariff, and at most that of the order.

    Since `reserve_us` the item was reserved; None means that it was not.

    Raises InvalidInput if the usage or the reservation is too long, or if the pauses are not in
    order, not within the usage, or beyond the policy's bounds.
    """
    require_length(start_us, end_us)
    waited_us = 0 if reserve_us is None else start_us - reserve_us
    if not 0 <= waited_us <= LONGEST_US:
        text = "must not lie after the start, and at most 366 days before it"
        raise InvalidInput.of("reserve_time", "reserve_time.range", text)
    _require_order(start_us, end_us, pauses)
    _require_bounds(product.policy, pauses)
    free_us = product.policy.free_cancellation_us
    times_us = (start_us, end_us)
    fee = fee_between(product.tariff, *times_us, Meter(pauses), free_us, waited_us, order_fee_minor)
    return QuotedFee(product, start_us, end_us, fee)


def _require_order(start_us: int, end_us: int, pauses: tuple[Pause, ...]) -> None:
    for place, it in enumerate(pauses):
        if not start_us <= it.from_us <= it.until_us <= end_us:
            raise InvalidInput.of(
                f"pauses[{place}]",
                "pauses.within",
                "must begin before it ends, and lie between start_time and end_time",
            )
    for place, (before, after) in enumerate(pairwise(pauses), 1):
        if after.from_us < before.until_us:
            raise InvalidInput.of(
                f"pauses[{place}].start_time",
                "pauses.in_order",
                "must not lie before the end of the earlier pause",
            )


def _require_bounds(policy: Policy, pauses: tuple[Pause, ...]) -> None:
    if len(pauses) > policy.most_pauses:
        raise InvalidInput.of(
            "pauses", "pauses.most", f"must be at most {policy.most_pauses}, as the policy says"
        )
    if sum(it.length_us for it in pauses) > policy.pause_limit_us:
        raise InvalidInput.of(
            "pauses",
            "pauses.longest",
            f"must last at most {policy.pause_limit_us // 1_000_000} s together, as the policy"
            " says",
        )


def require_startable(it: Authorization) -> None:
    """Raises IllegalState for an authorization that was closed before the item went out."""
    if it.start_us is None and it.state in CLOSED:
        raise IllegalState("NOT_STARTED", "the item was never handed out", it.state)
