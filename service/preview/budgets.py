"""Budgets of exposure over a history: the amounts on credit at the least and at the most.

One server counts: with several, leases refuse at most one slice earlier.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from service.domain.product import Product
from service.domain.rules import Budget, Span
from service.preview.history import DAY_US, NEVER

Key = tuple[str, str]
"""A policy and a currency."""
_BEGIN, _END = 0, 1


def budgets_of(product: Product) -> list[Budget]:
    """The budgets that count rentals of a product."""
    rules = product.policy.rules
    budgets = () if rules is None else rules.budget or ()
    return [it for it in budgets if it.currency == product.currency]


class Hold(NamedTuple):
    """An amount on credit: at least `least_minor` from `sure_us` on, and at most `most_minor` from
    `maybe_us` on, until `close_us`; NEVER if it still holds, and with `endless` at the most."""

    sure_us: int
    maybe_us: int
    close_us: int
    least_minor: int
    most_minor: int
    endless: bool


class Exposures:
    """The amounts that budgets count, as time goes on."""

    def __init__(self) -> None:
        self._coming: list[tuple[int, int, Key, int, int]] = []
        self._open: defaultdict[Key, list[int]] = defaultdict(lambda: [0, 0])
        self._days: defaultdict[tuple[Key, int], list[int]] = defaultdict(lambda: [0, 0])
        self._budgets: dict[int, tuple[Product, list[tuple[Key, Budget]]]] = {}

    def _of(self, product: Product) -> list[tuple[Key, Budget]]:
        """The budgets of a product, with their keys."""
        known = self._budgets.get(id(product))
        if known is None:
            key = product.policy.policy_id, product.currency
            # The product is kept, so that no other one gets its identity.
            known = product, [(key, it) for it in budgets_of(product)]
            self._budgets[id(product)] = known
        return known[1]

    def add(self, product: Product, it: Hold) -> None:
        """Adds the hold of an item."""
        if not it.most_minor or not self._of(product):
            return
        key = product.policy.policy_id, product.currency
        heappush(self._coming, (it.maybe_us, _BEGIN, key, 0, it.most_minor))
        if it.least_minor:
            heappush(self._coming, (it.sure_us, _BEGIN, key, it.least_minor, 0))
        if it.close_us != NEVER:
            # At its earliest the hold began at its end.
            end_us = max(it.close_us, it.sure_us)
            most_minor = 0 if it.endless else it.most_minor
            heappush(self._coming, (end_us, _END, key, it.least_minor, most_minor))

    def left_minor(self, products: Sequence[Product], now_us: int, *, most: bool) -> int | None:
        """The amount that budgets leave for these products together, with the most or the least
        exposure; None without a budget."""
        budgets = self._of(products[0])
        if len(products) > 1:
            budgets = [budget for it in products for budget in self._of(it)]
        if not budgets:
            return None
        self._advance(now_us)
        left = []
        for key, budget in budgets:
            used = self._open[key]
            if budget.span is Span.DAY:
                used = self._days[key, now_us // DAY_US]
            left.append(max(0, budget.most_minor - used[most]))
        return min(left)

    def _advance(self, now_us: int) -> None:
        """Takes all beginnings until now, and all ends before now: an end comes last."""
        coming = self._coming
        while coming and coming[0][:2] < (now_us, _END):
            at_us, kind, key, least_minor, most_minor = heappop(coming)
            sign = 1 if kind == _BEGIN else -1
            both = [self._open[key]]
            if kind == _BEGIN:
                both.append(self._days[key, at_us // DAY_US])
            for used in both:
                used[0] += sign * least_minor
                used[1] += sign * most_minor
