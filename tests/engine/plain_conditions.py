"""The conditions of policies told a second time: each text in CEL beside the same in Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from service.domain.details import Order
from tests.engine.plain_offers import Judged
from tests.engine.plain_terms import Row, band
from tests.engine.plain_velocity import count, with_hits

if TYPE_CHECKING:
    from tests.engine.reference import Reference


class Ordered(NamedTuple):
    """An order: who asks, for what, and what is known of the person and the order."""

    operator_id: str
    user_id: str
    order: Order
    reserves: bool
    products: Sequence[Row]
    score: int | None
    now_us: int
    fees_minor: int


class Failing(Exception):
    """The condition cannot be evaluated."""


def _trip(v: Row) -> str:
    if "lane" not in v["labels"]:
        raise Failing
    return str(v["labels"]["lane"])


EXPRESSIONS: dict[str, tuple[tuple[str, ...], Callable[[Row], bool]]] = {
    "score < 620 && scored": (("score", "scored"), lambda v: v["score"] < 620 and v["scored"]),
    "deposit_minor >= 10000 && items == 1": (
        ("deposit_minor", "items"), lambda v: v["deposit_minor"] >= 10_000 and v["items"] == 1,
    ),
    "order_minor > 25000": (("order_minor",), lambda v: v["order_minor"] > 25_000),
    "order_fee_minor >= 700": (("order_fee_minor",), lambda v: v["order_fee_minor"] >= 700),
    "open_rentals >= 1 && starts_hour >= 2": (
        ("open_rentals", "starts_hour"), lambda v: v["open_rentals"] >= 1 and v["starts_hour"] >= 2,
    ),
    "starts_day > 3": (("starts_day",), lambda v: v["starts_day"] > 3),
    "reserves && !device_known": (
        ("device_known", "reserves"), lambda v: v["reserves"] and not v["device_known"],
    ),
    "hour >= 22 || hour < 5 || weekday > 5": (
        ("hour", "weekday"), lambda v: v["hour"] >= 22 or v["hour"] < 5 or v["weekday"] > 5,
    ),
    "station == 'dock-1' && account_known": (
        ("account_known", "station"), lambda v: v["station"] == "dock-1" and v["account_known"],
    ),
    # No order without labels has this label, so the condition fails there.
    "labels.lane == '3'": (("labels",), lambda v: _trip(v) == "3"),
    "band in ['D', 'E'] && category == 'BIKE' && currency == 'CNY' && product != 'scooter'": (
        ("band", "category", "currency", "product"),
        lambda v: v["band"] in ("D", "E") and v["category"] == "BIKE" and v["currency"] == "CNY"
        and v["product"] != "scooter",
    ),
}  # fmt: skip
"""Conditions with the variables that each reads, sorted."""
HIDDEN = ("score",)
"""The variables that only the platform's policies may read."""


def with_conditions(
    of: Reference, judgement: Judged | None, it: Ordered, skipped: Mapping[str, str]
) -> Judged | None:
    """The judgement with the conditions of the products' policies, once for each product."""
    if not any("condition" in product["rules"] for product in it.products):
        return judgement
    hits: list[tuple[str, str]] = []
    values: Row = {}
    seen = set()
    for product in it.products:
        rows = product["rules"].get("condition", [])
        if product["product_id"] in seen:
            continue
        seen.add(product["product_id"])
        prefix = f"{product['product_id']}." if len(it.products) > 1 else ""
        read = _values(
            of, it, product, {name for row in rows for name in EXPRESSIONS[row["when"]][0]}
        )
        values |= {prefix + name: value for name, value in read.items()}
        for row in rows:
            rule = f"CONDITION/{row['name']}"
            if rule in skipped:
                values[f"{prefix}skipped.{rule}"] = skipped[rule]
                continue
            try:
                holds, reason = EXPRESSIONS[row["when"]][1](read), rule
            except Failing:
                holds, reason = True, "CONDITION_FAILED"
            if holds:
                hits.append((row["then"], reason))
    return with_hits(judgement, len(it.products), hits, values)


def _values(of: Reference, it: Ordered, product: Row, names: set[str]) -> Row:
    order = it.order
    name = order.time_zone or product.get("document", {}).get("time_zone", "")
    zone = ZoneInfo(name) if name else UTC
    local = datetime.fromtimestamp(it.now_us // 1_000_000, zone)

    def number(span: str) -> Any:
        return count(of, it.operator_id, it.user_id, "USER", span, "OPERATOR", None, it.now_us)

    every: dict[str, Callable[[], object]] = {
        "score": lambda: it.score or 0,
        "scored": lambda: it.score is not None,
        "band": lambda: band(it.score),
        "deposit_minor": lambda: product["deposit"],
        "order_minor": lambda: sum(one["deposit"] for one in it.products),
        "order_fee_minor": lambda: it.fees_minor,
        "items": lambda: len(it.products),
        "currency": lambda: "CNY",
        "product": lambda: product["product_id"],
        "category": lambda: product["category"],
        "hour": lambda: local.hour,
        "weekday": lambda: local.isoweekday(),
        "open_rentals": lambda: number("OPEN"),
        "starts_hour": lambda: number("HOUR"),
        "starts_day": lambda: number("DAY"),
        "reserves": lambda: it.reserves,
        "station": lambda: order.place.station,
        "labels": lambda: json.loads(order.labels) if order.labels else {},
        "device_known": lambda: bool(order.device_hash),
        "account_known": lambda: bool(order.payment_account_hash),
    }
    return {name: every[name]() for name in names}
