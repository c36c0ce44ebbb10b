"""Conditions on many decisions: each combination of the values that one reads is evaluated once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from service.domain.admission import Hit
from service.domain.conditions import reads
from service.domain.product import Product
from service.domain.rules import Condition
from service.preview.conditions import SCORE, Conditions, Order, conditions_of, local_time
from service.preview.history import History, Numbers, Told
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
            values = [one[mine] for one in _values(history, product, it, mine, ages)]
            found.append(_applied(values, mine, product, it, orders_of, conditions, strict=strict))
        if found:
            firsts, places = unique_rows([numbers for numbers, _ in found])
            sets = [
                tuple([known[one[row]] for one, known in found if one[row]])
                for row in firsts.tolist()
            ]
            column[mine] = np.array([hits.number(it) for it in sets], dtype=np.int64)[places]
    return column


def _applied(
    values: list[Numbers],
    rows: Numbers,
    product: Product,
    condition: Condition,
    orders_of: OrdersOf,
    conditions: Conditions,
    *,
    strict: bool,
) -> tuple[Numbers, list[Hit]]:
    """For each row the place in the list of its hit, or 0; the first one of the list is unused."""
    firsts, places = unique_rows([np.zeros(len(rows), dtype=np.int64), *values])
    order = np.argsort(places, kind="stable")
    groups = np.split(rows[order], np.cumsum(np.bincount(places))[:-1])
    known: list[Hit] = []
    numbers = np.zeros(len(firsts), dtype=np.int64)
    for place, it in enumerate(orders_of(rows[firsts])):
        same = _Lazily(groups[place])
        hit = conditions.hit(it, product, condition, None, strict=strict, rows=same)
        if hit is not None:
            if hit not in known:
                known.append(hit)
            numbers[place] = 1 + known.index(hit)
    return numbers[places], [Hit(condition.then, ""), *known]


class _Lazily(Collection[int]):
    """Rows that become numbers only if they are asked for."""

    def __init__(self, rows: Numbers) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows.tolist())

    def __contains__(self, row: object) -> bool:
        return row in self._rows


def _values(
    history: History, product: Product, condition: Condition, rows: Numbers, ages: Numbers
) -> Iterator[Numbers]:
    """The columns of the values that a condition reads, besides those of the product."""
    names, beside = frozenset(reads(condition.when)), history.beside
    if len(beside.skips_of):
        yield beside.skips_of
    if not names.isdisjoint(SCORE):
        yield ages
    if "score" in names:
        yield history.score
    if not len(beside.told_of):
        return
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
    zone_of = np.array([zones.setdefault(it.time_zone, len(zones)) for it in beside.told])
    quarters = history.at_us[rows] // QUARTER_US
    firsts, places = unique_rows([quarters, zone_of[beside.told_of[rows]]])
    local = [
        local_time(int(history.at_us[row]), beside.told_on(row), product)
        for row in rows[firsts].tolist()
    ]
    hour, weekday = "hour" in names, "weekday" in names
    codes = np.array([it.hour * hour * 8 + it.isoweekday() * weekday for it in local], np.int64)
    found[rows] = codes[places]
    return found
