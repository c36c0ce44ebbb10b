"""Receipts at the wire: in the answer of a settlement, in its event, and from GetReceipt."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from freehold.v1 import receipt_pb2
from freehold.v1.authorization_pb2 import LAPSE_OFFER_EXPIRED, Authorization
from sqlalchemy import select, update

from service.books import beside
from service.domain.transitions import Transition
from service.storage import schema as t
from tests.operations.test_attestations import WORD
from tests.rpc import ready
from tests.rpc.support import Desks, Refused, advance, yuan

HOUR_S = 3_600
Line = receipt_pb2.Receipt.Line
START_FEE, INTERVALS = Line.ITEM_START_FEE, Line.ITEM_INTERVALS


def of_event(desk: Desks, name: str, transition: Transition) -> Authorization:
    """The payload of an authorization's event."""
    o = t.outbox.c
    query = select(o.payload).where(
        o.authorization_id == name.rpartition("/")[2], o.transition == transition
    )
    with desk.served.store.engine.connect() as connection:
        return Authorization.FromString(connection.execute(query).scalar_one())


def again(desk: Desks, name: str) -> Any:
    """The answer to GetReceipt."""
    return desk.operator.call("GetReceipt", name=name)


def test_r19_the_settlement_has_the_receipt(desk: Desks) -> None:
    """R19: a bike for 61 minutes costs 1.50 and five units of 15 minutes at 1.00; the answer, the
    event and GetReceipt have the same receipt, with words in Chinese and English."""
    name = ready.active(desk).name
    held = desk.operator.get(name).held.amount_minor
    advance(desk, HOUR_S + 60)
    settled = desk.operator.call("SettleAuthorization", name=name, usage={}).authorization
    receipt = settled.receipt
    assert (receipt.minutes, receipt.free_minutes) == (61, 0)
    assert receipt.end_time.seconds - receipt.start_time.seconds == HOUR_S + 60
    assert receipt.start_time == settled.start_time
    first, second = receipt.lines
    assert (first.item, first.amount.amount_minor, first.text_en) == (
        *(START_FEE, 150, "Starting fee"),
    )
    assert (second.item, second.quantity, second.unit.amount_minor) == (INTERVALS, 5, 100)
    assert (second.text_zh, second.text_en) == (
        *("5 个计费单位每单位 15 分钟", "5 units of 15 minutes"),
    )
    assert receipt.total == settled.captured == yuan(650)
    assert receipt.released == yuan(held - 650)
    for absent in ("owed_back", "uncollected", "other", "debt"):
        assert not receipt.HasField(absent)
    assert of_event(desk, name, Transition.SETTLED).receipt == receipt
    assert again(desk, name).receipt == receipt
    assert not desk.operator.get(name).HasField("receipt")


def test_r19_a_receipt_does_not_change(desk: Desks) -> None:
    """R19: after payment and correction GetReceipt has the receipt of the docking, and what was
    given back since."""
    it = ready.active(desk)
    advance(desk, HOUR_S + 60)
    settled = desk.operator.call("SettleAuthorization", name=it.name, usage={}).authorization
    lowered = desk.operator.call("LowerCharge", name=it.name, amount=yuan(100), reason="wet seat")
    desk.platform.pay(it.name, 550)
    docked = desk.operator.call(
        "ReportFound", name=it.name, occurred_at=it.start_time, reason="docked at once"
    )
    found = again(desk, it.name)
    assert found.receipt == settled.receipt
    assert list(found.corrections) == [*lowered.corrections, *docked.corrections]


def test_r19_a_lost_item_has_a_receipt(desk: Desks) -> None:
    """R19: the loss and the silence of the operator have receipts in their events."""
    lost = desk.operator.call("ReportLost", name=ready.overdue(desk).name).authorization
    (line,) = lost.receipt.lines
    assert (line.item, line.amount.amount_minor) == (Line.ITEM_LOST_ITEM, 19_900)
    assert again(desk, lost.name).receipt == lost.receipt
    claimed = ready.claimed(desk)
    advance(desk, 40 * 24 * HOUR_S)
    desk.platform.pay(claimed.name, desk.operator.get(claimed.name).due.amount_minor)
    event = of_event(desk, claimed.name, Transition.CLAIM_ACCEPTED)
    assert event.receipt.end_time == claimed.claim_time
    assert again(desk, claimed.name).receipt == event.receipt
    assert desk.platform.verify().verified


def test_r19_pauses_and_waivers_are_said_in_both_languages(desk: Desks) -> None:
    """R19, R17: a rental was paused, a part of its fee was waived, and the item came back by post.
    The receipt has the paused minutes and the waived amount, in Chinese and English."""
    it = ready.active(desk)
    desk.operator.call("PauseRental", name=it.name, **WORD)
    advance(desk, 600)
    desk.operator.call("ResumeRental", name=it.name)
    advance(desk, HOUR_S)
    desk.operator.call("WaiveFee", name=it.name, amount=yuan(120), **WORD)
    settled = desk.operator.call(
        *("SettleAuthorization",), name=it.name, usage={}, return_kind="RETURN_KIND_BY_POST",
        evidence="parcel-1",
    ).authorization  # fmt: skip
    *_, paused, waived = settled.receipt.lines
    assert (paused.text_zh, paused.text_en, paused.quantity) == (
        *("暂停计费 10 分钟", "10 paused minutes", 10),
    )
    assert (waived.text_zh, waived.text_en) == ("费用减免", "Waived by the operator")
    assert waived.amount.amount_minor == -120
    assert sum(line.amount.amount_minor for line in settled.receipt.lines) == (
        settled.receipt.total.amount_minor
    )
    assert of_event(desk, it.name, Transition.HANDED_OVER).receipt == settled.receipt
    assert again(desk, it.name).receipt == settled.receipt
    assert desk.platform.verify().verified


def test_r19_only_a_settled_rental_has_a_receipt(desk: Desks) -> None:
    """R19: a rental that is not settled has no receipt, and another operator's is not found."""
    it = ready.active(desk)
    with pytest.raises(Refused) as caught:
        again(desk, it.name)
    assert (caught.value.code, caught.value.reason) == (
        *(grpc.StatusCode.FAILED_PRECONDITION, "NO_RECEIPT"),
    )
    settled = ready.settled(desk)
    with pytest.raises(Refused) as caught:
        desk.other.call("GetReceipt", name=settled.name)
    assert caught.value.code is grpc.StatusCode.NOT_FOUND


def test_r19_a_settlement_that_moves_no_money_has_a_receipt(desk: Desks) -> None:
    """R19: damage takes the whole hold, so the return moves no money. Its receipt is in the answer,
    in the event and in GetReceipt, whether the item is docked or lost."""
    for lost in (False, True):
        it = ready.active(desk)
        advance(desk, HOUR_S)
        desk.operator.call(
            *("SettleAuthorization",), name=it.name, amount=it.held, final=False,
            purpose="CAPTURE_PURPOSE_DAMAGE",
        )  # fmt: skip
        if lost:
            advance(desk, 48 * HOUR_S)
            ended = desk.operator.call("ReportLost", name=it.name).authorization
        else:
            ended = desk.operator.call("SettleAuthorization", name=it.name, usage={}).authorization
        assert ended.moved_no_money
        assert (ended.receipt.total.amount_minor, ended.receipt.other) == (0, it.held)
        assert ended.receipt.uncollected.amount_minor > 0
        found = desk.operator.get(it.name)
        assert not found.moved_no_money
        assert not found.HasField("receipt")
        assert again(desk, it.name).receipt == ended.receipt
    assert desk.platform.verify().verified


def test_a_receipt_missing_from_its_event_is_found(desk: Desks) -> None:
    """If the receipt is cut off from an old event, or its whole content is removed, the answer of
    the settlement shows it."""
    it = ready.active(desk)
    settled = desk.operator.call("SettleAuthorization", name=it.name, usage={}).authorization
    desk.platform.pay(it.name, settled.due.amount_minor)
    assert desk.platform.verify().verified
    o = t.outbox.c
    event = (o.authorization_id == it.name.rpartition("/")[2], o.transition == Transition.SETTLED)
    engine = desk.served.store.engine
    with engine.connect() as connection:
        ((sequence, payload),) = connection.execute(select(o.sequence, o.payload).where(*event))
    without = Authorization.FromString(payload)
    without.ClearField("receipt")
    for content, operator_id in ((without.SerializeToString(), "city"), (b"", "")):
        changed = update(t.outbox).where(*event)
        with engine.begin() as connection:
            connection.execute(changed.values(payload=content, operator_id=operator_id))
        fault = desk.platform.verify().fault
        assert (fault.rule, fault.row) == ("PAYLOAD", f"outbox/{sequence}")
        assert "receipt" in fault.detail


def test_the_verifier_knows_the_fields_of_an_event() -> None:
    """The bytes by which the verifier finds a field of an event are those of the contract."""
    fields = Authorization.DESCRIPTOR.fields_by_name
    numbers = {
        "receipt": beside.RECEIPT, "details": beside.DETAILS, "lapse": beside.LAPSE,
        "case": beside.CASE, "moved_no_money": beside.MOVED_NO_MONEY,
        "step_decision_id": beside.STEP_DECISION, "user_consent_reference": beside.CONSENT,
        "reviewed": beside.REVIEWED,
    }  # fmt: skip
    assert {name: fields[name].number for name in numbers} == numbers
    told = Authorization(case="x", moved_no_money=True, step_decision_id="d", reviewed=True)
    told.receipt.SetInParent()
    told.details.SetInParent()
    told.lapse = LAPSE_OFFER_EXPIRED
    told.user_consent_reference = "form-1"
    content = told.SerializeToString()
    assert all(tag in content for tag in beside.TAGS.values())
