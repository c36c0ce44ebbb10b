"""Breakers: a policy whose losses go beyond a bound waives no deposits, until somebody has looked.

A loss is an amount that the books tell: of a rental whose item did not come back, the part of its
charge that is not paid; of any other rental, the amount that was written off and not recovered, and
the debt that was dropped because its time was over. An amount counts at the time when the item
counted as lost, or when it was written off or dropped. A payment that comes later lowers the loss.

A worker adds the losses up, apart from the calls. An open breaker is a row, which servers follow as
they follow changed terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from service.domain.product import Product
from service.domain.rules import Breaker, Closes

BY_RULE = "rule"
"""Stands for a person where a breaker closed by its own rule."""


class BreakerKey(NamedTuple):
    """A breaker: of an operator under a policy, in a currency."""

    operator_id: str
    policy_id: str
    currency: str


class Watched(NamedTuple):
    """A breaker in force, and the revision of the policy that has it."""

    key: BreakerKey
    revision: int
    breaker: Breaker


class Losses(NamedTuple):
    """The losses of a window, in minor units, and the number of rentals that have one."""

    loss_minor: int
    rentals: int


class OpenedBreaker(NamedTuple):
    """A breaker that opened, with the sums that opened it and the bounds of then.

    `number` counts the operator's openings from 1. The losses are those since `since_us`. Instants
    are microseconds since the epoch, UTC. `close_us` is None while it is open; `closed_by` is the
    person, or `BY_RULE`.
    """

    operator_id: str
    number: int
    policy_id: str
    currency: str
    policy_revision: int
    window_us: int
    most_minor: int
    least_rentals: int
    loss_minor: int
    rentals: int
    since_us: int
    open_us: int
    close_us: int | None = None
    closed_by: str = ""
    close_reason: str = ""

    @property
    def key(self) -> BreakerKey:
        """The breaker."""
        return BreakerKey(self.operator_id, self.policy_id, self.currency)


def breakers_of(products: Mapping[tuple[str, str], Product]) -> dict[BreakerKey, Watched]:
    """The breakers of the products that operators rent out, by operator id and product id.

    Of a policy's revisions the newest counts.
    """
    found: dict[BreakerKey, Watched] = {}
    for (operator_id, _), product in products.items():
        policy = product.policy
        for it in () if policy.rules is None else policy.rules.breaker or ():
            key = BreakerKey(operator_id, policy.policy_id, it.currency)
            known = found.get(key)
            if known is None or known.revision < policy.revision:
                found[key] = Watched(key, policy.revision, it)
    return found


def since_of(breaker: Breaker, history: Iterable[OpenedBreaker], now_us: int) -> int:
    """The instant after which losses count: the window's begin, or the last time that a person
    closed the breaker."""
    closed = [it.close_us for it in history if it.closed_by != BY_RULE and it.close_us is not None]
    return max([now_us - breaker.window_us, *closed])


def opens(breaker: Breaker, losses: Losses) -> bool:
    """True if the losses open the breaker."""
    return losses.loss_minor > breaker.most_minor and losses.rentals >= breaker.least_rentals


def closes(breaker: Breaker, losses: Losses) -> bool:
    """True if an open breaker closes by its own rule."""
    return breaker.closes is Closes.WHEN_UNDER and losses.loss_minor <= breaker.most_minor
