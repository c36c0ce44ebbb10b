"""Damage: all charges for damage to the item of one rental are within one bound.

The product's terms may have a lower bound: charges above it need the user's consent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.domain import timers
from service.domain.authorization import CLOSED, Authorization
from service.domain.captures import Capture, Purpose
from service.domain.errors import ConsentRequired, InvalidInput
from service.domain.late_pickups import is_fee
from service.domain.product import Product


def charged_minor(
    captures: Iterable[Capture], charges: Iterable[Authorization], now_us: int
) -> int:
    """The amount charged for damage to one rental, less the amount that the operator gave up.

    It is captured in the rental itself, or a damage charge asks for it. Of a damage charge that has
    ended, or is due to end now, only the captured amount counts; of a debt without a hold, the
    amount that was not dropped. The part of a fee above the hold is no damage.
    """
    in_rental_minor = sum(it.kept_minor for it in captures if it.purpose is Purpose.DAMAGE)
    return in_rental_minor + sum(_asked_minor(it, now_us) for it in charges if not is_fee(it))


def _asked_minor(it: Authorization, now_us: int) -> int:
    if it.unheld_minor:
        return it.unheld_minor - it.unheld_dropped_minor - it.conceded_minor
    ended = it.state in CLOSED or timers.has_lapsed(it, now_us)
    most_minor = it.captured_minor if ended else it.credit_minor + it.cash_minor
    return most_minor - it.conceded_minor


def require_within(
    amount_minor: int,
    product: Product,
    captures: Iterable[Capture],
    charges: Sequence[Authorization],
    now_us: int,
    *,
    consented: bool,
) -> None:
    """Raises InvalidInput if the amount is above what is left of the deposit for damage.

    `product` is that of the rental, `captures` are the rental's, and `charges` its damage charges.
    `consented` says that the user consents to this charge. The product's terms allow a total of
    damage without consent. Raises ConsentRequired if all damage, with this charge, exceeds this
    total and the user does not consent.
    """
    before_minor = charged_minor(captures, charges, now_us)
    left_minor = product.deposit_minor - before_minor
    if amount_minor > left_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.exceeds_damage",
            f"must be at most {max(0, left_minor)}, the rest of the deposit for damage",
        )
    bound_minor = product.damage_without_consent_minor
    if bound_minor is not None and not consented and before_minor + amount_minor > bound_minor:
        raise ConsentRequired(bound_minor, max(0, bound_minor - before_minor))
