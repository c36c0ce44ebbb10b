"""Conditions on many decisions: each term is evaluated once for the values that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from service.domain.admission import Hit
from service.domain.conditions import COUNTING, reads
from service.domain.product import Product
from service.domain.rules import Condition
from service.preview.condition_parts import alternatives_of, holds
from service.preview.conditions import (
    SCORE,
    Conditions,
    Order,
    conditions_of,
    hit_of,
    local_time,
)
from service.preview.history import Bits, History, Numbers, Told
from service.preview.verdicts import unique_rows

QUARTER_US = 900_000_000
"""All time zones differ by full quarters of an hour."""
OrdersOf = Callable[[Numbers], Sequence[Order]]
"""Gives the orders of rows."""


class Hits:
    """All sets of conditions that apply together, each once; columns refer to them by number."""

    def __init__(self) -> None:
        self.all: list[tuple[Hit, ...]] = [()]
        self._numbers: dict[tuple[Hit, ...], int] = {(): 0}

    def number(self, hits: tuple[Hit, ...]) -> int:
        """The number of a set."""
        known = self._numbers.get(hits)
        if known is None:
            known = self._numbers[hits] = len(self.all)
            self.all.append(hits)
        return known


def hit_column(
    history: History,
    products: Sequence[Product],
    rows: Numbers,
    orders_of: OrdersOf,
    hits: Hits,
    conditions: Conditions,
    ages: Numbers,
    *,
    strict: bool,
) -> Numbers:
    """The conditions that apply to each of these rows, as numbers of `hits`.

    The rows are alone in their calls. Rows with another age of their features have another score
    (`ages`).
    """
    column = np.zeros(len(history), dtype=np.int64)
    in_order = rows[np.argsort(history.product[rows], kind="stable")]
    bounds = np.searchsorted(history.product[in_order], np.arange(len(products) + 1))
    for place, product in enumerate(products):
        mine = in_order[bounds[place] : bounds[place + 1]]
        found = []
        for it in conditions_of(product) if len(mine) else ():
            numbers = _applied(
                *(history, mine, product, it, orders_of, conditions, ages), strict=strict
            )
            found.append((numbers, _hits_of(it)))
        if found:
            firsts, places = unique_rows([numbers for numbers, _ in found])
            sets = [
                tuple([known[one[row]] for one, known in found if one[row]])
                for row in firsts.tolist()
            ]
            column[mine] = np.array([hits.number(it) for it in sets], dtype=np.int64)[places]
    return column


def _applied(
    history: History,
    rows: Numbers,
    product: Product,
    condition: Condition,
    orders_of: OrdersOf,
    conditions: Conditions,
    ages: Numbers,
    *,
    strict: bool,
) -> Numbers:
    """For each row the place of its hit in `_hits_of`, or 0.

    Each term of the condition is evaluated once for each combination of the values that it reads.
    """
    numbers = np.zeros(len(rows), dtype=np.int64)
    there = np.flatnonzero(~_skipped(history, condition, rows))
    if not len(there) or not COUNTING.isdisjoint(reads(condition.when)):
        # Without rentals a condition that counts them does not apply.
        return numbers
    alternatives = alternatives_of(condition.when)
    outcomes: list[Numbers] = []
    unsure = np.zeros(len(there), dtype=np.bool_)
    for term in (it for terms in alternatives for it in terms):
        values = [it[rows[there]] for it in _values(history, product, term, rows, ages)]
        firsts, places = unique_rows([np.zeros(len(there), dtype=np.int64), *values])
        found = [conditions.outcome(it, product, term) for it in orders_of(rows[there][firsts])]
        outcomes.append(np.array([_CODES[result] for result, _ in found], dtype=np.int64)[places])
        for name in sorted({name for _, unknown in found for name in unknown}):
            mine = np.array([name in unknown for _, unknown in found])[places]
            unsure |= mine
            conditions.unknown[name].update(rows[there[mine]].tolist())
    firsts, places = unique_rows(outcomes)
    codes = np.stack([it[firsts] for it in outcomes], axis=1).tolist()
    known = np.array([_place_of(alternatives, it) for it in codes], dtype=np.int64)
    numbers[there] = np.where(unsure, 1 if strict else 0, known[places])
    return numbers


_OUTCOMES = (False, True, None)
_CODES = {it: code for code, it in enumerate(_OUTCOMES)}
"""The outcomes of a term as numbers."""


def _place_of(alternatives: Sequence[Sequence[str]], codes: Sequence[int]) -> int:
    """The place in `_hits_of` for the outcomes of all terms, in their order."""
    left = iter(codes)
    result = holds([[_OUTCOMES[next(left)] for _ in terms] for terms in alternatives])
    return 2 if result is None else int(result)


def _hits_of(condition: Condition) -> tuple[Hit, ...]:
    """The hits of a condition by their places: none, one that applies, and one that fails."""
    applies = hit_of(condition)
    return applies, applies, hit_of(condition, failed=True)


def _skipped(history: History, condition: Condition, rows: Numbers) -> Bits:
    """The rows for which a listing skipped the condition."""
    beside, name = history.beside, hit_of(condition).reason
    if not len(beside.skips_of):
        return np.zeros(len(rows), dtype=np.bool_)
    skipped: Bits = np.array([name in it for it in beside.skips])[beside.skips_of[rows]]
    return skipped


def _values(
    history: History, product: Product, when: str, rows: Numbers, ages: Numbers
) -> Iterator[Numbers]:
    """The columns of the values that an expression reads, besides those of the product."""
    names, beside = frozenset(reads(when)), history.beside
    if not names.isdisjoint(SCORE):
        yield ages
    if "score" in names:
        yield history.score
    if len(beside.told_of):
        seen: dict[tuple[object, ...], int] = {}
        numbers = [seen.setdefault(_seen_of(it, names), len(seen)) for it in beside.told]
        yield np.array(numbers, dtype=np.int64)[beside.told_of]
    if not names.isdisjoint(("hour", "weekday")):
        yield _hours(history, product, rows, names)


def _seen_of(told: Told, names: frozenset[str]) -> tuple[object, ...]:
    """The part of an order that a condition with these variables depends on, besides the time."""
    parts = {
        "station": told.station,
        "labels": told.labels,
        "band": told.band,
        "scored": told.band != "",
        "reserves": told.reserves,
        "device_known": told.device,
        "account_known": told.account,
    }
    return tuple(value for name, value in parts.items() if name in names)


def _hours(history: History, product: Product, rows: Numbers, names: frozenset[str]) -> Numbers:
    """The local hour and the weekday of these rows, those of both that are named, in a column of
    all."""
    beside, found = history.beside, np.zeros(len(history), dtype=np.int64)
    zones: dict[str, int] = {}
    quarters = history.at_us[rows] // QUARTER_US
    zone_of = np.array([zones.setdefault(it.time_zone, len(zones)) for it in beside.told])
    zone = zone_of[beside.told_of[rows]] if len(beside.told_of) else np.zeros_like(quarters)
    firsts, places = unique_rows([quarters, zone])
    local = [
        local_time(int(history.at_us[row]), beside.told_on(row), product)
        for row in rows[firsts].tolist()
    ]
    hour, weekday = "hour" in names, "weekday" in names
    codes = np.array([it.hour * hour * 8 + it.isoweekday() * weekday for it in local], np.int64)
    found[rows] = codes[places]
    return found
