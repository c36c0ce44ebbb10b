"""The details of orders, told a second time, and orders at random."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

from service.domain.details import ItemPlace, Order
from tests.engine.plain_tariffs import stored
from tests.engine.plain_terms import CURRENCY, Row

COLUMNS = (
    *("order_reference", "labels", "device_hash", "payment_account_hash", "rail_account"),
    *("time_zone", "price_hash", "start_station", "start_condition", "end_station"),
    "end_condition",
)
"""The columns that a call may fill."""
PLACES = (None, None, ItemPlace("dock-1", "80 %"), ItemPlace("dock-2"), ItemPlace())
ORDERS = (
    *(None, None, None),
    Order(),
    Order("order-1", '{"lane":"3"}', ItemPlace("dock-1", "new"), "device", "account", "wechat"),
    Order("order-2", time_zone="Asia/Shanghai"),
    Order("order-3", place=ItemPlace("dock-2")),
)


def price(it: Row) -> str:
    """The hash of the price of a product."""
    names = ("start_fee", "free", "interval", "price", "day_cap", "buy_out")
    more = [str(it["cancelling"])] if it["cancelling"] else []
    values = [stored(it["document"])] if "document" in it else [str(it[name]) for name in names]
    text = "\n".join([CURRENCY, *values, *more])
    return hashlib.sha256(text.encode()).hexdigest()


def shown(chance: Random, product: Row | None) -> str:
    """The hash of a price that a user was shown: mostly none, sometimes the right hash, seldom a
    wrong one."""
    right = "0" * 64 if product is None else price(product)
    return chance.choice((*[""] * 12, right, right, "0" * 64))


def told(order: Order | None, price_hash: str) -> Row | None:
    """The details of a new authorization, or None."""
    if order is None and not price_hash:
        return None
    it = order or Order()
    return {
        "order_reference": it.order_reference, "labels": it.labels,
        "device_hash": it.device_hash, "payment_account_hash": it.payment_account_hash,
        "rail_account": it.rail_account, "time_zone": it.time_zone, "price_hash": price_hash,
        "start_station": it.place.station, "start_condition": it.place.condition,
        "end_station": "", "end_condition": "",
    }  # fmt: skip


def handed(known: Row | None, side: str, place: ItemPlace) -> Row:
    """The details after a hand-over on a side, "start" or "end"."""
    before: Any = known or dict.fromkeys(COLUMNS, "")
    return {**before, f"{side}_station": place.station, f"{side}_condition": place.condition}
