"""Budgets of exposure over a history: the amounts on credit at the least and at the most.

One server counts: with several, leases refuse at most one slice earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from service.domain.product import Product
from service.domain.rules import Budget, Span
from service.preview.history import DAY_US, NEVER


def budgets_of(product: Product) -> list[Budget]:
    """The budgets that count rentals of a product."""
    rules = product.policy.rules
    budgets = () if rules is None else rules.budget or ()
    return [it for it in budgets if it.currency == product.currency]


class Hold(NamedTuple):
    """An amount on credit: at least `least_minor`, surely from a later instant on, and at most
    `most_minor`; with `endless` at the most for ever."""

    least_minor: int
    most_minor: int
    endless: bool


class Used:
    """The amounts on credit that the budgets of one policy and currency count, in minor units: the
    least and the most that are open, and those that began today (a day of UTC)."""

    __slots__ = ("day_least", "day_most", "least", "most", "today")

    def __init__(self) -> None:
        self.least = self.most = self.day_least = self.day_most = 0
        self.today = NEVER

    def begin(self, day: int, least_minor: int, most_minor: int) -> None:
        """Adds amounts that began on a day; no later than the one that is asked for next."""
        self.least += least_minor
        self.most += most_minor
        if day > self.today:
            self.today, self.day_least, self.day_most = day, 0, 0
        if day == self.today:
            self.day_least += least_minor
            self.day_most += most_minor

    def change(self, day: int, least_minor: int, most_minor: int) -> None:
        """Adds amounts that began on a day, or takes off those that end (NEVER): they are
        negative."""
        if day == NEVER:
            self.least += least_minor
            self.most += most_minor
        else:
            self.begin(day, least_minor, most_minor)


class Counters(NamedTuple):
    """The budgets of one product: their amounts in minor units, each with True for one of a day,
    and what they count."""

    budgets: tuple[tuple[int, bool], ...]
    used: Used
    only_open_minor: int | None
    """The amount of the only budget, if it is one of open rentals, as most are."""

    def left(self, day: int) -> tuple[int, int]:
        """The amounts that the budgets leave on a day with the most and with the least exposure."""
        used, left, most_left = self.used, 2**62, 2**62
        if self.only_open_minor is not None:
            left, most_left = self.only_open_minor - used.most, self.only_open_minor - used.least
            return left if left > 0 else 0, most_left if most_left > 0 else 0
        for minor, of_day in self.budgets:
            if not of_day:
                least, most = used.least, used.most
            elif used.today == day:
                least, most = used.day_least, used.day_most
            else:
                least = most = 0
            left, most_left = min(left, minor - most), min(most_left, minor - least)
        return max(0, left), max(0, most_left)


class Exposures:
    """The amounts that budgets count, as time goes on: calls must be in the order of time."""

    def __init__(self) -> None:
        self._coming: list[tuple[int, int, Used, int, int]] = []
        self._number = 0
        self._used: dict[tuple[str, str], Used] = {}
        self._counters: dict[int, tuple[Product, Counters | None]] = {}

    def of(self, product: Product) -> Counters | None:
        """The budgets of a product; None if it has none."""
        known = self._counters.get(id(product))
        if known is None:
            counters, budgets = None, budgets_of(product)
            if budgets:
                key = product.policy.policy_id, product.currency
                spans = tuple((it.most_minor, it.span is Span.DAY) for it in budgets)
                only = spans[0][0] if len(spans) == 1 and not spans[0][1] else None
                counters = Counters(spans, self._used.setdefault(key, Used()), only)
            # The product is kept, so that no other one gets its identity.
            known = self._counters[id(product)] = product, counters
        return known[1]

    def add(
        self,
        used: Used,
        it: Hold,
        since_us: tuple[int, int],
        close_us: int,
        now_us: int,
    ) -> None:
        """Adds the hold of an item that was asked for now to what budgets count.

        It was surely and perhaps there `since_us`, and until `close_us` (NEVER: to this day).
        """
        least_minor, most_minor, endless = it
        sure_us, maybe_us = since_us
        if not most_minor:
            return
        if sure_us == maybe_us <= now_us:
            used.begin(sure_us // DAY_US, least_minor, most_minor)
        else:
            self._later(2 * maybe_us, used, 0, most_minor)
            if least_minor:
                self._later(2 * sure_us, used, least_minor, 0)
        if close_us != NEVER:
            # At its earliest the hold began at its end.
            end_us = max(close_us, sure_us)
            self._later(2 * end_us + 1, used, least_minor, 0 if endless else most_minor)

    def _later(self, at: int, used: Used, least_minor: int, most_minor: int) -> None:
        """Adds a beginning at twice an instant, or an end at one more."""
        self._number += 1
        heappush(self._coming, (at, self._number, used, least_minor, most_minor))

    def left_minor(self, products: Sequence[Product], now_us: int, *, most: bool) -> int | None:
        """The amount that budgets leave for these products together, with the most or the least
        exposure; None without a budget."""
        found = [it for it in map(self.of, products) if it is not None]
        if not found:
            return None
        self.advance(now_us)
        day = now_us // DAY_US
        return min(it.left(day)[0 if most else 1] for it in found)

    def advance(self, now_us: int) -> None:
        """Takes all beginnings until now, and all ends before now: an end comes last."""
        coming, until = self._coming, 2 * now_us
        while coming and coming[0][0] <= until:
            at, _, used, least_minor, most_minor = heappop(coming)
            if at % 2:
                used.least -= least_minor
                used.most -= most_minor
            else:
                used.begin(at // 2 // DAY_US, least_minor, most_minor)
