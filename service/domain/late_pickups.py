"""Late pick-ups: an item was picked up within its reservation, and this is told after the expiry.

The reservation stays EXPIRED. The late pick-up is an authorization of its own that cites it: it has
the same terms, it rests on the same decision, and it is ACTIVE from its beginning. The item is out
already, so neither the person's standing nor a full line can refuse it; the hold is what the line
still has.

Somebody else may have got the item promised after the expiry. If that rental has not started, it
ends, because there is nothing to pick up.
"""

from __future__ import annotations

from typing import NamedTuple

from service.domain import hold
from service.domain.acts import Act, require
from service.domain.authorization import Authorization, Custody, Start, State, Step, step
from service.domain.errors import InvariantBroken
from service.domain.ledger import Account, Posting
from service.domain.policy import MAX_REASONS, Reason
from service.domain.product import Product
from service.domain.transitions import Transition

TAKE_PLACE = Act("StartRental", frozenset({State.AUTHORIZED}))
"""The states in which a promised item may be taken away again: it was not picked up."""


class LatePickup(NamedTuple):
    """A late pick-up: the step of the new rental, and that of the reservation.

    The reservation changes only if its deposit has not gone out yet: the new rental takes over
    `deposit_minor`, in minor units.
    """

    rental: Step
    reservation: Step | None
    deposit_minor: int


def is_cited(reservation: Authorization, start_us: int) -> bool:
    """Whether an item picked up at `start_us` was picked up before the reservation expired."""
    close_us = reservation.close_us
    if reservation.state is not State.EXPIRED or close_us is None:
        return False
    return start_us < close_us


def pick_up(
    reservation: Authorization,
    product: Product,
    authorization_id: str,
    request_id: str,
    asset_id: str,
    available_minor: int,
    start_us: int,
    now_us: int,
) -> LatePickup:
    """Begins the rental of an item that was picked up at `start_us`, before the expiry.

    It holds on credit at most what the reservation held and the line has available. A deposit that
    the reservation still owes back is held again; one that has gone out is not asked for again.
    """
    if not is_cited(reservation, start_us) or reservation.close_us is None:
        raise InvariantBroken("the item was not picked up within the reservation")
    # Another process, whose clock is ahead, may have ended the reservation.
    at_us = max(now_us, reservation.close_us)
    credit_minor = min(reservation.credit_minor, available_minor)
    deposit_minor = min(reservation.cash_minor, reservation.payable_out_minor)
    rental = Authorization(
        user_id=reservation.user_id,
        authorization_id=authorization_id,
        operator_id=reservation.operator_id,
        request_id=request_id,
        product_id=reservation.product_id,
        product_revision=reservation.product_revision,
        parent_id="",
        group_id="",
        currency=reservation.currency,
        start=Start.LATE_PICKUP,
        accept_offers=reservation.accept_offers,
        band=reservation.band,
        decision_id=reservation.decision_id,
        model_id=reservation.model_id,
        policy_revision=reservation.policy_revision,
        fee_bp=reservation.fee_bp,
        create_us=at_us,
        pickup_window_us=reservation.pickup_window_us,
        rental_period_us=reservation.rental_period_us,
        asset_id=asset_id,
        offer=reservation.offer,
        state=State.ACTIVE,
        custody=Custody.OUT,
        reasons=reservation.reasons,
        credit_minor=credit_minor,
        cash_minor=deposit_minor,
        held_credit_minor=credit_minor,
        held_cash_minor=deposit_minor,
        received_minor=deposit_minor,
        refund_after_us=reservation.refund_after_us,
    )
    begun = step(
        rental,
        (
            Posting(Account.HELD, Account.AVAILABLE, credit_minor),
            Posting(Account.REFUND_PAYABLE, Account.DEPOSIT, deposit_minor),
        ),
        Transition.LATE_PICKED_UP,
        at_us,
        **hold.started(rental, product, start_us, now_us),
    )
    return LatePickup(begun, _carry_over(reservation, deposit_minor, at_us), deposit_minor)


def _carry_over(reservation: Authorization, deposit_minor: int, at_us: int) -> Step | None:
    """The reservation without the deposit; the posting is that of the new rental."""
    if not deposit_minor:
        return None
    return step(
        reservation,
        (),
        Transition.DEPOSIT_CARRIED_OVER,
        at_us,
        refund_payable_minor=reservation.refund_payable_minor - deposit_minor,
        received_minor=reservation.received_minor - deposit_minor,
    )


def take_away(promised: Authorization, now_us: int) -> Step:
    """Ends a rental that has not started, because its item was picked up by somebody else before.

    Raises IllegalState if it has started.
    """
    require(promised, TAKE_PLACE)
    ended = hold.closed(promised, State.REVERSED, Custody.IN_STATION, now_us)
    others = [reason for reason in promised.reasons if reason != Reason.ASSET_TAKEN]
    return step(
        ended,
        hold.release(promised),
        Transition.ASSET_TAKEN,
        now_us,
        reasons=(Reason.ASSET_TAKEN, *others)[:MAX_REASONS],
    )
