"""Captures and corrections at the wire: purposes, citations, references, reasons."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from freehold.v1 import authorization_pb2 as pb

from tests.rpc import ready
from tests.rpc.support import Desks, Refused, advance, yuan

HOUR_S = 3_600
FEE, DAMAGE = pb.CAPTURE_PURPOSE_FEE, pb.CAPTURE_PURPOSE_DAMAGE


def captured(desk: Desks, name: str, amount_minor: int, **parts: Any) -> pb.Capture:
    """The capture of an amount that is not the last."""
    amount = yuan(amount_minor)
    answer = desk.operator.call(
        "SettleAuthorization", name=name, amount=amount, final=False, **parts
    )
    capture: pb.Capture = answer.capture
    return capture


def test_r8_captures_are_returned_and_read(desk: Desks) -> None:
    """R8: the answer has the capture with its number. GetAuthorization has all captures, their
    conceded amounts, and the corrections with their reasons."""
    name = ready.active(desk).name
    damage = captured(desk, name, 5_000, purpose=DAMAGE, business_reference="case-1")
    assert (damage.number, damage.purpose, damage.amount) == (1, DAMAGE, yuan(5_000))
    assert damage.business_reference == "case-1"
    advance(desk, HOUR_S + 60)
    settled = desk.operator.call("SettleAuthorization", name=name, usage={})
    assert (settled.capture.number, settled.capture.purpose) == (2, FEE)
    assert settled.capture.amount == settled.fee.total == yuan(650)
    assert settled.authorization.captured == yuan(5_650)
    lowered = desk.operator.call(
        "LowerCharge", name=name, amount=yuan(900), capture=1, reason="照片不清楚"
    )
    (correction,) = lowered.corrections
    assert (correction.kind, correction.capture) == ("collection.lowered", 1)
    assert (correction.amount, correction.conceded) == (yuan(900), yuan(900))
    assert correction.reason == "照片不清楚"
    told = desk.operator.call("GetAuthorization", name=name)
    assert [it.conceded for it in told.captures] == [yuan(900), yuan(0)]
    assert list(told.corrections) == [correction]


def test_r8_the_answer_has_the_uncollected_part(desk: Desks) -> None:
    """R8: the settlement says what the hold did not cover, and so does the authorization later."""
    name = ready.active(desk).name
    held = desk.operator.get(name).held.amount_minor
    captured(desk, name, held - 100, purpose=pb.CAPTURE_PURPOSE_PENALTY)
    advance(desk, HOUR_S + 60)
    settled = desk.operator.call("SettleAuthorization", name=name, usage={}).authorization
    assert settled.uncollected == yuan(550)
    assert desk.operator.get(name).uncollected == yuan(550)


def test_r8_a_citation_is_refused_by_its_field(desk: Desks) -> None:
    """R8: a cited capture that does not exist, or has less left, is INVALID_ARGUMENT at
    `capture`."""
    name = ready.active(desk).name
    captured(desk, name, 300)
    captured(desk, name, 200)
    for capture, amount_minor in ((3, 100), (2, 201)):
        with pytest.raises(Refused) as caught:
            desk.operator.call("LowerCharge", name=name, amount=yuan(amount_minor), capture=capture)
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.fields == {"capture"}


@pytest.mark.parametrize("what", ["SettleAuthorization", "LowerCharge", "RefundCharge"])
def test_r10_a_business_reference_is_used_once(desk: Desks, what: str) -> None:
    """R10: a second call with the same business reference and a fresh request id is
    ALREADY_EXISTS, and names the first; a retry with the same request id gets the first answer."""
    it = ready.paid(desk) if what == "RefundCharge" else ready.active(desk)
    if what == "LowerCharge":
        captured(desk, it.name, 2_000)
    parts: dict[str, Any] = {"name": it.name, "amount": yuan(50), "business_reference": "case-1"}
    if what == "SettleAuthorization":
        parts |= {"final": False}
    request_id = desk.operator.fresh()
    first = desk.operator.call(what, request_id=request_id, **parts)
    with pytest.raises(Refused) as caught:
        desk.operator.call(what, **parts)
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS
    row = "capture" if what == "SettleAuthorization" else "correction"
    expected = {"business_reference": "case-1", row: "1"}
    assert dict(caught.value.info.metadata) == expected
    assert desk.operator.call(what, request_id=request_id, **parts) == first


def test_r8_a_usage_is_for_the_fee(desk: Desks) -> None:
    """R8: a settlement by usage for damage is refused at `purpose`."""
    name = ready.active(desk).name
    with pytest.raises(Refused) as caught:
        desk.operator.call("SettleAuthorization", name=name, usage={}, purpose=DAMAGE)
    assert caught.value.fields == {"purpose"}
