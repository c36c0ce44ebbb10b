"""R2 and R14 over the wire: charge-backs and suspense are seen by the operator and the platform."""

from __future__ import annotations

from typing import Any

import grpc
from freehold.v1 import charge_back_pb2 as pb
from freehold.v1 import collection_service_pb2 as calls

from tests.fakes import OPERATOR
from tests.rpc import ready
from tests.rpc.support import Desks, yuan

WON, LOST = calls.DISPUTE_OUTCOME_USER_WON, calls.DISPUTE_OUTCOME_USER_LOST


def paid(desk: Desks, amount_minor: int = 300) -> tuple[Any, str]:
    """A settled rental with a payment, and the payment's reference."""
    it, reference = ready.settled(desk), desk.platform.fresh("pay")
    desk.platform.call(
        "RecordPayment",
        authorization=it.name,
        payment_reference=reference,
        amount=yuan(amount_minor),
    )
    return it, reference


def test_r2_a_case_is_recorded_and_seen(desk: Desks) -> None:
    """R2: the answer has the case; the operator sees it with the rental, and the platform in its
    list; a part above the payment is an item in suspense."""
    it, reference = paid(desk)
    case_id = desk.platform.fresh("case")
    answer = desk.platform.call(
        "RecordChargeBack",
        name=it.name,
        payment_reference=case_id,
        amount=yuan(500),
        payment=reference,
    )
    case = answer.charge_back
    assert (case.case_id, case.payment, case.state) == (
        case_id, reference, pb.CHARGE_BACK_STATE_OPEN,
    )  # fmt: skip
    assert (case.amount, case.open, case.suspense) == (yuan(500), yuan(300), yuan(200))
    assert list(desk.operator.call("GetAuthorization", name=it.name).charge_backs) == [case]
    user_id = it.name.split("/")[1]
    listed = desk.platform.call("ListChargeBacks", user_id=user_id)
    assert list(listed.charge_backs) == [case]
    items = desk.platform.call("ListSuspense", page_size=1000).items
    (item,) = [one for one in items if one.payment_reference == case_id]
    assert (item.open, item.authorization) == (yuan(200), it.name)
    assert item.direction == pb.SUSPENSE_DIRECTION_OUT


def test_r14_a_case_is_decided_twice(desk: Desks) -> None:
    """R14: a case is decided for the user, and then against the user. Both decisions have events,
    and the list of open cases does not have the case."""
    it, reference = paid(desk)
    case_id = desk.platform.fresh("case")
    fields = {"name": it.name, "payment_reference": case_id, "payment": reference}
    desk.platform.call("RecordChargeBack", **fields, amount=yuan(300))
    decide: dict[str, Any] = {"name": it.name, "case_id": case_id}
    desk.platform.call("ResolveChargeBack", **decide, outcome=WON)
    answer = desk.platform.call("ResolveChargeBack", **decide, outcome=LOST)
    kinds = [row.kind.rpartition(".")[2] for row in answer.corrections]
    assert kinds == ["charge_back_reopened", "charge_back_overturned"]
    assert answer.authorization.refunded.amount_minor == 0
    (case,) = desk.operator.call("GetAuthorization", name=it.name).charge_backs
    assert (case.state, case.reopened, case.overturned) == (
        pb.CHARGE_BACK_STATE_OVERTURNED, 1, yuan(300),
    )  # fmt: skip
    user_id = it.name.split("/")[1]
    listed = desk.platform.call("ListChargeBacks", user_id=user_id, open_only=True)
    assert not listed.charge_backs


def test_a13_money_in_an_operators_account_is_listed_with_its_owner_and_matched(
    desk: Desks,
) -> None:
    """A13: ListSuspense tells the owner of money in an operator's own rail account. With this owner
    the money is matched by two keys, and a retry has the first answer; without the owner it is not
    found."""
    it = ready.settled(desk)
    operator = f"operators/{OPERATOR}"
    reference = desk.platform.fresh("odd")
    recorded = desk.platform.call(
        "RecordUnmatched",
        direction=pb.SUSPENSE_DIRECTION_IN,
        payment_reference=reference,
        amount=yuan(500),
        rail_account=f"{operator}/railAccounts/default",
    ).item
    items = desk.platform.call("ListSuspense", page_size=1000).items
    (item,) = [one for one in items if one.payment_reference == reference]
    assert (item, item.owner) == (recorded, operator)
    assert {one.owner for one in items} <= {"", operator}
    named: dict[str, Any] = {"payment_reference": reference, "amount": yuan(100)}
    request = calls.MatchSuspenseRequest(request_id=desk.platform.fresh(), **named)
    assert desk.platform.refused("MatchSuspense", request).reason == "SUSPENSE_NOT_FOUND"
    back = calls.MatchSuspenseRequest(request_id=desk.platform.fresh(), owner=operator, **named)
    answers = [desk.platform.send("MatchSuspense", back) for _ in "ab"]
    assert answers[0] == answers[1]
    assert calls.MatchSuspenseResponse.FromString(answers[0]).item.open == yuan(400)
    unnamed = calls.MatchSuspenseRequest(request_id=back.request_id, **named)
    assert desk.platform.refused("MatchSuspense", unnamed).reason == "REQUEST_ID_REUSED"
    named = {**named, "owner": operator, "name": it.name}
    assert not desk.platform.call("MatchSuspense", **named).HasField("authorization")
    after = desk.colleague.call("MatchSuspense", **named)
    assert (after.authorization.name, after.item.open) == (it.name, yuan(300))
    wrong = calls.MatchSuspenseRequest(request_id=desk.platform.fresh(), **named)
    wrong.owner = "city"
    assert desk.platform.refused("MatchSuspense", wrong).fields == {"owner"}


def test_the_lists_have_pages(desk: Desks) -> None:
    """Charge-backs and items in suspense are listed page by page, none twice; a token counts only
    for the same query."""
    it, reference = paid(desk)
    for _ in "abc":
        fields = {"name": it.name, "payment_reference": desk.platform.fresh("case")}
        desk.platform.call("RecordChargeBack", **fields, payment=reference, amount=yuan(400))
    for method, found, more in (
        ("ListChargeBacks", "charge_backs", {"open_only": True}),
        ("ListSuspense", "items", {"matched_too": True}),
    ):
        whole = getattr(desk.platform.call(method, page_size=1000), found)
        pages, token = [], ""
        while True:
            page = desk.platform.call(method, page_size=2, page_token=token)
            pages += getattr(page, found)
            token = page.next_page_token
            if not token:
                break
            last = token
        assert pages == list(whole)
        for fields in ({"page_token": last, **more}, {"page_token": "no token"}):
            kind: Any = getattr(calls, f"{method}Request")
            request = desk.platform.refused(method, kind(**fields))
            assert request.code is grpc.StatusCode.INVALID_ARGUMENT
            assert request.fields == {"page_token"}
