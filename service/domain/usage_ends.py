"""The start of a rental, and the instant at which its fee stops.

The fee stops at the item's return. A claimed return stops it earlier, and so does a granted
complaint that the item could not be returned or used.
"""

from __future__ import annotations

from service.domain.authorization import Authorization
from service.domain.errors import InvariantBroken


def started_us(authorization: Authorization) -> int:
    """The start of the rental; every item that is out has one."""
    if authorization.start_us is None:
        raise InvariantBroken("an item is out and has no start time")
    return authorization.start_us


def reserved_us(authorization: Authorization, until_us: int) -> int:
    """The time until `until_us` for which the item was reserved, in microseconds; 0 if the tariff
    has no price for it."""
    reserve_us = authorization.reserve_us
    return 0 if reserve_us is None else max(0, until_us - reserve_us)


def is_stopped(authorization: Authorization, at_us: int) -> bool:
    """Whether the fee stopped before `at_us`, by a claimed return or a granted complaint."""
    return authorization.claim_us is not None and authorization.claim_us < at_us


def earlier_us(authorization: Authorization, stop_us: int) -> int:
    """The time at which the fee stops: `stop_us`, or the earlier time at which it has stopped
    already."""
    return stop_us if authorization.claim_us is None else min(stop_us, authorization.claim_us)


def usage_end_us(authorization: Authorization, end_us: int) -> int:
    """The end of the billed usage: `end_us`, or the earlier time at which the fee stopped."""
    if authorization.claim_us is None:
        return end_us
    # Another process, whose clock is a little ahead, may have written the start.
    return max(started_us(authorization), min(end_us, authorization.claim_us))
