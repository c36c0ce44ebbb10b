"""Cancellations by the user: free at first, then for the fee of a reservation.

The operator releases a hold for nothing at any time, because then the item is at fault or was never
there. A user who cancels pays for the time in which the item was kept from others. The policy gives
a time in which that is free.
"""

from __future__ import annotations

from service.domain.acts import require, require_rental
from service.domain.authorization import Authorization, Custody, State, Step
from service.domain.captures import Purpose, Taken
from service.domain.errors import IllegalState
from service.domain.hold import REVERSE, reverse
from service.domain.product import Product
from service.domain.settlement import final_capture
from service.domain.transitions import Transition
from service.domain.usage_ends import started_us


def cancel(authorization: Authorization, product: Product, now_us: int) -> Step:
    """Cancels for the user: takes the fee of a late cancellation, and releases the rest of the
    hold.

    An offer or a review costs nothing. A cancellation within the policy's free time costs nothing,
    and neither does any cancellation if the policy has no free time. Raises IllegalState in the
    same cases as `reverse`, for a damage charge, and for a rental after its free time.
    """
    require_rental(authorization)
    require(authorization, REVERSE)
    free_us = product.policy.free_cancellation_us
    waits = authorization.state is State.AUTHORIZED
    if free_us is None or not (waits or authorization.state is State.ACTIVE):
        return reverse(authorization, now_us)
    if now_us <= _since_us(authorization, waits=waits) + free_us:
        return reverse(authorization, now_us)
    if not waits:
        raise IllegalState(
            "FREE_CANCELLATION_OVER",
            f"a rental can be cancelled for nothing only within {free_us // 1_000_000} s of its"
            " start: settle the rental by its usage",
            authorization.state,
        )
    fee_minor = product.cancellation_fee_minor
    if not fee_minor:
        return reverse(authorization, now_us)
    taken = Taken(Purpose.FEE, min(fee_minor, authorization.held_minor))
    return final_capture(
        authorization,
        taken,
        Custody.IN_STATION,
        Transition.CANCELLED,
        now_us,
        now_us,
        fee_minor,
    )


def _since_us(it: Authorization, *, waits: bool) -> int:
    """The instant from which the free time counts: the start, or the beginning of the reservation.

    The beginning of a reservation is not stored. It is computed from the reservation's end, so an
    extension moves it too.
    """
    if not waits:
        return started_us(it) + it.paused_us
    return it.create_us if it.expire_us is None else it.expire_us - it.pickup_window_us
