"""The bounds on increments: of the whole hold, and of the tries on one authorization.

The charges for damage to one rental have the same bound of tries.
"""

from __future__ import annotations

from collections.abc import Iterable

from service.domain.authorization import Authorization
from service.domain.errors import IllegalState
from service.domain.policy import Policy, Reason
from service.domain.product import Product

DEPOSIT_REQUIRED = "DEPOSIT_REQUIRED"
DECIDED = frozenset({Reason.LINE_EXHAUSTED, DEPOSIT_REQUIRED})
"""The reasons of refusals that were decided on the line, and so tell something about it."""


def room_minor(authorization: Authorization, product: Product) -> int | None:
    """The amount by which the hold may still grow, in minor units; None means no bound.

    Captured parts count as held, so that a capture makes no room for another increment.
    """
    if product.most_hold_minor is None:
        return None
    whole_minor = authorization.credit_minor + authorization.cash_minor
    return max(0, product.most_hold_minor - whole_minor)


def require_room(authorization: Authorization, product: Product, by_minor: int) -> None:
    """Raises IllegalState if the increment makes the whole hold larger than the product's bound."""
    left_minor = room_minor(authorization, product)
    if left_minor is None or by_minor <= left_minor:
        return
    most_minor = product.most_hold_minor
    what = "damage charge" if authorization.parent_id else "rental"
    advice = f"increment it by at most {left_minor}" if left_minor else "it cannot be incremented"
    refusal = IllegalState(
        "INCREMENT_LIMIT",
        f"a {what} holds at most {most_minor} with all increments: {advice}",
        authorization.state,
    )
    refusal.metadata["most_hold_minor"] = str(most_minor)
    refusal.metadata["left_minor"] = str(left_minor)
    raise refusal


def require_try(authorization: Authorization, policy: Policy, tries: int) -> None:
    """Raises IllegalState if the policy allows no further try of an increment.

    The refusal is given before the line is looked at, so it tells nothing about the line.
    """
    most = policy.most_increments
    if most is None or tries < most:
        return
    refusal = IllegalState(
        "INCREMENT_TRIES_USED",
        f"IncrementAuthorization is decided at most {most} times for one authorization, and all"
        " tries are used",
        authorization.state,
    )
    refusal.metadata["most_increments"] = str(most)
    raise refusal


def require_charge_try(
    parent: Authorization, policy: Policy, charges: Iterable[Authorization], more: int
) -> None:
    """Raises IllegalState if the policy allows no so many more charges for damage to one rental.

    Each charge is decided on the line, granted or not; a debt without a hold is not. The refusal is
    given before the line is looked at, so it tells nothing about the line.
    """
    most = policy.most_increments
    if most is None or sum(it.decision_id != "" for it in charges) + more <= most:
        return
    refusal = IllegalState(
        "DAMAGE_TRIES_USED",
        f"Authorize decides at most {most} charges for damage to one rental, and the tries are"
        " used: book further damage as a debt (BookDebt)",
        parent.state,
    )
    refusal.metadata["most_increments"] = str(most)
    raise refusal
