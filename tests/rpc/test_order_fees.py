"""Fees of orders over gRPC: quotes, holds, settlements, receipts and refusals."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from freehold.v1.authorization_pb2 import CAPTURE_PURPOSE_DAMAGE

from tests.rpc.support import BIKE_MINOR, Desks, Refused, advance, yuan

FEE = yuan(700)
ELSEWHERE = yuan(0)
LONG_S = 6 * 3_600
"""After six hours a bike costs more than the fee."""


def settled(desk: Desks, order_fee: Any) -> Any:
    """The answer to a settlement by usage after six hours."""
    it = desk.operator.authorize(desk.platform.person(), order_fee=order_fee)
    assert it.order_fee == order_fee
    advance(desk, LONG_S)
    return desk.operator.call("SettleAuthorization", name=it.name, usage={})


def test_a_known_fee_is_held_and_bounds_the_charge(desk: Desks) -> None:
    """An order with a fee of 7.00 holds 206.00; six hours are charged with 7.00, and the receipt
    has the reduction in both languages, now and when it is read again."""
    it = desk.operator.authorize(desk.platform.person(), order_fee=FEE)
    assert it.held == yuan(BIKE_MINOR + 700)
    answer = settled(desk, FEE)
    it = answer.authorization
    assert (answer.fee.total, it.captured, it.uncollected) == (FEE, FEE, type(FEE)())
    line = it.receipt.lines[-1]
    assert (line.text_zh, line.text_en) == (
        "减至下单时约定的费用", "Reduction to the fee agreed at the order",
    )  # fmt: skip
    assert sum(line.amount.amount_minor for line in it.receipt.lines) == 700
    again = desk.operator.call("GetReceipt", name=it.name).receipt
    assert again == it.receipt
    assert desk.operator.get(it.name).order_fee == FEE
    assert desk.platform.verify().verified


def test_a_fee_paid_elsewhere_is_not_charged(desk: Desks) -> None:
    """An order with the deposit only holds 199.00; six hours cost nothing, and the receipt says
    that the fee is paid elsewhere."""
    answer = settled(desk, ELSEWHERE)
    it = answer.authorization
    assert (answer.fee.total, it.captured) == (yuan(0), yuan(0))
    line = it.receipt.lines[-1]
    assert line.text_zh.startswith("费用另行支付")
    assert line.text_en == "Fee paid elsewhere, not charged here"
    assert line.amount.amount_minor == -sum(
        one.amount.amount_minor for one in it.receipt.lines[:-1]
    )
    assert desk.operator.get(it.name).HasField("order_fee")
    assert desk.platform.verify().verified


def test_an_order_without_a_fee_tells_none(desk: Desks) -> None:
    """An authorization whose fee is unknown has no fee of its order."""
    it = desk.operator.authorize(desk.platform.person())
    assert not it.HasField("order_fee")
    assert it.held == yuan(BIKE_MINOR)


@pytest.mark.parametrize(("fee", "amount", "purpose"), [
    (FEE, yuan(701), 0), (ELSEWHERE, yuan(1), 0), (ELSEWHERE, yuan(1), 3),
])  # fmt: skip
def test_a_charge_beyond_the_order_is_refused(
    desk: Desks, fee: Any, amount: Any, purpose: int
) -> None:
    """An amount above the order's fee, or any but damage if the fee is paid elsewhere, is refused
    with its field; damage is charged."""
    it = desk.operator.authorize(desk.platform.person(), order_fee=fee)
    with pytest.raises(Refused) as caught:
        desk.operator.call("SettleAuthorization", name=it.name, amount=amount, purpose=purpose)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.fields == {"amount.amount_minor"}
    done = desk.operator.call(
        "SettleAuthorization", name=it.name, amount=yuan(800), purpose=CAPTURE_PURPOSE_DAMAGE
    )
    assert done.authorization.captured == yuan(800)


def test_a_fee_beyond_the_terms_is_refused_with_its_field(desk: Desks) -> None:
    """A fee above the buy-out cap names the field; in a group, that of its item."""
    user_id, much = desk.platform.person(), yuan(BIKE_MINOR + 1)
    with pytest.raises(Refused) as caught:
        desk.operator.authorize(user_id, order_fee=much)
    assert caught.value.fields == {"order_fee.amount_minor"}
    items = [{"product_id": "bike"}, {"product_id": "bike", "order_fee": much}]
    for call in ("AuthorizeGroup", "QuoteAuthorization"):
        with pytest.raises(Refused) as caught:
            desk.operator.call(call, user_id=user_id, items=items)
        assert caught.value.fields == {"items[1].order_fee.amount_minor"}


def test_a_quote_splits_deposit_and_fee(desk: Desks) -> None:
    """QuoteAuthorization has the parts of deposit and fee together, the most that the usage costs,
    which is the order's fee, and the price of a lost item."""
    for fee, held, least in ((FEE, BIKE_MINOR + 700, 150), (ELSEWHERE, BIKE_MINOR, 0)):
        items = [{"product_id": "bike", "order_fee": fee}]
        quoted = desk.operator.call(
            "QuoteAuthorization", user_id=desk.platform.person(550), items=items
        )
        (item,) = quoted.items
        assert item.credit.amount_minor + item.cash.amount_minor == held
        assert (item.least_cost, item.most_cost) == (yuan(least), yuan(BIKE_MINOR))
        assert item.most_fee == fee


def test_no_fee_and_a_fee_of_zero_are_two_requests(desk: Desks) -> None:
    """The same request id with a fee of zero, where the first call had none, is refused: it names
    the field."""
    user_id, request_id = desk.platform.person(), desk.operator.fresh()
    desk.operator.authorize(user_id, request_id=request_id)
    with pytest.raises(Refused) as caught:
        desk.operator.authorize(user_id, request_id=request_id, order_fee=ELSEWHERE)
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert "order_fee" in str(caught.value.info.metadata)
