"""Missing items that come up again: somebody else has one in hand, and nobody says since when."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.authorization import Authorization, Custody, Step, step
from service.domain.captures import Capture
from service.domain.errors import IllegalState
from service.domain.meter import RUNNING, Meter
from service.domain.product import Product
from service.domain.settlement import docked, unwaived_minor
from service.domain.tariff import day_most_minor
from service.domain.transitions import Transition
from service.domain.usage_ends import earlier_us, started_us


def appear(authorization: Authorization, product: Product, now_us: int) -> Step:
    """Somebody else has the missing item in hand: it was docked by now.

    The operator may say when, within the policy's time for a contest.
    """
    if authorization.custody is not Custody.MISSING:
        raise IllegalState("NOT_MISSING", "the item is not missing", authorization.state)
    # The clock of the process that recorded the loss may be ahead.
    seen_us = max(now_us, authorization.close_us or 0)
    appeared = authorization._replace(
        custody=Custody.UNKNOWN,
        sold_us=None,
        claim_us=earlier_us(authorization, seen_us),
        claim_until_us=now_us + product.policy.claim_window_us,
    )
    return step(appeared, (), Transition.APPEARED, seen_us)


def presume_return(
    authorization: Authorization,
    product: Product,
    captures: Sequence[Capture] = (),
    meter: Meter = RUNNING,
) -> Step:
    """The operator did not say when the item was docked: the person pays at most one day's cap."""
    until_us = authorization.claim_until_us
    if authorization.custody is not Custody.UNKNOWN or until_us is None:
        raise IllegalState("NOT_APPEARED", "nobody else has rented the item", authorization.state)
    total_minor = unwaived_minor(authorization, product, until_us, meter)
    day_minor = day_most_minor(product.tariff, started_us(authorization))
    most_minor = min(total_minor, day_minor)
    return docked(authorization, captures, most_minor, Transition.RETURN_PRESUMED, until_us)
