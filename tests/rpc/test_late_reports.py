"""Late reports and cut times over the wire."""

from __future__ import annotations

from typing import Any

from freehold.v1 import authorization_pb2 as pb
from freehold.v1 import authorization_service_pb2 as calls
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tests.rpc import ready
from tests.rpc.support import Desks, advance, yuan

A = pb.Authorization
HOUR_S = 3_600
YEAR = Duration(seconds=366 * 86_400)


def test_r7_the_answer_names_the_cut_times(desk: Desks) -> None:
    """R7: a rental period of 366 days is cut to the policy's 24 hours, and the answer says so; a
    retry says the same."""
    user_id = desk.platform.person()
    asked: dict[str, Any] = {
        "request_id": "cut-1", "user_id": user_id, "product_id": "bike", "rental_period": YEAR,
    }  # fmt: skip
    answer = desk.operator.call("Authorize", **asked)
    it = answer.authorization
    assert it.due_time.seconds - it.start_time.seconds == 24 * HOUR_S
    assert list(answer.cuts) == [
        calls.Cut(field="rental_period", product_id="bike", granted=Duration(seconds=24 * HOUR_S))
    ]
    assert desk.operator.call("Authorize", **asked) == answer


def test_r7_a_granted_time_is_not_cut(desk: Desks) -> None:
    """R7: a period within the policy's limit, and a decline, name no cut."""
    exact = Duration(seconds=24 * HOUR_S)
    answer = desk.operator.call(
        "Authorize", user_id=desk.platform.person(), product_id="bike", rental_period=exact
    )
    assert not answer.cuts
    nobody = desk.operator.call(
        "Authorize", user_id="x-1", product_id="bike", rental_period=YEAR, accept_offers=[1]
    )
    assert nobody.authorization.state == A.STATE_DECLINED
    assert not nobody.cuts


def test_r7_a_group_names_each_cut_once(desk: Desks) -> None:
    """R7: the answer of a group names the cuts of each product's policy once."""
    answer = desk.operator.call(
        "AuthorizeGroup",
        user_id=desk.platform.person(),
        items=[{"product_id": it} for it in ("umbrella", "power-bank", "umbrella")],
        start=calls.AuthorizeRequest.START_ON_PICKUP,
        pickup_window=Duration(seconds=HOUR_S),
        rental_period=YEAR,
    )
    assert len(answer.authorizations) == 3
    assert [(it.field, it.product_id, it.granted.seconds) for it in answer.cuts] == [
        ("pickup_window", "umbrella", 1_800), ("rental_period", "umbrella", 72 * HOUR_S),
        ("pickup_window", "power-bank", 1_800), ("rental_period", "power-bank", 72 * HOUR_S),
    ]  # fmt: skip


def test_r3_a_start_and_a_claim_are_reported_late(desk: Desks) -> None:
    """R3: StartRental and ClaimReturn take the time at which it happened."""
    it = ready.authorized(desk)
    advance(desk, 600)
    picked = Timestamp(seconds=it.create_time.seconds + 60)
    out = desk.operator.call("StartRental", name=it.name, occurred_at=picked).authorization
    assert (out.state, out.start_time) == (A.STATE_ACTIVE, picked)
    advance(desk, 30 * HOUR_S)
    back = Timestamp(seconds=picked.seconds + HOUR_S)
    claimed = desk.operator.call(
        "ClaimReturn", name=it.name, occurred_at=back, evidence="dock-7"
    ).authorization
    assert (claimed.state, claimed.claim_time) == (A.STATE_RETURN_CLAIMED, back)
    asked = claimed.claim_until_time.seconds - out.start_time.seconds
    assert asked == 30 * HOUR_S + 540 + 48 * HOUR_S


def test_r3_a_settled_rental_is_lowered_by_its_docking(desk: Desks) -> None:
    """R3: ReportFound with the time of docking lowers a charge that was settled later."""
    it = ready.active(desk)
    advance(desk, 5 * HOUR_S)
    desk.operator.call("SettleAuthorization", name=it.name, usage={})
    docked = Timestamp(seconds=it.start_time.seconds + HOUR_S)
    found = desk.operator.call(
        "ReportFound", name=it.name, occurred_at=docked, evidence="case-4711"
    ).authorization
    assert (found.state, found.due) == (A.STATE_SETTLED, yuan(550))
