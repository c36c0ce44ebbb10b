"""The details of orders over gRPC: calls send them, they are read with the authorization, and an
order is found by its reference."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from freehold.v1 import details_pb2 as d

from tests.rpc.ready import ON_PICKUP
from tests.rpc.support import Desks, Refused, yuan

LABELS = [{"name": "lane", "value": "3"}, {"name": "app", "value": "微信"}]


def order(reference: str, **more: Any) -> dict[str, Any]:
    """An order with labels."""
    return {"order_reference": reference, "labels": LABELS, **more}


def ask(desk: Desks, user_id: str, **parts: Any) -> Any:
    """The answer to an Authorize of a bike that is picked up later."""
    return desk.operator.call(
        "Authorize", user_id=user_id, product_id="bike", start=ON_PICKUP, **parts
    )


def test_details_of_an_order_are_read_with_the_authorization(desk: Desks) -> None:
    """GetAuthorization and ListAuthorizations have all details that Authorize, StartRental and the
    settlement sent. Labels come in the order of their names."""
    user_id = desk.platform.person(700)
    told = order(
        "order-7", device_hash="ab+/=", payment_account_hash="cd", rail_account="wechat-1",
        time_zone="Asia/Shanghai", place={"station": "dock-1", "condition": "电量 80 %"},
    )  # fmt: skip
    name = ask(desk, user_id, order=told).authorization.name
    desk.operator.call("StartRental", name=name, asset_id="b-7", place={"station": "dock-2"})
    back = {"station": "dock-3", "condition": "bent wheel"}
    desk.operator.call("SettleAuthorization", name=name, amount=yuan(100), place=back)
    kept = desk.operator.get(name).details
    assert [(it.name, it.value) for it in kept.order.labels] == [("app", "微信"), ("lane", "3")]
    assert kept.order.order_reference == "order-7"
    assert (kept.order.device_hash, kept.order.payment_account_hash) == ("ab+/=", "cd")
    assert (kept.order.rail_account, kept.order.time_zone) == ("wechat-1", "Asia/Shanghai")
    assert kept.start == d.ItemPlace(station="dock-2")
    assert kept.end == d.ItemPlace(**back)
    (listed,) = desk.operator.page(user_id=user_id).authorizations
    assert listed.details == kept


def test_an_order_is_found_by_its_reference(desk: Desks) -> None:
    """ListAuthorizations finds an operator's own authorizations of an order, page by page; another
    operator's order of that name is not among them."""
    user_id, reference = desk.platform.person(800), desk.operator.fresh("order")
    mine = [
        ask(desk, user_id, order=order(reference)).authorization.name,
        ask(desk, user_id, order=order(reference)).authorization.name,
    ]
    ask(desk, user_id, order=order(reference + "-other"))
    ask(desk, user_id)
    desk.other.call("Authorize", user_id=user_id, product_id="umbrella", order=order(reference))
    first = desk.operator.page(order_reference=reference, page_size=1)
    second = desk.operator.page(
        order_reference=reference, page_size=1, page_token=first.next_page_token
    )
    listed = [*first.authorizations, *second.authorizations]
    assert [it.name for it in listed] == mine
    assert not second.next_page_token
    with pytest.raises(Refused):
        desk.operator.page(order_reference="another", page_token=first.next_page_token)


def test_another_price_than_the_one_shown_is_refused(desk: Desks) -> None:
    """PRICE_CHANGED names the hash in force; with that hash the call succeeds, and its answer has
    it."""
    user_id = desk.platform.person(700)
    with pytest.raises(Refused) as caught:
        ask(desk, user_id, price_hash="0" * 64)
    assert (caught.value.code, caught.value.reason) == (
        *(grpc.StatusCode.FAILED_PRECONDITION, "PRICE_CHANGED"),
    )
    in_force = caught.value.info.metadata["price_hash"]
    answer = ask(desk, user_id, price_hash=in_force)
    assert answer.price_hash == in_force
    assert desk.operator.get(answer.authorization.name).details.price_hash == in_force
    assert not ask(desk, user_id).price_hash


def test_a_label_is_named_once(desk: Desks) -> None:
    """Two labels of one name are INVALID_ARGUMENT at the second, and 21 labels at
    `order.labels`."""
    user_id = desk.platform.person(700)
    with pytest.raises(Refused) as caught:
        ask(desk, user_id, order={"labels": [LABELS[0], LABELS[0]]})
    assert caught.value.fields == {"order.labels[1].name"}
    many = [{"name": f"n{n}", "value": ""} for n in range(21)]
    with pytest.raises(Refused) as caught:
        ask(desk, user_id, order={"labels": many})
    assert caught.value.fields == {"order.labels"}


def test_labels_in_another_order_are_the_same_request(desk: Desks) -> None:
    """R11: a retry with the labels in another order gets the first answer."""
    user_id, request_id = desk.platform.person(700), desk.operator.fresh("labels")
    first = ask(desk, user_id, order=order("o"), request_id=request_id)
    swapped = {"order_reference": "o", "labels": LABELS[::-1]}
    assert ask(desk, user_id, order=swapped, request_id=request_id) == first
    other = {"order_reference": "o", "labels": LABELS[:1]}
    with pytest.raises(Refused) as caught:
        ask(desk, user_id, order=other, request_id=request_id)
    assert caught.value.reason == "REQUEST_ID_REUSED"
