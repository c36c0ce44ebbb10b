"""The rules of policies on stored orders: in force, and under a draft at both ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from service.domain import admission
from service.domain.admission import NOTHING_SKIPPED, Hit
from service.domain.conditions import counts_rentals, read_by
from service.domain.policy import Reason
from service.domain.product import Product
from service.domain.rules import Of, Outcome, Rules
from service.preview.budgets import Exposures, Hold, budgets_of
from service.preview.conditions import Conditions, Ends, Order
from service.preview.history import DAY_US, History
from service.preview.losses import breakers_of
from service.preview.presence import Presence, Presences, counts, quiet_verdict, verdict_on
from service.preview.traces import Traces, signals_of
from service.preview.verdicts import NOTHING_SAID, Said

BREAKER_HIT = Hit(Outcome.FULL, Reason.BREAKER_OPEN)


class Breakers(Protocol):
    """The breakers of a course."""

    def is_open(self, products: Sequence[Product], now_us: int, *, most: bool) -> bool:
        """True if a breaker of these products is open."""
        ...

    def may_open(self, product: Product) -> bool:
        """True if a breaker of this product may be open at some time."""
        ...


def longest_us(products: Iterable[Product]) -> int:
    """The longest window of a signal of these products, in microseconds; 0 without any."""
    return max((it.window_us for it in signals_of(tuple(products))), default=0)


def are_shared(products: Iterable[Product]) -> bool:
    """True if a rule of these products binds the rentals of all people together."""
    return any(budgets_of(it) or breakers_of(it) for it in products)


def are_counting(products: Iterable[Product]) -> bool:
    """True if a rule of these products reads other rentals."""
    those = tuple(products)
    return counts(those) or bool(signals_of(those)) or are_shared(those)


def conditions_count(product: Product) -> bool:
    """True if a condition of a product reads how many rentals a person has."""
    rules = product.policy.rules
    return rules is not None and counts_rentals(rules.condition)


def read_names(products: Iterable[Product]) -> frozenset[str]:
    """The variables that conditions of these products read."""
    rules: list[Rules | None] = [it.policy.rules for it in products]
    return frozenset(
        name for one in rules if one is not None for name in read_by(one.condition or ())
    )


def common_skips(history: History, rows: Sequence[int]) -> Mapping[str, str]:
    """The rules that a listing skipped for all items of one call."""
    skips = [history.beside.skipped_on(row) for row in rows]
    if len(skips) == 1 or not skips[0]:
        return skips[0]
    found = {name: it for name, it in skips[0].items() if all(name in one for one in skips)}
    return found or NOTHING_SKIPPED


def quiet_said(order: Order, hits: Sequence[Hit], left_minor: int | None = None) -> Said:
    """The rules on an order of which no rule counts too many rentals of a person, a device or an
    account. `hits` are the conditions and breakers that apply, and budgets leave `left_minor`."""
    verdict = quiet_verdict(order.products, order.at_us)
    if hits:
        verdict = admission.with_hits(verdict, len(order.products), hits, {})
    return Said(verdict, left_minor)


def hold_of(it: Presence, credit: tuple[int, int]) -> Hold:
    """The hold of a rental with the least and the most credit, as budgets count it."""
    least, most = credit
    return Hold(least if it.sure else 0, most if it.maybe else 0, it.endless)


class Course:
    """The rentals so far, and the rules on an order that comes after them."""

    def __init__(
        self,
        history: History,
        products: Sequence[Product],
        breakers: Breakers,
        conditions: Conditions,
    ) -> None:
        """`products` are those of the history under the course's terms."""
        self._history, self._products = history, products
        self._breakers, self._conditions = breakers, conditions
        self._conditioned = {id(it) for it in products if _is_conditioned(it)}
        self._counted = {id(it) for it in products if counts((it,))}
        self._broken = {id(it) for it in products if breakers.may_open(it)}
        self._presences = None
        if self._counted or any(map(conditions_count, products)):
            self._presences = Presences(history.operator_id, history.from_us, history.pasts)
        longest = longest_us(products)
        self._traces = Traces(history, max(DAY_US, longest)) if longest else None
        self.exposures = Exposures() if any(map(budgets_of, products)) else None
        self._is_silent = not (
            self._conditioned or self._presences or self._broken or self._traces or self.exposures
        )

    def add(self, row: int, product: int, bearers: Mapping[Of, int], it: Presence,
            credit: tuple[int, int]) -> None:  # fmt: skip
        """Adds the rental of a row, which holds from the least to the most credit."""
        if self._presences is not None:
            self._presences.add(bearers, it)
        if self._traces is not None:
            self._traces.add(bearers, it, row)
        if self.exposures is not None:
            counters = self.exposures.of(self._products[product])
            if counters is not None:
                since_us = it.sure_us, it.maybe_us
                hold = hold_of(it, credit)
                self.exposures.add(counters.used, hold, since_us, it.close_us, it.create_us)

    def said(
        self, order: Order, rows: Sequence[int], bearers: Mapping[Of, int], *, strict: bool
    ) -> Said:
        """The rules on an order at one end."""
        if self._is_silent:
            return NOTHING_SAID
        products, now_us, verdict = order.products, order.at_us, None
        named = set(map(id, products))
        presences = self._presences
        if presences is not None and not named.isdisjoint(self._counted):
            facts = presences.facts(bearers, now_us, most=strict)
            verdict = verdict_on(products, facts, order.skipped)
        hits: list[Hit] = []
        if not named.isdisjoint(self._conditioned):
            ends = None
            if presences is not None and any(map(conditions_count, products)):
                least = presences.facts(bearers, now_us, most=False)
                ends = Ends(least, presences.facts(bearers, now_us, most=True))
            hits += self._conditions.hits(order, ends, strict=strict)
        if self.is_broken(products, now_us, most=strict):
            hits.append(BREAKER_HIT)
        if self._traces is not None:
            rules = signals_of(products)
            hits += self._traces.hits(rows, bearers, rules, order.skipped, now_us, most=strict)
        if hits:
            verdict = admission.with_hits(verdict, len(products), hits, {})
        left_minor = None
        if self.exposures is not None:
            left_minor = self.exposures.left_minor(products, now_us, most=strict)
        return Said(verdict, left_minor)

    def may_break(self, product: Product) -> bool:
        """True if a breaker of a product may be open at some time."""
        return id(product) in self._broken

    def is_broken(self, products: Sequence[Product], now_us: int, *, most: bool) -> bool:
        """True if a breaker of these products is open, at the end with the most losses or at the
        one with the least."""
        if not self._broken or self._broken.isdisjoint(map(id, products)):
            return False
        return self._breakers.is_open(products, now_us, most=most)


def _is_conditioned(product: Product) -> bool:
    return product.policy.rules is not None and product.policy.rules.condition is not None
