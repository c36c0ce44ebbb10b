"""Limits by hand, standings and reviews."""

from __future__ import annotations

from typing import Any

import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from freehold.v1.credit_service_pb2 import (
    LIMIT_BASIS_NO_SCORE,
    LIMIT_BASIS_SCORE,
    REVIEW_REASON_FRAUD,
    REVIEW_REASON_OTHER,
    STANDING_NORMAL,
    STANDING_SUSPENDED,
    STANDING_WATCHED,
    CreditLine,
    ResolveReviewRequest,
)
from freehold.v1.types_pb2 import OFFER_FULL, OFFER_ZERO
from sqlalchemy import select

from service.domain.access import hash_key, key_id_of
from service.storage import schema as t
from tests.rpc import ready
from tests.rpc.support import BIKE_MINOR, Desks, Refused, advance, user_with, yuan

A = Authorization
APPROVED = ResolveReviewRequest.VERDICT_APPROVED
DECLINED = ResolveReviewRequest.VERDICT_DECLINED


def stand(desk: Desks, user_id: str, standing: int) -> CreditLine:
    """A SetStanding."""
    line: CreditLine = desk.platform.call("SetStanding", user_id=user_id, standing=standing).line
    return line


# -- limits --------------------------------------------------------------------------------


def test_a_limit_is_fixed_by_hand(desk: Desks) -> None:
    """A limit set by hand stays after newer features, until it is left to the score again."""
    user_id = desk.platform.person(600)
    line = desk.platform.call("SetCreditLimit", user_id=user_id, limit=yuan(12_345)).line
    assert (line.limit, line.available, line.limit_fixed) == (yuan(12_345), yuan(12_345), True)
    (profile,) = desk.platform.put(user_with(user_id, 700))
    assert (profile.limit, profile.limit_fixed) == (yuan(12_345), True)
    assert (profile.score, profile.limit_basis) == (700, LIMIT_BASIS_NO_SCORE)
    assert desk.platform.profile(user_id) == profile
    line = desk.platform.call("SetCreditLimit", user_id=user_id).line
    assert (line.limit, line.limit_fixed) == (yuan(12_345), False)
    assert desk.platform.profile(user_id).limit_basis == LIMIT_BASIS_NO_SCORE
    (profile,) = desk.platform.put(user_with(user_id, 700))
    assert (profile.limit, profile.limit_fixed) == (yuan(50_000), False)
    assert (profile.model_id, profile.scale_version) == ("fake-model", "fake-scale")
    assert profile.limit_basis == LIMIT_BASIS_SCORE
    assert desk.platform.profile(user_id) == profile


def test_a_limit_cut_by_hand_waits_for_holds(desk: Desks) -> None:
    """If a limit is set below the held amount, the available part is cut now, and the rest when the
    hold is released."""
    user_id = desk.platform.person(600)
    rental = desk.operator.authorize(user_id, "bike")
    line = desk.platform.call("SetCreditLimit", user_id=user_id, limit=yuan(0)).line
    assert (line.available, line.held) == (yuan(0), yuan(BIKE_MINOR))
    assert line.cut_pending == yuan(BIKE_MINOR)
    desk.operator.reverse(rental.name)
    assert desk.platform.profile(user_id).limit == yuan(0)


def test_a_limit_needs_a_configured_currency(desk: Desks) -> None:
    """A limit in a currency that is not configured is refused at its currency."""
    user_id = desk.platform.person()
    limit = yuan(1)
    limit.currency_code = "XTS"
    with pytest.raises(Refused) as refusal:
        desk.platform.call("SetCreditLimit", user_id=user_id, limit=limit)
    assert refusal.value.fields == {"limit.currency_code"}


# -- standing ------------------------------------------------------------------------------


def test_a_suspended_person_gets_nothing_new(desk: Desks) -> None:
    """A suspended person is declined and cannot pick up; open rentals go on."""
    user_id = desk.platform.person()
    open_ = desk.operator.authorize(user_id, "umbrella")
    held = desk.operator.authorize(user_id, "umbrella", start=AuthorizeRequest.START_ON_PICKUP)
    assert stand(desk, user_id, STANDING_SUSPENDED).standing == STANDING_SUSPENDED
    assert desk.platform.profile(user_id).standing == STANDING_SUSPENDED
    declined = desk.operator.authorize(user_id, "umbrella")
    assert (declined.state, list(declined.reasons)) == (A.STATE_DECLINED, ["USER_SUSPENDED"])
    for refused in (
        lambda: desk.operator.start(held.name),
        lambda: desk.operator.call("IncrementAuthorization", name=open_.name, amount=yuan(1)),
    ):
        with pytest.raises(Refused) as refusal:
            refused()
        assert refusal.value.reason == "USER_SUSPENDED"
        assert refusal.value.info.metadata["state"] in ("AUTHORIZED", "ACTIVE")
    assert desk.operator.settle(open_.name, 100).state == A.STATE_SETTLED
    stand(desk, user_id, STANDING_NORMAL)
    assert desk.operator.start(held.name).state == A.STATE_ACTIVE


def test_money_of_a_person_now_suspended_is_owed_back(desk: Desks) -> None:
    """A confirmation by a person who is now suspended is DECLINED, and the payment owed back."""
    offered = ready.offered(desk)
    stand(desk, offered.name.split("/")[1], STANDING_SUSPENDED)
    declined = desk.operator.confirm(offered.name, 9_950)
    assert (declined.state, declined.reasons[0]) == (A.STATE_DECLINED, "USER_SUSPENDED")
    assert declined.refund_payable == yuan(9_950)


# -- reviews -------------------------------------------------------------------------------


def test_a_watched_person_is_reviewed(desk: Desks) -> None:
    """A watched person gets REVIEW; the approval places the hold that the engine had decided on."""
    user_id = desk.platform.person()
    stand(desk, user_id, STANDING_WATCHED)
    waiting = desk.operator.authorize(user_id, "bike")
    assert (waiting.state, waiting.reasons[0]) == (A.STATE_REVIEW, "UNDER_REVIEW")
    assert (waiting.held, desk.platform.profile(user_id).held) == (yuan(0), yuan(0))
    after = desk.platform.call("ResolveReview", name=waiting.name, verdict=APPROVED).authorization
    assert (after.state, after.held) == (A.STATE_ACTIVE, yuan(BIKE_MINOR))


def test_an_approved_offer_asks_for_its_cash(desk: Desks) -> None:
    """The approval of an offer with a cash part makes it OFFERED."""
    user_id = desk.platform.person(550)
    stand(desk, user_id, STANDING_WATCHED)
    waiting = desk.operator.authorize(user_id, "bike")
    after = desk.platform.call("ResolveReview", name=waiting.name, verdict=APPROVED).authorization
    assert (after.state, after.deposit_asked) == (A.STATE_OFFERED, yuan(9_950))
    assert desk.operator.confirm(waiting.name, 9_950).state == A.STATE_ACTIVE


def test_a_declined_review_is_an_answer(desk: Desks) -> None:
    """A declined review is DECLINED with its reason."""
    waiting = ready.under_review(desk)
    after = desk.platform.call("ResolveReview", name=waiting.name, verdict=DECLINED).authorization
    assert (after.state, after.reasons[0]) == (A.STATE_DECLINED, "REVIEW_DECLINED")


def test_a_verdict_keeps_its_reason_and_its_hand(desk: Desks) -> None:
    """A verdict is kept with its reason, its words and the hand of the key; the answer and the
    operator's event say only that there was one."""
    waiting, other = ready.under_review(desk), ready.under_review(desk)
    answer = desk.platform.call(
        "ResolveReview",
        name=waiting.name,
        verdict=DECLINED,
        reason=REVIEW_REASON_FRAUD,
        reason_text="两个账号 同一张卡",
    )
    assert answer.authorization.reviewed
    assert "两个账号" not in str(answer)
    desk.colleague.call("ResolveReview", name=other.name, verdict=APPROVED)
    told = [desk.operator.get(it.name) for it in (waiting, other)]
    assert [it.reviewed for it in told] == [False, False]
    with desk.served.app.parts.store.engine.connect() as connection:
        v, o = t.verdicts.c, t.outbox.c
        mine = v.authorization_id.in_([it.name.split("/")[-1] for it in told])
        wanted = select(v.verdict, v.reason, v.reason_text, v.decided_by).where(mine)
        rows = connection.execute(wanted.order_by(v.authorization_id)).all()
        ours = o.authorization_id == waiting.name.split("/")[-1]
        last = select(o.payload).where(ours).order_by(o.sequence.desc()).limit(1)
        payload = connection.scalar(last)
    (approved, refused) = sorted(map(tuple, rows))
    hand = key_id_of(hash_key(desk.served.platform_key))
    assert refused == ("DECLINED", "FRAUD", "两个账号 同一张卡", hand)
    assert approved[:3] == ("APPROVED", "NOT_GIVEN", "")
    assert approved[3] not in ("", hand)
    event = A.FromString(payload or b"")
    assert event.reviewed
    assert event == answer.authorization


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"reason": REVIEW_REASON_OTHER}, "reason_text"),
        ({"reason": REVIEW_REASON_OTHER, "reason_text": "   "}, "reason_text"),
        ({"reason_text": "seen in the shop"}, "reason"),
        ({"reason": 99}, "reason"),
        ({"reason": REVIEW_REASON_FRAUD, "reason_text": "x" * 501}, "reason_text"),
        ({"reason": REVIEW_REASON_FRAUD, "reason_text": "two\nlines"}, "reason_text"),
    ],
)
def test_a_reason_is_whole(desk: Desks, parts: dict[str, Any], field: str) -> None:
    """A text needs a reason, and a reason outside the list a text of at most 500 characters without
    control characters; a refusal names the field and leaves the review as it was."""
    waiting = ready.under_review(desk)
    with pytest.raises(Refused) as refused:
        desk.platform.call("ResolveReview", name=waiting.name, verdict=DECLINED, **parts)
    assert refused.value.fields == {field}
    assert desk.operator.get(waiting.name) == waiting


def test_an_approval_without_room_asks_for_more_cash(desk: Desks) -> None:
    """If the line has no more room at an approval, the review is OFFERED with the next offer that
    the caller accepts. Without such an offer it is DECLINED. Neither holds an amount."""
    user_id = desk.platform.person()
    stand(desk, user_id, STANDING_WATCHED)
    waiting = desk.operator.authorize(user_id, "bike")
    zero_only = desk.operator.authorize(user_id, "bike", accept_offers=[OFFER_ZERO])
    desk.platform.call("SetCreditLimit", user_id=user_id, limit=yuan(100))
    after = desk.platform.call("ResolveReview", name=waiting.name, verdict=APPROVED).authorization
    assert (after.state, after.offer) == (A.STATE_OFFERED, OFFER_FULL)
    assert (after.deposit_asked, after.reasons[0]) == (yuan(BIKE_MINOR), "LINE_EXHAUSTED")
    after = desk.platform.call("ResolveReview", name=zero_only.name, verdict=APPROVED).authorization
    assert (after.state, after.reasons[0]) == (A.STATE_DECLINED, "LINE_EXHAUSTED")
    assert desk.platform.profile(user_id).held == yuan(0)


def test_an_undecided_review_expires(desk: Desks) -> None:
    """A review without a verdict expires after a day."""
    waiting = ready.under_review(desk)
    assert waiting.expire_time.seconds - waiting.create_time.seconds == 24 * 3_600
    advance(desk, 24 * 3_600)
    assert desk.operator.get(waiting.name).state == A.STATE_EXPIRED
