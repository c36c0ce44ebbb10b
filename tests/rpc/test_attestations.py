"""R17 at the wire: pauses, waivers, and returns without a dock."""

from __future__ import annotations

import pytest
from freehold.v1 import authorization_pb2 as pb
from freehold.v1 import authorization_service_pb2 as rpc
from google.protobuf.timestamp_pb2 import Timestamp

from tests.operations.call import Parts
from tests.operations.test_attestations import NOW, WORD
from tests.rpc import ready
from tests.rpc.support import START_S, Desks, advance, violated


def test_r17_attestations_are_read_over_the_wire(desk: Desks) -> None:
    """R17: a pause, its end, a waiver and a return by hand come back in their answers, and in
    GetAuthorization with causes, sources, evidence and times."""
    it = ready.active(desk)
    operator = desk.operator
    paused = operator.call("PauseRental", name=it.name, occurred_at=NOW, **WORD)
    assert paused.authorization.paused.ToSeconds() == 86_400
    assert paused.pause.until_time.seconds == paused.pause.occur_time.seconds + 86_400
    resumed = operator.call("ResumeRental", name=it.name, evidence="case-2")
    assert resumed.resume.kind == pb.ATTESTATION_KIND_RESUME
    waived = operator.call("WaiveFee", name=it.name, **WORD)
    assert waived.waiver.waived == waived.waiver.pending
    done = operator.call(
        "SettleAuthorization",
        name=it.name,
        usage={},
        return_kind=rpc.SettleAuthorizationRequest.RETURN_KIND_BY_HAND,
        evidence="receipt-1",
    )
    assert done.handover.kind == pb.ATTESTATION_KIND_BY_HAND
    told = operator.call("GetAuthorization", name=it.name)
    assert list(told.attestations) == [
        paused.pause,
        resumed.resume,
        waived.waiver,
        done.handover,
    ]
    first = told.attestations[0]
    said = (first.cause, first.source, first.evidence)
    assert said == (pb.CAUSE_CABINET_FULL, pb.SOURCE_USER, WORD["evidence"])


def test_r17_a_late_pause_is_told_over_the_wire(desk: Desks) -> None:
    """R17: a pause with its end, told after the settlement by usage, lowers the charge. A retry
    gets the same answer, and GetAuthorization has the pause and its end."""
    it, begun = ready.active(desk), START_S
    advance(desk, 3 * 3_600)
    settled = desk.operator.call("SettleAuthorization", name=it.name, usage={}).authorization
    request = {
        **{"name": it.name, "request_id": "late-1", "occurred_at": Timestamp(seconds=begun + 60)},
        **{"resumed_at": Timestamp(seconds=begun + 7_260), **WORD},
    }
    paused = desk.operator.call("PauseRental", **request)
    assert paused.authorization.state == pb.Authorization.STATE_SETTLED
    assert 0 < paused.authorization.due.amount_minor < settled.due.amount_minor
    assert desk.operator.call("PauseRental", **request) == paused
    told = desk.operator.call("GetAuthorization", name=it.name)
    kinds = [pb.ATTESTATION_KIND_PAUSE, pb.ATTESTATION_KIND_RESUME]
    assert [one.kind for one in told.attestations] == kinds
    assert told.attestations[1].occur_time.seconds == begun + 7_260
    assert desk.platform.verify().verified


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"evidence": ""}, "evidence"),
        ({"final": False}, "final"),
        ({"return_kind": rpc.SettleAuthorizationRequest.RETURN_KIND_DOCKED}, "evidence"),
    ],
)
def test_r17_a_hand_over_is_whole(desk: Desks, changes: Parts, field: str) -> None:
    """R17: a return by post needs evidence, and its capture is the last one. A return at a dock has
    no evidence."""
    request: Parts = {
        "name": ready.active(desk).name,
        "usage": {},
        "return_kind": rpc.SettleAuthorizationRequest.RETURN_KIND_BY_POST,
        "evidence": "parcel-1",
        **changes,
    }
    message = rpc.SettleAuthorizationRequest(request_id=desk.operator.fresh(), **request)
    assert violated(desk.operator, "SettleAuthorization", message) == {field}
