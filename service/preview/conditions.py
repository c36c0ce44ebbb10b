"""The conditions of policies on stored decisions: in force, and under a draft.

All values follow from stored rows, or from the values that the decision kept. A value that nobody
kept is not guessed: a condition that reads it counts as true at the strict end and as false at the
mild end, and its decisions are counted apart.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import product as combinations
from typing import NamedTuple

from service.conditions import CelConditions
from service.domain.admission import Facts, Hit, counted
from service.domain.conditions import COUNTING, reads
from service.domain.listings import CONDITION_PREFIX
from service.domain.policy import Reason
from service.domain.product import Product
from service.domain.rules import Condition, Counted, Of, Over
from service.domain.time_zones import time_zone
from service.preview.history import UNSCORED, Told, asked_minor

MOST_COMBINATIONS = 64
"""The most combinations of possible counts that are tried; more count as not known."""


class Order(NamedTuple):
    """An order as conditions see it; `score_known` is False if the features may now be scored."""

    row: int
    at_us: int
    score: int
    score_known: bool
    told: Told
    products: Sequence[Product]
    skipped: Mapping[str, str]


class Ends(NamedTuple):
    """The facts of an order with the least and with the most rentals that are possible."""

    least: Facts
    most: Facts


SCORE = frozenset({"score", "scored", "band"})
SPANS = {
    "open_rentals": Counted.OPEN,
    "starts_hour": Counted.HOUR,
    "starts_day": Counted.DAY,
}


class Conditions:
    """Evaluates the conditions of products' policies, and notes the values that nobody knows."""

    def __init__(self) -> None:
        self._cel = CelConditions()
        self.unknown: defaultdict[str, set[int]] = defaultdict(set)
        """The rows of the decisions on which a value is not known, by its name."""

    def hits(self, order: Order, ends: Ends | None, *, strict: bool) -> tuple[Hit, ...]:
        """The conditions that apply at one end, each once. Without `ends` those that count rentals
        do not apply."""
        found: dict[Hit, None] = {}
        seen = set()
        for product in order.products:
            if product.product_id in seen:
                continue
            seen.add(product.product_id)
            for it in conditions_of(product):
                hit = self.hit(order, product, it, ends, strict=strict)
                if hit is not None:
                    found[hit] = None
        return tuple(found)

    def hit(
        self,
        order: Order,
        product: Product,
        condition: Condition,
        ends: Ends | None,
        *,
        strict: bool,
    ) -> Hit | None:
        """The condition if it applies at one end."""
        names = reads(condition.when)
        if f"{CONDITION_PREFIX}{condition.name}" in order.skipped:
            return None
        if ends is None and not COUNTING.isdisjoint(names):
            return None
        values, unknown = _read(order, product, names)
        counts, too_many = _counts(condition, ends)
        if too_many:
            unknown += counts
        if unknown:
            for name in unknown:
                self.unknown[name].add(order.row)
            return hit_of(condition) if strict else None
        results = [
            self._cel.evaluated((condition.when,), values | dict(zip(counts, numbers, strict=True)))
            for numbers in combinations(*counts.values())
        ]
        applies = [one is not False for (one,) in results]
        if not (any(applies) if strict else all(applies)):
            return None
        return hit_of(condition, failed=any(one is None for (one,) in results))

    def outcome(self, order: Order, product: Product, when: str) -> tuple[bool | None, list[str]]:
        """The outcome of an expression that counts no rentals (None if it fails), and the values
        that nobody knows; with any of these the outcome means nothing."""
        values, unknown = _read(order, product, reads(when))
        if unknown:
            return None, unknown
        (result,) = self._cel.evaluated((when,), values)
        return result, unknown


def hit_of(condition: Condition, *, failed: bool = False) -> Hit:
    """The hit of a condition that applies; one that fails has another reason."""
    name = Reason.CONDITION_FAILED if failed else f"{CONDITION_PREFIX}{condition.name}"
    return Hit(condition.then, name)


def _read(
    order: Order, product: Product, names: Iterable[str]
) -> tuple[dict[str, object], list[str]]:
    """The values of variables that count no rentals, and the names of those that nobody knows."""
    values: dict[str, object] = {}
    unknown = []
    for name in names:
        if name in COUNTING:
            continue
        value = _READERS[name](order, product)
        if value is None or (name in SCORE and not order.score_known):
            unknown.append(name)
        else:
            values[name] = value
    return values, unknown


def conditions_of(product: Product) -> tuple[Condition, ...]:
    """The conditions of a product's policy."""
    rules = product.policy.rules
    return () if rules is None else rules.condition or ()


def _counts(condition: Condition, ends: Ends | None) -> tuple[dict[str, range], bool]:
    """The possible numbers of rentals that a condition reads, by name; True if there are too
    many."""
    found: dict[str, range] = {}
    size = 1
    for name in COUNTING.intersection(reads(condition.when)) if ends is not None else ():
        numbers = [counted(it.rentals.get(Of.USER, ()), SPANS[name], Over.OPERATOR, it)
                   for it in ends or ()]  # fmt: skip
        found[name] = range(min(numbers), max(numbers) + 1)
        size *= len(found[name])
    return found, size > MOST_COMBINATIONS


def local_time(at_us: int, told: Told, product: Product) -> datetime:
    """The instant in the time zone of the order, or of the tariff, or in UTC."""
    name = told.time_zone or getattr(product.tariff, "time_zone", "")
    return datetime.fromtimestamp(at_us // 1_000_000, _zone(name))


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    if not name:
        return UTC
    try:
        return time_zone(name)
    except KeyError:
        return UTC


@lru_cache(maxsize=4_096)
def _labels(text: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(text) if text else {}
    return found


_READERS: dict[str, Callable[[Order, Product], object]] = {
    "score": lambda it, _product: 0 if it.score == UNSCORED else it.score,
    "scored": lambda it, _product: it.score != UNSCORED,
    "band": lambda it, _product: "" if it.score == UNSCORED else it.told.band,
    "deposit_minor": lambda _it, product: product.deposit_minor,
    "order_minor": lambda it, _product: sum(one.deposit_minor for one in it.products),
    "order_fee_minor": lambda it, _product: sum(
        asked_minor(one) - one.deposit_minor for one in it.products
    ),
    "items": lambda it, _product: len(it.products),
    "currency": lambda _it, product: product.currency,
    "product": lambda _it, product: product.product_id,
    "category": lambda _it, product: product.category,
    "hour": lambda it, product: local_time(it.at_us, it.told, product).hour,
    "weekday": lambda it, product: local_time(it.at_us, it.told, product).isoweekday(),
    "reserves": lambda it, _product: it.told.reserves,
    "station": lambda it, _product: it.told.station,
    "labels": lambda it, _product: _labels(it.told.labels),
    "device_known": lambda it, _product: it.told.device,
    "account_known": lambda it, _product: it.told.account,
}
