"""The conditions of policies: the values that they read of an order, and their outcomes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple, Protocol

from service.domain.admission import Hit, Verdict, bounds_alone, counted, with_hits
from service.domain.conditions import read_by
from service.domain.details import NO_ORDER, Order
from service.domain.listings import CONDITION_PREFIX
from service.domain.money import Money
from service.domain.policy import Reason
from service.domain.product import Product
from service.domain.rules import Counted, Of, Over, SignalRule
from service.domain.signals import Suspect
from service.domain.time_zones import time_zone
from service.engine.breakers import with_breakers
from service.engine.context import Assessment, Context
from service.engine.counts import bearers_of, verdict_on
from service.engine.rows import Rows
from service.engine.signals import with_signals
from service.engine.tables import USERS


class AskedItem(Protocol):
    """A requested item, with the fee that the order knows, if any; the id is empty if the item is
    not known yet."""

    @property
    def asset_id(self) -> str: ...
    @property
    def order_fee(self) -> Money | None: ...


class Asking(Protocol):
    """A command that orders items."""

    @property
    def user_id(self) -> str: ...
    @property
    def order(self) -> Order | None: ...
    @property
    def items(self) -> Sequence[AskedItem]: ...
    @property
    def reserves(self) -> bool: ...


class Ordered(NamedTuple):
    """An order as rules see it: the operator, its command, the items' products and the person's
    assessment."""

    operator_id: str
    command: Asking
    products: Sequence[Product]
    assessment: Assessment

    @property
    def order(self) -> Order:
        """The details of the order, empty if it has none."""
        return self.command.order or NO_ORDER


def verdict_of(
    operator_id: str,
    command: Asking,
    products: Sequence[Product],
    assessment: Assessment,
    skipped: Mapping[str, str],
    rows: Rows,
    context: Context,
) -> Verdict | None:
    """The verdict of the policies' rules on an operator's order; None if they read nothing of it.

    `assessment` is the person's. `skipped` has the rules that a listing skips.
    """
    if len(products) == 1 and not skipped and rows.counts is not None:
        # One item under bounds alone is the usual case, and reads no more than they do.
        bounds = bounds_alone(products[0].policy.rules)
        if bounds is not None:
            return rows.counts.verdict_by_bounds(
                bounds, operator_id, command.user_id, command.order, rows, context.now_us
            )
    rules = [product.policy.rules for product in products]
    named = bearers_of(command.user_id, command.order)
    verdict = verdict_on(rules, operator_id, named, rows, context, skipped=skipped)
    conditioned, broken, signals = False, False, list[SignalRule]()
    for one in rules:
        if one is not None:
            conditioned = conditioned or one.condition is not None
            broken = broken or one.breaker is not None
            if one.signal is not None:
                signals += one.signal
    if conditioned:
        ordered = Ordered(operator_id, command, products, assessment)
        verdict = _with_conditions(verdict, ordered, skipped, rows, context)
    if broken:
        verdict = with_breakers(verdict, operator_id, products, context)
    if signals:
        user = rows[USERS].get(command.user_id)
        asset_ids = [item.asset_id for item in command.items]
        suspect = Suspect(command.user_id, asset_ids, named, user and user.create_us)
        items = len(products)
        return with_signals(verdict, signals, operator_id, suspect, items, skipped, rows, context)
    return verdict


def _with_conditions(
    verdict: Verdict | None,
    ordered: Ordered,
    skipped: Mapping[str, str],
    rows: Rows,
    context: Context,
) -> Verdict:
    """The verdict with the conditions of the products' policies, each evaluated once for a product.

    A condition that cannot be evaluated counts as true, with the reason CONDITION_FAILED.
    """
    hits: dict[Hit, None] = {}
    values: dict[str, object] = {}
    seen = set()
    for product in ordered.products:
        rules = product.policy.rules
        if rules is None or rules.condition is None or product.product_id in seen:
            continue
        seen.add(product.product_id)
        read = {
            name: _READERS[name](ordered, product, rows, context)
            for name in read_by(rules.condition)
        }
        prefix = f"{product.product_id}." if len(ordered.products) > 1 else ""
        values |= {f"{prefix}{name}": value for name, value in read.items()} if prefix else read
        counting = []
        for it in rules.condition:
            listing = skipped.get(f"{CONDITION_PREFIX}{it.name}") if skipped else None
            if listing is None:
                counting.append(it)
            else:
                values[f"{prefix}skipped.{CONDITION_PREFIX}{it.name}"] = listing
        found = context.conditions.evaluated(tuple([it.when for it in counting]), read)
        for it, true in zip(counting, found, strict=True):
            if true is None:
                hits[Hit(it.then, Reason.CONDITION_FAILED)] = None
            elif true:
                hits[Hit(it.then, f"{CONDITION_PREFIX}{it.name}")] = None
    return with_hits(verdict, len(ordered.products), list(hits), values)


Reader = Callable[[Ordered, Product, Rows, Context], object]
"""Reads one variable of an order for one of its products."""


def _score(it: Ordered, _product: Product, _rows: Rows, _context: Context) -> int:
    return it.assessment.scored.score if it.assessment.scored else 0


def _hour(it: Ordered, product: Product, _rows: Rows, context: Context) -> int:
    return _local(it, product, context).hour


def _weekday(it: Ordered, product: Product, _rows: Rows, context: Context) -> int:
    return _local(it, product, context).isoweekday()


def _local(it: Ordered, product: Product, context: Context) -> datetime:
    """The instant in the order's time zone, or else in that of the product's tariff.

    It is in UTC if neither names one, or if the order names an unknown one.
    """
    zone: tzinfo = UTC
    name = it.order.time_zone or getattr(product.tariff, "time_zone", "")
    if name:
        try:
            zone = time_zone(name)
        except KeyError:
            zone = UTC
    return datetime.fromtimestamp(context.now_us // 1_000_000, zone)


def _number(of: Counted) -> Reader:
    def read(it: Ordered, _product: Product, rows: Rows, context: Context) -> int:
        if rows.counts is None:
            return 0
        named = bearers_of(it.command.user_id, it.order)
        facts = rows.counts.facts(it.operator_id, named, rows, context.now_us)
        return counted(facts.rentals.get(Of.USER, ()), of, Over.OPERATOR, facts)

    return read


def _labels(it: Ordered, _product: Product, _rows: Rows, _context: Context) -> dict[str, str]:
    labels: dict[str, str] = json.loads(it.order.labels) if it.order.labels else {}
    return labels


_READERS: dict[str, Reader] = {
    "score": _score,
    "scored": lambda it, _product, _rows, _context: it.assessment.scored is not None,
    "band": lambda it, _product, _rows, _context: (
        it.assessment.scored.band if it.assessment.scored else ""
    ),
    "deposit_minor": lambda _it, product, _rows, _context: product.deposit_minor,
    "order_minor": lambda it, _product, _rows, _context: sum(
        product.deposit_minor for product in it.products
    ),
    "order_fee_minor": lambda it, _product, _rows, _context: sum(
        item.order_fee.amount_minor for item in it.command.items if item.order_fee is not None
    ),
    "items": lambda it, _product, _rows, _context: len(it.products),
    "currency": lambda _it, product, _rows, _context: product.currency,
    "product": lambda _it, product, _rows, _context: product.product_id,
    "category": lambda _it, product, _rows, _context: product.category,
    "hour": _hour,
    "weekday": _weekday,
    "open_rentals": _number(Counted.OPEN),
    "starts_hour": _number(Counted.HOUR),
    "starts_day": _number(Counted.DAY),
    "reserves": lambda it, _product, _rows, _context: it.command.reserves,
    "station": lambda it, _product, _rows, _context: it.order.place.station,
    "labels": _labels,
    "device_known": lambda it, _product, _rows, _context: bool(it.order.device_hash),
    "account_known": lambda it, _product, _rows, _context: bool(it.order.payment_account_hash),
}
