"""What time alone does: offers lapse, rentals fall due, claims are decided, debts are collected."""

from __future__ import annotations

from service.domain import hold, settlement
from service.domain.authorization import (
    Authorization,
    Custody,
    State,
    Step,
    Transfer,
    TransferKind,
    step,
)
from service.domain.dunning import LADDER, Delinquency, Rung, delinquency
from service.domain.product import Product
from service.domain.transitions import Transition

_RANGE_TRANSITIONS = {
    Delinquency.DAYS_1_TO_30: Transition.DUE_1_DAY,
    Delinquency.DAYS_31_TO_60: Transition.DUE_31_DAYS,
    Delinquency.DAYS_61_TO_90: Transition.DUE_61_DAYS,
    Delinquency.DAYS_91_AND_MORE: Transition.DUE_91_DAYS,
}


def is_due(authorization: Authorization, now_us: int) -> bool:
    """Whether time has changed something by now; it changes at the instant, not after it."""
    return authorization.wake_us is not None and authorization.wake_us <= now_us


def advance(authorization: Authorization, product: Product, now_us: int) -> Step | None:
    """The first thing that time has done by now; None when there is nothing.

    Applied until there is none, it brings an authorization up to the present; each step is as
    of the instant at which it was due, however late it is noticed.
    """
    wake_us = authorization.wake_us
    if wake_us is None or wake_us > now_us:
        return None
    match authorization.state:
        case State.OFFERED | State.REVIEW | State.AUTHORIZED:
            return hold.expire(authorization)
        case State.ACTIVE if authorization.parent_id:
            return settlement.lapse_charge(authorization)
        case State.ACTIVE:
            return settlement.overdue(authorization)
        case State.OVERDUE:
            return settlement.lose(authorization, product, wake_us)
        case State.RETURN_CLAIMED:
            return settlement.accept_claim(authorization, product)
        case _:
            missing = authorization.custody is Custody.MISSING
            if missing and authorization.sold_us == wake_us:
                return settlement.sell(authorization)
            return climb(authorization, now_us)


def climb(authorization: Authorization, now_us: int) -> Step:
    """The next rung of the ladder.

    When the server was away for long, only the last of the debits and reminders missed is made
    up for: nobody is debited five times on one morning. While the rail has not answered a debit, no
    other is asked for.
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
    due_minor = authorization.due_minor
    return step(
        authorization,
        (),
        Transition.DEBIT_REQUESTED,
        event_us,
        Transfer(TransferKind.DEBIT, due_minor),
        rung=place + 1,
        debiting_minor=due_minor,
    )
