"""Money that arrived under a wrong name and is then matched to its authorization.

The money pays the amount that the person owes for the authorization. If nothing was ever owed, for
example because the reservation expired, the money is owed back. The deposit of an offer does not
come this way: a confirmation books it (`hold.py`).
"""

from __future__ import annotations

from service.domain import collection, hold
from service.domain.acts import Act, require
from service.domain.authorization import CHARGED, TAKEN, Authorization, Step

MATCH_SUSPENSE = Act("MatchSuspense", TAKEN)
"""In the states before these, the authorization waits for a review, or for the deposit of its
offer."""


def receive(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """Takes matched money in: as a payment if the person owed something; else it is owed back.

    Raises IllegalState for a review or an offer.
    """
    owed = it.state in CHARGED and it.captured_credit_minor
    if owed or it.unheld_minor or it.twice_minor:
        return collection.pay(it, amount_minor, now_us)
    require(it, MATCH_SUSPENSE)
    return hold.owe_back(it, amount_minor, now_us)
