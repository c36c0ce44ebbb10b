"""Lapses: steps that happened by time alone and ended or decided something. They can be listed."""

from __future__ import annotations

from enum import StrEnum

from service.domain.authorization import Authorization, State
from service.domain.transitions import Transition


class Lapse(StrEnum):
    """The kind of an end or a decision that time brought."""

    OFFER_EXPIRED = "OFFER_EXPIRED"
    REVIEW_EXPIRED = "REVIEW_EXPIRED"
    PICKUP_EXPIRED = "PICKUP_EXPIRED"
    DAMAGE_CHARGE_ENDED = "DAMAGE_CHARGE_ENDED"
    CLAIM_ACCEPTED = "CLAIM_ACCEPTED"
    LOST = "LOST"
    SOLD = "SOLD"
    RETURN_PRESUMED = "RETURN_PRESUMED"
    DEBT_DROPPED = "DEBT_DROPPED"


_EXPIRED = {
    State.OFFERED: Lapse.OFFER_EXPIRED,
    State.REVIEW: Lapse.REVIEW_EXPIRED,
    State.AUTHORIZED: Lapse.PICKUP_EXPIRED,
    State.ACTIVE: Lapse.DAMAGE_CHARGE_ENDED,
}
_BY_TRANSITION = {
    Transition.CLAIM_ACCEPTED: Lapse.CLAIM_ACCEPTED,
    Transition.LOST: Lapse.LOST,
    Transition.SOLD: Lapse.SOLD,
    Transition.RETURN_PRESUMED: Lapse.RETURN_PRESUMED,
    Transition.DEBT_DROPPED: Lapse.DEBT_DROPPED,
}


def lapse_of(before: Authorization, transition: Transition) -> Lapse | None:
    """The kind of a timer's step on this authorization; None if the step ended nothing."""
    if transition is Transition.EXPIRED:
        return _EXPIRED.get(before.state)
    return _BY_TRANSITION.get(transition)
