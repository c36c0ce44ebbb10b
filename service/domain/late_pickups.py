"""Late pick-ups: an item was picked up within its reservation, and this is told after the
reservation has ended.

The reservation stays EXPIRED, or REVERSED if it was cancelled after the pick-up. If its time was
billed at its end, it stays SETTLED, and the fee is given back, because the rental bills the time
until the pick-up with its own fee. The late pick-up
is an authorization of its own that cites it: it has the same terms, it rests on the same decision,
and it is ACTIVE from its beginning. The item is out already, so neither the person's standing nor a
full line can refuse it; the hold is what the line still has.

After the end, another rental may have got the item. If that rental has not started, it ends,
because there is nothing to pick up.

The hold may be too small for the fee. The rest of the fee is booked with the settlement as a debt
without a hold (`debts.py`), at most up to the buy-out cap; it is lowered if the item turns out to
have been docked earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.domain import complaints, debts, hold, settlement
from service.domain.acts import Act, require
from service.domain.authorization import Authorization, Custody, Start, State, Step, step
from service.domain.captures import Capture, Purpose
from service.domain.errors import InvalidInput, InvariantBroken
from service.domain.ledger import Account, Posting
from service.domain.meter import Meter
from service.domain.order_fees import require_ordered
from service.domain.policy import MAX_REASONS, Reason
from service.domain.product import Product
from service.domain.transitions import Transition

TAKE_PLACE = Act("StartRental", frozenset({State.AUTHORIZED}))
"""The states in which a promised item may be taken away again: it was not picked up."""


RETURNING = frozenset(
    {
        *(Transition.FOUND, Transition.RETURN_PRESUMED, Transition.FEE_WAIVED),
        *(Transition.CASE_DECIDED, Transition.CASE_DECIDED_BY_TIME, Transition.PAUSED),
    }
)
"""The transitions that may lower a fixed fee, because the item was docked earlier, because the
operator waives a part of it, or because a pause is told late."""


class LatePickup(NamedTuple):
    """A late pick-up: the step of the new rental, and that of the reservation.

    The reservation changes only if its deposit has not gone out yet: the new rental takes over
    `deposit_minor`, in minor units.
    """

    rental: Step
    reservation: Step | None
    deposit_minor: int


def has_ended(reservation: Authorization) -> bool:
    """Whether a reservation ended before a pick-up was told, perhaps for the price of its time."""
    if reservation.state is State.SETTLED:
        return reservation.reserve_us is not None and reservation.start_us is None
    return reservation.state in (State.EXPIRED, State.REVERSED)


def give_fee_back(reservation: Authorization, captures: Sequence[Capture], now_us: int) -> Step:
    """Gives back the fee of a reservation that was billed at its end; `captures` are its own."""
    # Another process, whose clock is ahead, may have ended the reservation.
    at_us = max(now_us, reservation.close_us or now_us)
    return settlement.docked(reservation, captures, 0, Transition.DEPOSIT_CARRIED_OVER, at_us)


def is_cited(reservation: Authorization, start_us: int) -> bool:
    """Whether an item picked up at `start_us` was picked up before the reservation ended."""
    close_us = reservation.close_us
    if not has_ended(reservation) or close_us is None:
        return False
    return start_us < close_us


def has_deposit(reservation: Authorization) -> bool:
    """Whether the reservation still owes back its whole deposit, or had none."""
    return reservation.payable_out_minor >= reservation.cash_minor


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
    """Begins the rental of an item that was picked up at `start_us`, before the end.

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
        reserve_us=reservation.reserve_us,
        order_fee_minor=reservation.order_fee_minor,
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
        hold.release(promised.held_credit_minor, promised.held_cash_minor),
        Transition.ASSET_TAKEN,
        now_us,
        reasons=(Reason.ASSET_TAKEN, *others)[:MAX_REASONS],
    )


# -- the fee above the hold -----------------------------------------------------------------------


def _most_minor(it: Authorization, product: Product) -> int:
    """The part of the buy-out cap that is not captured; without a cap, of the deposit."""
    cap_minor = product.tariff.buy_out_minor or product.deposit_minor
    return max(0, cap_minor - it.fee_captured_minor)


def split_fee(
    it: Authorization,
    product: Product,
    amount_minor: int,
    now_us: int,
    event_us: int,
    meter: Meter,
) -> int:
    """The part of a late pick-up's fee that is captured from the hold; the rest becomes a debt.

    Raises InvalidInput if hold and debt together cannot take the amount, if it is above the fee of
    the order, above the fee when the return was claimed, or above the fee that a waiver left.
    """
    most_minor = max(it.held_minor, _most_minor(it, product))
    if amount_minor > most_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.exceeds_cap",
            f"must be at most {most_minor}: the amount held, or the buy-out cap",
        )
    require_ordered(it, Purpose.FEE, amount_minor)
    settlement.require_claimed(it, product, amount_minor, now_us, meter)
    settlement.require_unwaived(it, product, amount_minor, event_us, meter)
    return min(amount_minor, it.held_minor)


def above_hold_minor(step: Step, product: Product) -> int:
    """The part of the fee that a late pick-up's settlement did not capture; 0 for other steps."""
    it = step.authorization
    if step.transition not in settlement.DOCKINGS or it.state is not State.SETTLED:
        return 0
    return min(it.uncollected_minor, _most_minor(it, product))


def book_fee(
    settled: Authorization, product: Product, authorization_id: str, amount_minor: int
) -> Step:
    """Books the part of the fee above the hold as a debt that cites the settled late pick-up.

    No request made it, so it has none.
    """
    at_us = settled.close_us
    if at_us is None:
        raise InvariantBroken("a settled rental has no end time")
    booked = debts.book(settled, product, authorization_id, "", amount_minor, at_us)
    debt = booked.authorization._replace(reasons=(Reason.FEE_ABOVE_HOLD,))
    return booked._replace(authorization=debt)


def is_fee(debt: Authorization) -> bool:
    """Whether a debt is the part of a fee above the hold; others are for damage."""
    return bool(debt.unheld_minor) and Reason.FEE_ABOVE_HOLD in debt.reasons


def standing_fee_minor(debt: Authorization) -> int:
    """The part of a debt that nobody has given up; it may be paid."""
    return debt.unheld_minor - debt.unheld_dropped_minor - debt.conceded_minor


def excess_minor(debt: Authorization, rental: Authorization) -> int:
    """The part of the debt above the fee that is still not captured; negative if it is lower."""
    return standing_fee_minor(debt) - rental.uncollected_minor


def lower_fee(debt: Authorization, found: Step, excess_minor: int) -> Step:
    """Lowers the debt by its excess. The operator may regain nothing that it gave up before.

    `found` is the step that lowers the fee of the rental: a report that the item was docked
    earlier, a waiver, or a late pause.
    """
    # The events of a case, and of a waiver, belong to the authorization that it is about.
    own = found.transition in (Transition.RETURN_PRESUMED, Transition.PAUSED)
    transition = found.transition if own else Transition.FOUND
    lowered = complaints.grant(debt, excess_minor, transition, found.event_us)
    return lowered._replace(regain_minor=0)
