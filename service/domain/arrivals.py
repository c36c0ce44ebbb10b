"""Money that arrived with a wrong name, and is matched to its authorization: it is never lost.

The money pays what the person owes of the authorization. If nothing was ever owed, as after a
reservation that expired, the money is owed back. The deposit of an offer is no such payment: it is
confirmed (`hold.py`).
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
