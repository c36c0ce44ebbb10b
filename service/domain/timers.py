"""Timers: offers lapse, rentals become overdue, claims are accepted, debts and refunds are paid."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain import appearances, cancellations, collection, debts, settlement
from service.domain.authorization import (
    Authorization,
    Custody,
    State,
    Step,
    Transfer,
    TransferKind,
    step,
)
from service.domain.captures import Capture
from service.domain.dunning import LADDER, Delinquency, Rung, delinquency
from service.domain.meter import RUNNING, Meter
from service.domain.product import Product
from service.domain.transitions import Transition

_RANGE_TRANSITIONS = {
    Delinquency.DAYS_1_TO_30: Transition.DUE_1_DAY,
    Delinquency.DAYS_31_TO_60: Transition.DUE_31_DAYS,
    Delinquency.DAYS_61_TO_90: Transition.DUE_61_DAYS,
    Delinquency.DAYS_91_AND_MORE: Transition.DUE_91_DAYS,
}


def is_due(authorization: Authorization, now_us: int) -> bool:
    """Whether a timer of the authorization is due by now, the exact instant included."""
    wake_us = authorization.wake_us
    return wake_us is not None and wake_us <= now_us


def has_lapsed(authorization: Authorization, now_us: int) -> bool:
    """Whether the state has ended by now. A refund that is due does not count, because it frees
    neither a line nor an item."""
    life_us = authorization.life_us
    return life_us is not None and life_us <= now_us


def advance(
    authorization: Authorization,
    product: Product,
    now_us: int,
    captures: Sequence[Capture] = (),
    meter: Meter = RUNNING,
) -> Step | None:
    """The first due timer's step, or None if no timer is due.

    `captures` are the captures of the rental if its lost item appeared; `meter` is the rental's
    meter.

    To bring an authorization up to the present, call this until it returns None. Each step takes
    effect at the instant when it was due, however late it runs.
    """
    wake_us = authorization.wake_us
    if wake_us is None or wake_us > now_us:
        return None
    if authorization.refund_us == wake_us:
        return collection.refund_by_time(authorization, wake_us)
    match authorization.state:
        case State.OFFERED | State.REVIEW | State.AUTHORIZED:
            return cancellations.lapse(authorization, product)
        case State.ACTIVE if authorization.parent_id:
            return settlement.lapse_charge(authorization)
        case State.ACTIVE:
            return settlement.overdue(authorization, product)
        case State.OVERDUE:
            return settlement.lose(authorization, product, wake_us, meter)
        case State.RETURN_CLAIMED:
            return settlement.accept_claim(authorization, product, meter)
        case _:
            missing = authorization.custody is Custody.MISSING
            if missing and authorization.sold_us == wake_us:
                return settlement.sell(authorization)
            if authorization.claim_until_us == wake_us:
                return appearances.presume_return(authorization, product, captures, meter)
            if debts.lapses(authorization, wake_us):
                return debts.lapse(authorization)
            return climb(authorization, now_us)


def climb(authorization: Authorization, now_us: int) -> Step:
    """The next rung of the ladder.

    If the server was down for long, only the last missed debit and the last missed reminder are
    sent now, so a person is not debited five times in one morning. No debit is requested while the
    rail has not answered the previous debit.
    """
    close_us = authorization.close_us or 0
    passed = [place for place, it in enumerate(LADDER) if close_us + it.after_us <= now_us]
    place = authorization.rung
    while LADDER[place].rung is not Rung.RANGE and any(
        LADDER[later].rung is LADDER[place].rung for later in passed if later > place
    ):
        place += 1
    after_us, rung = LADDER[place]
    event_us = close_us + after_us
    if rung is Rung.REMIND:
        return step(authorization, (), Transition.REMINDED, event_us, rung=place + 1)
    if rung is Rung.RANGE:
        begins = _RANGE_TRANSITIONS[delinquency(after_us)]
        return step(authorization, (), begins, event_us, rung=place + 1)
    if authorization.debiting_minor:
        return step(authorization, (), Transition.DEBIT_AWAITED, event_us, rung=place + 1)
    due_minor = authorization.collectable_minor
    return step(
        authorization,
        (),
        Transition.DEBIT_REQUESTED,
        event_us,
        Transfer(TransferKind.DEBIT, due_minor),
        rung=place + 1,
        debiting_minor=due_minor,
    )
