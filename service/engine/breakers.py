"""Open breakers in decisions: they ask for the whole deposit in cash.

The catalog has the open breakers, so a decision looks nothing up in the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Protocol

from service.domain.admission import Hit, Verdict, with_hits
from service.domain.breakers import BreakerKey, OpenedBreaker, Watched, breakers_of
from service.domain.policy import Reason
from service.domain.product import Product
from service.domain.rules import Outcome
from service.engine.context import Context
from service.engine.terms import Terms

_HIT = Hit(Outcome.FULL, Reason.BREAKER_OPEN)


def with_breakers(
    verdict: Verdict | None, operator_id: str, products: Sequence[Product], context: Context
) -> Verdict | None:
    """The verdict with the open breakers of the products' policies.

    The values name each breaker with the number of its opening, 0 for a closed one.
    """
    values: dict[str, object] = {}
    for product in products:
        policy = product.policy
        if policy.rules is None:
            continue
        for it in policy.rules.breaker or ():
            if it.currency == product.currency:
                key = BreakerKey(operator_id, policy.policy_id, it.currency)
                values[f"breaker.{policy.policy_id}"] = context.catalog.breakers.get(key, 0)
    if not values:
        return verdict
    hits = [_HIT] if any(values.values()) else []
    return with_hits(verdict, len(products), hits, values)


class Breakers(Protocol):
    """The stored breakers; thread-safe."""

    def look(self, watched: Sequence[Watched], now_us: int) -> list[OpenedBreaker]:
        """Opens and closes breakers by their losses; returns those that changed."""
        ...


class BreakerLog(Protocol):
    """Logs a breaker that opened, or closed by its own rule."""

    def __call__(self, breaker: OpenedBreaker, /) -> None: ...


class LossWatch:
    """Looks at the losses of all breakers in force; another thread calls `look`."""

    def __init__(self, terms: Terms, breakers: Breakers, log_breaker: BreakerLog) -> None:
        self._terms = terms
        self._breakers = breakers
        self._log_breaker = log_breaker
        self._lock = Lock()

    def look(self, now_us: int) -> None:
        """Opens and closes breakers; raises StorageFailed. Without a breaker in force it reads
        nothing."""
        watched = sorted(breakers_of(self._terms.used.catalog.products).values())
        if not watched:
            return
        with self._lock:
            changed = self._breakers.look(watched, now_us)
        for it in changed:
            self._log_breaker(it)
        if changed:
            self._terms.follow()
