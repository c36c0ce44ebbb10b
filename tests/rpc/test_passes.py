"""Passes over gRPC: grants, purchases, refunds and lists."""

from __future__ import annotations

import pytest

from tests.operations.passes import RIDDEN, granted, offered
from tests.rpc.support import Desks, Refused, advance, yuan


def test_a_granted_pass_is_listed(desk: Desks) -> None:
    """GrantPass answers with the pass, and ListPasses has it with the uses of rentals."""
    held = granted(desk, reference="order-1").held
    assert (held.pass_name, held.minutes, held.percent, held.debt) == ("week", 30, 0, "")
    assert held.price == yuan(990)
    assert held.end_time.seconds - held.start_time.seconds == 7 * 24 * 3_600
    user_id = held.name.split("/")[1]
    it = desk.operator.authorize(user_id, RIDDEN)
    advance(desk, 20 * 60)
    settled = desk.operator.call("SettleAuthorization", name=it.name, usage={})
    assert settled.fee.total == yuan(0)
    told = [line.text_zh for line in settled.authorization.receipt.lines]
    assert told == ["免费时长 5 分钟", "周期卡抵扣 15 分钟"]
    (listed,) = desk.operator.call("ListPasses", user_id=user_id).passes
    assert (listed.name, listed.reference, listed.uses) == (held.name, "order-1", 1)
    assert not desk.other.call("ListPasses", user_id=user_id).passes


def test_a_bought_pass_is_a_debt_that_a_refund_drops(desk: Desks) -> None:
    """BuyPass answers with the debt of the price, whose parent is the pass; RefundPass drops it."""
    offered(desk)
    user_id = desk.platform.person()
    asked = {"user_id": user_id, "product_id": RIDDEN, "pass_name": "share"}
    bought = desk.operator.call("BuyPass", **asked)
    assert bought.authorization.parent == bought.held.name
    assert bought.authorization.unheld_due == yuan(500)
    assert bought.held.debt == bought.authorization.name
    assert bought.held.percent == 20
    refunded = desk.operator.call("RefundPass", name=bought.held.name)
    assert refunded.held.HasField("refund_time")
    assert refunded.authorization.unheld_dropped == yuan(500)
    assert not refunded.authorization.HasField("unheld_due")


def test_a_pass_is_not_sold_at_another_price(desk: Desks) -> None:
    """BuyPass with the hash of another price is refused with PRICE_CHANGED."""
    offered(desk)
    asked = {"user_id": desk.platform.person(), "product_id": RIDDEN, "pass_name": "share"}
    with pytest.raises(Refused) as caught:
        desk.operator.call("BuyPass", **asked, price_hash="0" * 64)
    assert caught.value.reason == "PRICE_CHANGED"
    shown = caught.value.info.metadata["price_hash"]
    assert desk.operator.call("BuyPass", **asked, price_hash=shown).held.percent == 20


def test_the_list_of_passes_has_pages(desk: Desks) -> None:
    """ListPasses goes on after the last pass of a page, for the same person only."""
    first = granted(desk).held
    user_id = first.name.split("/")[1]
    second = desk.operator.call(
        "GrantPass", user_id=user_id, product_id=RIDDEN, pass_name="week", start_time=first.end_time
    ).held
    page = desk.operator.call("ListPasses", user_id=user_id, page_size=1)
    assert [it.name for it in page.passes] == [first.name]
    token = page.next_page_token
    rest = desk.operator.call("ListPasses", user_id=user_id, page_size=1, page_token=token)
    assert [it.name for it in rest.passes] == [second.name]
    assert not rest.next_page_token
