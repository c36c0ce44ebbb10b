"""Charges: an amount with its bill, or the fee for the usage line by line."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import Fee, SettleAuthorizationResponse
from freehold.v1.types_pb2 import SignedMoney
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import insert, select

from service.storage import schema as t
from service.storage.database import writing
from tests.rpc import ready
from tests.rpc.support import Desks, Refused, advance, yuan

A = Authorization
HOUR_S = 3_600
L = Fee.Line


def settle(desk: Desks, name: str, **parts: Any) -> SettleAuthorizationResponse:
    """A SettleAuthorization."""
    response: SettleAuthorizationResponse = desk.operator.call(
        "SettleAuthorization", name=name, **parts
    )
    return response


def at(desk: Desks, seconds: int) -> Timestamp:
    """The present, or an instant this many seconds from it."""
    moment = Timestamp()
    moment.FromMicroseconds(desk.served.clock.now_us() + seconds * 1_000_000)
    return moment


def shown(fee: Fee) -> list[tuple[str, int, int, int]]:
    """A fee's lines as text."""
    return [
        (
            L.Item.Name(it.item)[len("ITEM_") :],
            it.quantity,
            it.unit.amount_minor,
            it.amount.amount_minor,
        )
        for it in fee.lines
    ]


# -- usage ---------------------------------------------------------------------------------


def test_usage_is_billed_line_by_line(desk: Desks) -> None:
    """A settlement by usage captures the tariff's fee and returns its lines."""
    rental = ready.active(desk)
    advance(desk, HOUR_S + 60)
    answer = settle(desk, rental.name, usage={})
    assert shown(answer.fee) == [("START_FEE", 1, 150, 150), ("INTERVALS", 5, 100, 500)]
    assert answer.fee.total == yuan(650)
    assert answer.authorization.captured == yuan(650)
    assert answer.authorization.state == A.STATE_SETTLED


def test_a_reduction_is_negative(desk: Desks) -> None:
    """The reduction by the day cap is its own line, with a negative amount."""
    rental = ready.active(desk)
    advance(desk, 12 * HOUR_S)
    fee = settle(desk, rental.name, usage={}).fee
    assert shown(fee) == [
        ("START_FEE", 1, 150, 150),
        ("INTERVALS", 48, 100, 4_800),
        ("DAY_CAP_REDUCTION", 1, -1_950, -1_950),
    ]
    assert fee.total == yuan(3_000)


@pytest.mark.parametrize("field", ["usage.end_time", "occurred_at"])
def test_usage_ends_at_the_devices_time(desk: Desks, field: str) -> None:
    """Usage is billed until its end time, or else until `occurred_at`, or else until now."""
    rental = ready.active(desk)
    advance(desk, 3 * HOUR_S)
    assert settle(desk, rental.name, **ending(field, at(desk, -2 * HOUR_S))).fee.total == yuan(550)


def ending(field: str, moment: Timestamp) -> dict[str, Any]:
    """A charge for the usage until the instant in this field."""
    if field == "usage.end_time":
        return {"usage": {"end_time": moment}}
    return {"usage": {}, "occurred_at": moment}


def test_earlier_captures_reduce_the_fee(desk: Desks) -> None:
    """A fee is captured less earlier captures; the lines show all of it."""
    rental = ready.active(desk)
    desk.operator.settle(rental.name, 400, final=False)
    advance(desk, HOUR_S)
    answer = settle(desk, rental.name, usage={})
    assert answer.fee.total == yuan(550)
    assert answer.authorization.captured == yuan(550)


def test_an_amount_has_no_fee(desk: Desks) -> None:
    """A settlement by amount answers without fee lines."""
    assert not settle(desk, ready.active(desk).name, amount=yuan(5)).HasField("fee")


@pytest.mark.parametrize("field", ["usage.end_time", "occurred_at"])
def test_r3_a_usage_that_ended_days_ago_is_billed_until_then(desk: Desks, field: str) -> None:
    """R3: a usage that ended more than a day ago is billed until its end."""
    rental = desk.operator.authorize(desk.platform.person(), "umbrella")
    advance(desk, 100 * HOUR_S)
    answer = settle(desk, rental.name, **ending(field, at(desk, -98 * HOUR_S)))
    assert answer.fee.total == yuan(200)


@pytest.mark.parametrize("seconds", [0.005, 10, 2_000_000_000])
@pytest.mark.parametrize("field", ["usage.end_time", "occurred_at"])
def test_usage_with_a_future_end_ends_now(desk: Desks, field: str, seconds: float) -> None:
    """A usage that ends later than the server's present time is billed until that time, however far
    ahead the device's clock is."""
    rental = ready.active(desk)
    advance(desk, 3 * HOUR_S)
    moment = Timestamp()
    moment.FromMicroseconds(at(desk, 0).ToMicroseconds() + int(seconds * 1_000_000))
    answer = settle(desk, rental.name, **ending(field, moment))
    assert answer.fee.total == yuan(1_350)
    assert answer.authorization.state == A.STATE_SETTLED


def test_an_amount_before_the_start_counts_as_at_the_start(desk: Desks) -> None:
    """An amount with an `occurred_at` long before the start is accepted."""
    rental = ready.active(desk)
    advance(desk, 60)
    settle(desk, rental.name, amount=yuan(1), occurred_at=at(desk, -3_600))


def test_usage_has_one_end(desk: Desks) -> None:
    """An end time and an `occurred_at` that differ are refused; equal ones are accepted."""
    rental = ready.active(desk)
    advance(desk, HOUR_S)
    now, before = at(desk, 0), at(desk, -60)
    with pytest.raises(Refused) as refusal:
        settle(desk, rental.name, usage={"end_time": now}, occurred_at=before)
    assert refusal.value.fields == {"usage.end_time"}
    settle(desk, rental.name, usage={"end_time": now}, occurred_at=now)


# -- the bill of an amount -----------------------------------------------------------------


def item(description: str, amount_minor: int, currency: str = "CNY") -> dict[str, Any]:
    """A line of a bill."""
    amount = SignedMoney(currency_code=currency, amount_minor=amount_minor)
    return {"description": description, "amount": amount}


def test_a_bill_adds_up(desk: Desks) -> None:
    """Line items, also negative ones, are accepted when they add up to the amount."""
    bill = [item("Two hours", 800), item("Zurück im Bahnhof, Rabatt", -300)]
    answer = settle(desk, ready.active(desk).name, amount=yuan(500), line_items=bill)
    assert answer.authorization.captured == yuan(500)


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"amount": yuan(501)}, "line_items"),
        ({"amount": yuan(500), "currency": "USD"}, "line_items[1].amount.currency_code"),
        ({"usage": {}}, "line_items"),
    ],
)
def test_a_wrong_bill_is_refused(desk: Desks, parts: dict[str, Any], field: str) -> None:
    """Line items that do not add up, in another currency, or with usage, are refused."""
    given = dict(parts)
    bill = [item("one", 200), item("two", 300, given.pop("currency", "CNY"))]
    rental = ready.active(desk)
    with pytest.raises(Refused) as refusal:
        settle(desk, rental.name, line_items=bill, **given)
    assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.fields == {field}
    assert desk.operator.get(rental.name) == rental


def test_a_line_needs_a_description_or_an_item(desk: Desks) -> None:
    """A line of a bill needs a description, unless it names its item."""
    rental = ready.active(desk)
    amount = SignedMoney(currency_code="CNY", amount_minor=500)
    bare: dict[str, Any] = {"amount": amount}
    with pytest.raises(Refused) as refusal:
        settle(desk, rental.name, amount=yuan(500), line_items=[bare])
    assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.fields == {"line_items[0].description"}
    answer = settle(desk, rental.name, amount=yuan(500), line_items=[{**bare, "item": "USAGE"}])
    assert answer.authorization.captured == yuan(500)


def test_a_line_must_have_a_listed_item(desk: Desks) -> None:
    """If the product's terms list the line items, a line with another name is refused, and the
    refusal names the list."""
    with writing(desk.served.store.engine) as connection:
        bikes = select(t.products).where(t.products.c.product_id == "bike")
        for row in connection.execute(bikes).all():
            listed = {"product_id": "listed", "line_items": '["USAGE","HELMET_LOST"]'}
            connection.execute(insert(t.products), {**row._asdict(), **listed})
    rental = desk.operator.authorize(desk.platform.person(), "listed")
    bill = [item("Helmet", 300) | {"item": "HELMET_LOST"}, item("Wings", 200)]
    with pytest.raises(Refused) as refusal:
        settle(desk, rental.name, amount=yuan(500), line_items=bill)
    assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.fields == {"line_items[1].item"}
    assert refusal.value.raw is not None
    assert b"one of USAGE, HELMET_LOST" in refusal.value.raw
    bill[1]["item"] = "USAGE"
    answer = settle(desk, rental.name, amount=yuan(500), line_items=bill)
    assert answer.authorization.captured == yuan(500)


def test_a_settlement_needs_an_amount_or_usage(desk: Desks) -> None:
    """A settlement with neither an amount nor usage is refused."""
    rental = ready.active(desk)
    with pytest.raises(Refused) as refusal:
        settle(desk, rental.name)
    assert refusal.value.fields == {"charge"}
