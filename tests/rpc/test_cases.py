"""R18 at the wire: complaints, evidence, decisions, and lists of what waits."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from freehold.v1 import authorization_pb2 as pb_authorization
from freehold.v1 import authorization_service_pb2 as pb_service
from freehold.v1 import case_service_pb2 as pb
from freehold.v1 import charge_back_pb2

from service.domain.access import PLATFORM
from tests.rpc import ready
from tests.rpc.support import Desks, Refused, advance, yuan

DAY_S = 86_400


def complain(desk: Desks, **fields: Any) -> pb.Case:
    """A complaint about a new settled rental."""
    fields = {"complaint": pb.CASE_KIND_WRONG_FEE, "text": "太贵了", **fields}
    it: pb.Case = desk.operator.call("OpenComplaint", name=ready.settled(desk).name, **fields).case
    return it


def waiting(desk: Desks, who: str = "operator", **filters: Any) -> set[str]:
    """The names in a caller's list of cases, read in pages of two."""
    names: set[str] = set()
    token = ""
    while True:
        page = getattr(desk, who).call("ListCases", page_size=2, page_token=token, **filters)
        found = {it.name for it in page.cases}
        assert not found & names
        names |= found
        token = page.next_page_token
        if not token:
            return names


def test_r18_both_sides_read_a_complaint(desk: Desks) -> None:
    """R18: the operator and the platform read a complaint with its clock and the evidence of all
    sides, in order. Another operator does not find the complaint."""
    case = complain(desk, amount=yuan(100), evidence="photo-1")
    assert case.due_time.seconds - case.create_time.seconds == 2 * DAY_S
    assert (case.kind, case.state, case.waits_for) == (
        pb.CASE_KIND_WRONG_FEE, pb.Case.STATE_OPEN, pb.CASE_SIDE_OPERATOR,
    )  # fmt: skip
    assert case.asked == yuan(100)
    more = {"name": case.name, "text": "见照片", "evidence": "sha256:ab"}
    told = desk.operator.call("AddEvidence", side=pb.CASE_SIDE_OPERATOR, **more).case
    assert told.waits_for == pb.CASE_SIDE_PLATFORM
    for who in ("operator", "platform"):
        read = getattr(desk, who).call("GetCase", name=case.name)
        assert read.case == told
        assert [(it.number, it.side, it.text, it.reference) for it in read.evidence] == [
            (1, pb.CASE_SIDE_USER, "太贵了", "photo-1"),
            (2, pb.CASE_SIDE_OPERATOR, "见照片", "sha256:ab"),
        ]
    with pytest.raises(Refused) as refusal:
        desk.other.call("GetCase", name=case.name)
    assert refusal.value.code is grpc.StatusCode.NOT_FOUND


def test_r18_a_complaint_about_an_item_that_is_out(desk: Desks) -> None:
    """R18: a complaint that the cabinet was full since the start is told an hour later. The case
    has that time. Once the complaint is granted, the rental is still ACTIVE, has the same time as
    its claim_time, and costs the fee until then."""
    it = ready.active(desk)
    advance(desk, 3_600)
    blocked: dict[str, Any] = {"complaint": pb.CASE_KIND_RETURN_BLOCKED, "name": it.name}
    case = desk.operator.call("OpenComplaint", occurred_at=it.start_time, **blocked).case
    assert (case.occur_time, case.waits_for) == (it.start_time, pb.CASE_SIDE_OPERATOR)
    assert not case.HasField("asked")
    desk.operator.call("ResolveCase", name=case.name, outcome=pb.CASE_OUTCOME_FOR_USER)
    after = desk.operator.get(it.name)
    assert (after.state, after.claim_time) == (
        pb_authorization.Authorization.STATE_ACTIVE,
        it.start_time,
    )
    usage = pb_service.SettleAuthorizationRequest.Usage()
    settled = desk.operator.call("SettleAuthorization", name=it.name, usage=usage).authorization
    assert settled.captured == yuan(150)  # the starting fee


def test_r18_the_outcome_is_posted(desk: Desks) -> None:
    """R18: the answer of ResolveCase has the outcome and what was given back, and the charge is
    lowered."""
    case = complain(desk)
    outcome = {"outcome": pb.CASE_OUTCOME_IN_PART, "amount": yuan(300), "reason": "half"}
    closed = desk.operator.call("ResolveCase", name=case.name, **outcome).case
    assert (closed.state, closed.outcome) == (pb.Case.STATE_CLOSED, pb.CASE_OUTCOME_IN_PART)
    assert (closed.granted, closed.closed_by) == (yuan(300), "city")
    assert not closed.HasField("due_time")
    assert desk.operator.get(case.authorization).due == yuan(700)


def test_r18_silence_is_noticed_by_the_server(desk: Desks) -> None:
    """R18: when the clock has passed 48 hours, the server has decided the case for the user."""
    case = complain(desk, amount=yuan(400))
    advance(desk, 2 * DAY_S)
    closed = desk.operator.call("GetCase", name=case.name).case
    assert (closed.outcome, closed.granted) == (pb.CASE_OUTCOME_FOR_USER, yuan(400))
    assert (closed.closed_by, closed.close_time) == ("", case.due_time)


def test_r18_lists_show_open_cases(desk: Desks) -> None:
    """R18: an operator lists its own open cases, claims and disputes among them, by kind, side, due
    time and person; the platform lists all. Closed ones are listed apart."""
    before = waiting(desk, "platform")
    complaint = complain(desk)
    claim = desk.operator.call("ClaimReturn", name=ready.active(desk).name).authorization
    disputed = ready.settled(desk)
    desk.platform.call("OpenDispute", name=disputed.name, amount=yuan(100))
    mine = waiting(desk, "platform") - before
    assert len(mine) == 3
    assert mine <= waiting(desk)
    assert not mine & waiting(desk, "other")
    by_kind = waiting(desk, kind=pb.CASE_KIND_CLAIM) & mine
    assert [name.startswith(claim.name) for name in by_kind] == [True]
    assert waiting(desk, waits_for=pb.CASE_SIDE_PLATFORM) & mine == {
        name for name in mine if name.startswith(disputed.name)
    }
    due = waiting(desk, due_before=complaint.due_time) & mine
    assert due == {complaint.name, *by_kind}
    assert waiting(desk, user_id=complaint.name.split("/")[1]) == {complaint.name}
    desk.operator.call("ResolveCase", name=complaint.name, outcome=pb.CASE_OUTCOME_FOR_USER)
    assert complaint.name not in waiting(desk)
    assert complaint.name in waiting(desk, state=pb.Case.STATE_CLOSED)


def test_r3_a_late_word_answers_with_the_rental(desk: Desks) -> None:
    """R3: ClaimReturn on a settled rental answers with the unchanged rental, and opens a case with
    the claimed time."""
    it = ready.settled(desk)
    after = desk.operator.call("ClaimReturn", name=it.name, occurred_at=it.start_time).authorization
    assert (after.state, after.due) == (it.state, it.due)
    (name,) = waiting(desk, user_id=it.name.split("/")[1])
    case = desk.operator.call("GetCase", name=name).case
    assert (case.kind, case.occur_time) == (pb.CASE_KIND_LATE_CLAIM, it.start_time)


@pytest.mark.parametrize(
    ("who", "side"), [("operator", pb.CASE_SIDE_PLATFORM), ("platform", pb.CASE_SIDE_OPERATOR)]
)
def test_r18_no_side_adds_evidence_for_the_other(desk: Desks, who: str, side: int) -> None:
    """R18: an operator may add its own evidence and the user's, and the platform its own and the
    user's. Evidence with neither a text nor a reference is refused."""
    case = complain(desk)
    for fields, field in (({"side": side, "text": "no"}, "side"), ({"side": 1}, "text")):
        with pytest.raises(Refused) as refusal:
            getattr(desk, who).call("AddEvidence", name=case.name, **fields)
        assert refusal.value.fields == {field}


def test_r18_a_question_of_the_platform_is_hidden(desk: Desks) -> None:
    """R18: a case about money that matches nothing names no person; the platform reads, lists and
    answers it, and no operator sees it."""
    desk.platform.call(
        "RecordUnmatched",
        direction=charge_back_pb2.SUSPENSE_DIRECTION_IN,
        payment_reference=desk.platform.fresh("unknown"),
        amount=yuan(9),
    )
    (name,) = waiting(desk, "platform", kind=pb.CASE_KIND_UNMATCHED_MONEY)
    assert name.startswith("users/*/authorizations/*/cases/")
    assert waiting(desk, kind=pb.CASE_KIND_UNMATCHED_MONEY) == set()
    for method, fields in (
        ("GetCase", {}),
        ("ResolveCase", {"outcome": pb.CASE_OUTCOME_FOR_USER}),
        ("AddEvidence", {"side": pb.CASE_SIDE_USER, "text": "no"}),
    ):
        with pytest.raises(Refused) as refusal:
            desk.operator.call(method, name=name, **fields)
        assert refusal.value.code is grpc.StatusCode.NOT_FOUND
    with pytest.raises(Refused) as refusal:
        desk.platform.call("ResolveCase", name=name, outcome=pb.CASE_OUTCOME_FOR_USER)
    assert refusal.value.fields == {"outcome"}
    more = {"side": pb.CASE_SIDE_PLATFORM, "text": "asked the bank"}
    desk.platform.call("AddEvidence", name=name, **more)
    outcome = {"outcome": pb.CASE_OUTCOME_HANDLED, "reason": "sent back"}
    closed = desk.platform.call("ResolveCase", name=name, **outcome).case
    assert (closed.closed_by, closed.evidence_count) == (PLATFORM, 2)
    assert desk.platform.verify().verified
