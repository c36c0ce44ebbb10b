"""Reservations and rentals that the user cancels, and reservations that time ends.

The operator releases a hold for nothing at any time, because then the item is at fault or was never
there. A user who cancels pays for the time in which the item was kept from others, and so does one
who lets the time pass. Two prices are possible, and are added up. The tariff may have a price for
each unit of a reservation (`reservation_fee.py`), with free minutes of its own. The product may
have a fee for cancelling a reservation after the policy's free time.
"""

from __future__ import annotations

from service.domain.acts import require, require_rental
from service.domain.authorization import Authorization, Custody, State, Step
from service.domain.captures import Purpose, Taken
from service.domain.errors import IllegalState
from service.domain.fee_lines import Fee, FeeItem, line, shown
from service.domain.hold import REVERSE, expire, reverse
from service.domain.order_fees import within_order
from service.domain.product import Product
from service.domain.reservation_fee import after_reservation, reservation_lines
from service.domain.settlement import final_capture
from service.domain.tariff import AnyTariff
from service.domain.transitions import Transition
from service.domain.usage_ends import reserved_us, started_us


def cancel(
    authorization: Authorization, product: Product, now_us: int, waived_minor: int = 0
) -> Step:
    """Cancels for the user: takes the fee of the reservation and of a late cancellation, and
    releases the rest of the hold.

    An offer or a review costs nothing. A cancellation within the policy's free time, or under a
    policy without one, costs only the price of the reservation until then. `waived_minor` of the
    fee was waived before. Raises IllegalState in the same cases as `reverse`, for a damage charge,
    and for a rental after its free time.
    """
    require_rental(authorization)
    require(authorization, REVERSE)
    free_us = product.policy.free_cancellation_us
    waits = authorization.state is State.AUTHORIZED
    if not (waits or authorization.state is State.ACTIVE):
        return reverse(authorization, now_us)
    late = free_us is not None and now_us > _since_us(authorization, waits=waits) + free_us
    if late and not waits:
        raise IllegalState(
            "FREE_CANCELLATION_OVER",
            f"a rental can be cancelled for nothing only within {(free_us or 0) // 1_000_000} s of"
            " its start: settle the rental by its usage",
            authorization.state,
        )
    flat_minor = product.cancellation_fee_minor if late else 0
    until_us = now_us if waits else started_us(authorization)
    fee = ended_fee(authorization, product.tariff, until_us, flat_minor, waived_minor)
    if authorization.captured_minor or not _can_charge(authorization, fee):
        return reverse(authorization, now_us)
    return _charged(authorization, fee.total_minor, Transition.CANCELLED, now_us)


def lapse(authorization: Authorization, product: Product) -> Step:
    """Ends an authorization at the instant when it lapsed; a reservation is billed until then.

    Raises IllegalState as `expire`.
    """
    until_us = authorization.expire_us
    if authorization.reserve_us is None or until_us is None:
        return expire(authorization)
    fee = ended_fee(authorization, product.tariff, until_us, 0, 0)
    if not _can_charge(authorization, fee):
        return expire(authorization)
    return _charged(authorization, fee.total_minor, Transition.EXPIRED, until_us)


def _can_charge(it: Authorization, fee: Fee) -> bool:
    """Whether there is a fee; the price of a reservation is due only out of its hold."""
    return fee.total_minor > 0 and (it.reserve_us is None or it.held_minor > 0)


def _charged(it: Authorization, fee_minor: int, transition: Transition, at_us: int) -> Step:
    taken = Taken(Purpose.FEE, min(fee_minor, it.held_minor))
    return final_capture(it, taken, Custody.IN_STATION, transition, at_us, at_us, fee_minor)


def ended_fee(
    authorization: Authorization,
    tariff: AnyTariff,
    until_us: int,
    flat_minor: int,
    waived_minor: int,
) -> Fee:
    """The fee of a reservation that lasted until `until_us`, and the flat fee of its cancellation.

    It is at most that of the order. At most `waived_minor` is taken off.
    """
    reserved = reservation_lines(tariff, reserved_us(authorization, until_us))
    flat = line(FeeItem.CANCELLATION_FEE, 1, flat_minor)
    ended = after_reservation(shown((*reserved, flat)), Fee((), 0), waived_minor)
    return within_order(ended, authorization.order_fee_minor, waived_minor)


def flat_fee_minor(
    authorization: Authorization, fee_minor: int, free_us: int | None, at_us: int
) -> int:
    """The flat fee of a cancellation at `at_us` of a reservation that has a price by time.

    `fee_minor` is the product's fee, and `free_us` the policy's free time.
    """
    reserve_us, picked_up = authorization.reserve_us, authorization.start_us is not None
    if picked_up or free_us is None or reserve_us is None or at_us <= reserve_us + free_us:
        return 0
    return fee_minor


def _since_us(it: Authorization, *, waits: bool) -> int:
    """The instant from which the free time counts: the start, or the beginning of the reservation.

    Without a price by time the beginning of a reservation is not stored. It is then computed from
    the reservation's end, so an extension moves it too.
    """
    if not waits:
        return started_us(it) + it.paused_us
    if it.reserve_us is not None:
        return it.reserve_us
    return it.create_us if it.expire_us is None else it.expire_us - it.pickup_window_us
