"""The bound on all extensions of a reservation, a rental or a damage charge together."""

from __future__ import annotations

from service.domain.authorization import Authorization, State
from service.domain.errors import IllegalState
from service.domain.policy import Policy


def require_bounded(authorization: Authorization, policy: Policy, by_us: int) -> None:
    """Raises IllegalState if the extension makes the whole time longer than the policy's bound.

    The time of a reservation or a damage charge counts from the order, because an offer or a review
    may have kept the item too. The time of a rental counts from its start, without its pauses.
    """
    waits = authorization.state is State.AUTHORIZED
    most_us = policy.longest_reservation_us if waits else policy.longest_rental_us
    if most_us is None:
        return
    left_us = most_us - _whole_us(authorization)
    if by_us <= left_us:
        return
    what = "reservation" if waits else "damage charge" if authorization.parent_id else "rental"
    left_s = max(0, left_us) // 1_000_000
    advice = f"extend it by at most {left_s} s" if left_s else "it cannot be extended any more"
    refusal = IllegalState(
        "EXTENSION_LIMIT",
        f"a {what} lasts at most {most_us // 1_000_000} s with all extensions: {advice}",
        authorization.state,
    )
    refusal.metadata["longest_seconds"] = str(most_us // 1_000_000)
    refusal.metadata["left_seconds"] = str(left_s)
    raise refusal


def _whole_us(it: Authorization) -> int:
    if it.expire_us is not None:
        return it.expire_us - it.create_us
    return (it.due_us or 0) - (it.start_us or 0) - it.paused_us
