"""Waivers: the operator gives up the fee of a rental, or a part of it, because of a fault.

A part that was captured is given back at once. The rest is not captured later. After a late pick-up
the fee may be above the hold. The part above the hold is a debt (`late_pickups.py`), and a waiver
lowers this debt first. The price of a lost item is no fee, and is charged all the same until the
item is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.domain.acts import Act, require, require_rental
from service.domain.authorization import CHARGED, Authorization, Custody, State, Step, step
from service.domain.captures import WITHOUT_ROW, Capture, Part
from service.domain.errors import IllegalState, InvalidInput
from service.domain.meter import Meter
from service.domain.product import Product
from service.domain.settlement import REPORT_FOUND, give_fee_back, kept_fee_minor, usage_fee
from service.domain.transitions import Transition

WAIVE_FEE = Act("WaiveFee", CHARGED)


class Waiver(NamedTuple):
    """A waived amount in minor units; `pending_minor` of it is not captured later."""

    amount_minor: int
    pending_minor: int


def waive(
    authorization: Authorization,
    product: Product,
    meter: Meter,
    captures: Sequence[Capture],
    amount_minor: int | None,
    now_us: int,
    above_minor: int = 0,
) -> tuple[Step, Waiver]:
    """Waives an amount of the fee. None means the whole fee, including its later growth.

    `above_minor` is what is left of the debt for the fee above the hold. The waived part of the
    debt is subtracted from `uncollected_minor`, and the debt is lowered to the rest.

    Raises IllegalState if the item is lost or nothing is left to waive, and InvalidInput for more
    than is left of the fee until now.
    """
    require_rental(authorization)
    require(authorization, WAIVE_FEE)
    settled = authorization.state is State.SETTLED
    if settled and authorization.custody is not Custody.IN_STATION:
        raise IllegalState(
            "NOT_RETURNED",
            f"the item counts as lost; report its return with {REPORT_FOUND.call}",
            authorization.state,
        )
    kept_minor = kept_fee_minor(authorization, captures)
    captured_minor = authorization.fee_captured_minor
    if settled:
        grown_minor = most_minor = kept_minor + above_minor
    else:
        total_minor = usage_fee(authorization, product, now_us, meter).total_minor
        most_minor = kept_minor + max(0, total_minor - captured_minor)
        left_minor = product.tariff.buy_out_minor - meter.pending_minor - captured_minor
        if authorization.order_fee_minor == 0:
            left_minor = 0  # it is paid elsewhere, and never grows
        grown_minor = kept_minor + max(0, left_minor)
    waived_minor = grown_minor if amount_minor is None else amount_minor
    if waived_minor == 0 or (amount_minor is not None and most_minor == 0):
        raise IllegalState("NOTHING_TO_WAIVE", "no fee is left to waive", authorization.state)
    if amount_minor is not None and not 0 < amount_minor <= most_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.exceeds_fee",
            f"must be more than zero and at most {most_minor}, the rest of the fee until now",
        )
    lowered_minor = min(waived_minor, above_minor)
    given_minor = min(waived_minor - lowered_minor, kept_minor)
    pending_minor = waived_minor - lowered_minor - given_minor
    it = authorization
    if amount_minor is None and settled:
        it = it._replace(uncollected_minor=0)
    elif lowered_minor:
        it = it._replace(uncollected_minor=above_minor - lowered_minor)
    it, postings, parts = give_fee_back(it, captures, given_minor)
    if lowered_minor + pending_minor:
        parts = (*parts, Part(WITHOUT_ROW, lowered_minor + pending_minor))
    waived = step(it, postings, Transition.FEE_WAIVED, now_us, parts=parts)
    if amount_minor is None:
        waived = waived._replace(regain_minor=0)
    return waived, Waiver(waived_minor, pending_minor)
