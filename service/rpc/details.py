"""Converts details of orders between messages and the domain."""

from __future__ import annotations

import json
from typing import Any

from freehold.v1 import authorization_pb2 as pb
from freehold.v1 import details_pb2

from service.domain.details import ItemPlace, Order
from service.domain.errors import InvalidInput
from service.engine.operations import Authorize, Item
from service.engine.records.details import DetailsRecord
from service.rpc import convert


def order_of(message: Any) -> Order | None:
    """The order of an Authorize or AuthorizeGroup, or None.

    Raises InvalidInput if two labels have one name.
    """
    if not message.HasField("order"):
        return None
    it = message.order
    return Order(
        it.order_reference,
        _labels(it.labels),
        ItemPlace(it.place.station, it.place.condition),
        it.device_hash,
        it.payment_account_hash,
        it.rail_account,
        it.time_zone,
    )


def group_order(message: Any) -> Authorize:
    """The command of an AuthorizeGroup, or of the QuoteAuthorization that asks for its answer.

    Raises InvalidInput.
    """
    return Authorize(
        user_id=message.user_id,
        items=tuple([_item(it) for it in message.items]),
        start=convert.START_OF[message.start],
        accept_offers=tuple([convert.OFFER_OF[it] for it in message.accept_offers]),
        pickup_window_us=convert.optional_us(message, "pickup_window"),
        rental_period_us=convert.optional_us(message, "rental_period"),
        grouped=True,
        order=order_of(message),
        identity_hash=message.identity_hash,
    )


def _item(it: Any) -> Item:
    fee = convert.money(it.order_fee) if it.HasField("order_fee") else None
    return Item(it.product_id, it.asset_id, it.price_hash, fee)


def item_place_of(message: Any) -> ItemPlace | None:
    """The place of a StartRental or a settlement, or None."""
    if not message.HasField("place"):
        return None
    return ItemPlace(message.place.station, message.place.condition)


def _labels(labels: Any) -> str:
    if not labels:
        return ""
    told: dict[str, str] = {}
    for place, label in enumerate(labels):
        if label.name in told:
            raise InvalidInput.of(
                f"order.labels[{place}].name", "labels.unique_names", "must be given once"
            )
        told[label.name] = label.value
    return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def encode_details(it: DetailsRecord | None) -> bytes:
    """Details as the bytes of the field `details` of an authorization; nothing if there are
    none."""
    if it is None:
        return b""
    message = pb.Authorization()
    details = message.details
    details.price_hash = it.price_hash
    details.order.order_reference = it.order_reference
    details.order.device_hash = it.device_hash
    details.order.payment_account_hash = it.payment_account_hash
    details.order.rail_account = it.rail_account
    details.order.time_zone = it.time_zone
    for name, value in json.loads(it.labels or "{}").items():
        details.order.labels.add(name=name, value=value)
    _write_place(details.start, it.start_station, it.start_condition)
    _write_place(details.end, it.end_station, it.end_condition)
    return message.SerializeToString()


def _write_place(message: details_pb2.ItemPlace, station: str, condition: str) -> None:
    message.station, message.condition = station, condition
