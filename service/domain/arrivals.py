"""Money that has arrived and is found to be for an authorization: no state of it loses the money.

It pays what the person owes of the authorization. Where nothing was ever owed, as after a
reservation that expired, it is owed back. The deposit of an offer is not paid so: it is confirmed
(`hold.py`).
"""

from __future__ import annotations

from service.domain import collection, hold
from service.domain.acts import Act, require
from service.domain.authorization import CHARGED, TAKEN, Authorization, Step

MATCH_SUSPENSE = Act("MatchSuspense", TAKEN)
"""Before that the authorization waits for a review, or for the deposit of its offer."""


def receive(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """A payment where the person owed something; else the amount is owed back.

    Raises IllegalState in a review or an offer.
    """
    owed = it.state in CHARGED and it.captured_credit_minor
    if owed or it.unheld_minor or it.twice_minor:
        return collection.pay(it, amount_minor, now_us)
    require(it, MATCH_SUSPENSE)
    return hold.owe_back(it, amount_minor, now_us)
