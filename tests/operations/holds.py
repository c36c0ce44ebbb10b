"""Calls from the offer to the settlement: the hold, and the item's return."""

from __future__ import annotations

from typing import Any

from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import credit_service_pb2 as credit
from freehold.v1.authorization_pb2 import CAPTURE_PURPOSE_PENALTY
from freehold.v1.types_pb2 import OFFER_REDUCED, OFFER_ZERO, SignedMoney
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain import hold, settlement
from service.domain.authorization import Authorization, State, Step
from service.domain.details import price_hash
from service.domain.policy import Split
from service.domain.tariff import MINUTE_US
from tests.domain.lives import BIKE
from tests.engine import acts
from tests.engine.calls import confirm, rental, reverse, settle, start
from tests.operations.call import (
    AMOUNT,
    CHARGED,
    OUT,
    PAID,
    REASON,
    SAME_LINE,
    Call,
    CallOnAuthorization,
    Parts,
    then,
)
from tests.rpc import ready
from tests.rpc.support import START_S, Desks, yuan

NOW = Timestamp(seconds=START_S)
SOON = Duration(seconds=60)
FEN = SignedMoney(currency_code="CNY", amount_minor=100)
WINDOWS: Parts = {"pickup_window": SOON, "rental_period": SOON}
PLACE: Parts = {"station": "dock-1", "condition": "电量 80 %"}
CONSENT: Parts = {"user_consent_reference": "form-1"}
ORDER: Parts = {
    "order_reference": "order-1",
    "labels": [{"name": "lane", "value": "3"}],
    "place": PLACE,
    "device_hash": "ab+/=",
    "payment_account_hash": "cd",
    "rail_account": "wechat-1",
    "time_zone": "Asia/Shanghai",
}
ASKED: Parts = {
    "user_id": "somebody",
    "start": calls.AuthorizeRequest.START_ON_PICKUP,
    "accept_offers": [OFFER_ZERO, OFFER_REDUCED],
    "identity_hash": "a" * 64,
    **WINDOWS,
}


def _confirmed(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """Confirms as the engine does: both parts are held, or the money is owed back."""
    hold.require_asked(it)
    if it.state is State.OFFERED:
        paid_minor = it.cash_minor + amount_minor
        return hold.confirm(it, BIKE, paid_minor, now_us, excess_minor=amount_minor)
    return hold.owe_back(it, it.cash_minor + amount_minor, now_us)


def _wants_one(desk: Desks, request: Any) -> None:
    request.user_id = desk.platform.person()
    request.product_id = "umbrella"


def _wants_two(desk: Desks, request: Any) -> None:
    request.user_id = desk.platform.person()
    request.items.add(product_id="umbrella")
    request.items.add(product_id="power-bank")


def _pays_the_deposit(desk: Desks, request: Any) -> None:
    request.payment_reference = desk.platform.fresh("pay")
    request.paid.CopyFrom(yuan(ready.REDUCED_MINOR))


def _takes_200(_desk: Desks, request: Any) -> None:
    request.amount.CopyFrom(yuan(200))


def _an_hour_more(_desk: Desks, request: Any) -> None:
    request.duration.seconds = 3_600


def _has_evidence(_desk: Desks, request: Any) -> None:
    request.evidence = "case-4711"


def _approves(_desk: Desks, request: Any) -> None:
    request.verdict = request.VERDICT_APPROVED


CALLS = (
    Call(
        method="Authorize",
        required=frozenset({"user_id", "product_id"}),
        parts=(
            {
                "product_id": "bike",
                "asset_id": "bike-1",
                "parent": f"users/somebody/authorizations/{'0' * 20}",
                **ASKED,
                **AMOUNT,
                "order": ORDER,
                "price_hash": price_hash(BIKE),
                "order_fee": yuan(700),
                **CONSENT,
            },
        ),
        fill=_wants_one,
        race="line",
    ),
    Call(
        method="AuthorizeGroup",
        required=frozenset({"user_id", "items"}),
        parts=(
            {
                "items": [
                    {
                        "product_id": "bike",
                        "asset_id": "bike-1",
                        "price_hash": price_hash(BIKE),
                        "order_fee": yuan(700),
                    }
                ],
                **ASKED,
                "order": ORDER,
            },
        ),
        fill=_wants_two,
        race="group",
    ),
    CallOnAuthorization(
        method="ConfirmAuthorization",
        required=frozenset({"name", "payment_reference", "paid"}),
        parts=(PAID,),
        fill=_pays_the_deposit,
        race="offer",
        # A cash part that comes late or twice is owed back; only a verdict ends a review.
        states=frozenset(State) - {State.REVIEW},
        rule=_confirmed,
        command=lambda it: confirm(it, 2_950, reference=f"any-{it.user_id}"),
        before=then(State.OFFERED),
        behind=ready.offered,
    ),
    CallOnAuthorization(
        method="ResolveReview",
        scope="reviews.write",
        required=frozenset({"name", "verdict"}),
        parts=(
            {
                "verdict": credit.ResolveReviewRequest.VERDICT_APPROVED,
                "reason": credit.REVIEW_REASON_OTHER,
                "reason_text": "seen in the shop",
            },
        ),
        fill=_approves,
        race="review",
        states=frozenset({State.REVIEW}),
        rule=lambda it, n, now_us: hold.offer(it, n * MINUTE_US, now_us),
        command=lambda it: acts.review(it, approve=True),
        before=then(State.REVIEW),
        behind=ready.under_review,
    ),
    CallOnAuthorization(
        method="StartRental",
        parts=({"asset_id": "bike-1", "occurred_at": NOW, "place": PLACE},),
        race="pickup",
        states=frozenset({State.AUTHORIZED}),
        rule=lambda it, n, now_us: hold.start_rental(it, BIKE, "", now_us, now_us),
        command=start,
        before=then(State.AUTHORIZED),
        behind=ready.authorized,
    ),
    CallOnAuthorization(
        method="IncrementAuthorization",
        required=frozenset({"name", "amount"}),
        parts=({**AMOUNT, **PAID, **CONSENT},),
        race="line",
        states=frozenset({State.AUTHORIZED, State.ACTIVE, State.OVERDUE}),
        rule=lambda it, n, now_us: hold.increment(it, Split(n, n), 0, now_us),
        command=lambda it: acts.increment(it, 100, 100, f"any-{it.user_id}"),
        before=then(State.ACTIVE),
        behind=ready.active,
    ),
    CallOnAuthorization(
        method="DecreaseAuthorization",
        required=frozenset({"name", "amount"}),
        parts=(AMOUNT,),
        unraced=SAME_LINE,
        states=OUT | {State.AUTHORIZED},
        rule=hold.decrease,
        command=lambda it: acts.decrease(it, 100),
        before=then(State.ACTIVE),
        behind=ready.active,
    ),
    CallOnAuthorization(
        method="ExtendRental",
        required=frozenset({"name", "duration"}),
        parts=({"duration": SOON},),
        fill=_an_hour_more,
        unraced=SAME_LINE,
        states=frozenset({State.AUTHORIZED, State.ACTIVE, State.OVERDUE}),
        rule=lambda it, n, now_us: hold.extend(it, BIKE, n * MINUTE_US, now_us),
        command=lambda it: acts.extend(it, acts.DAY_US),
        before=then(State.ACTIVE),
        behind=ready.active,
    ),
    CallOnAuthorization(
        method="SettleAuthorization",
        required=frozenset({"name", "charge"}),
        parts=(
            {
                **AMOUNT,
                "final": True,
                "line_items": [{"description": "Two hours, café", "amount": FEN}],
                "occurred_at": NOW,
                "purpose": CAPTURE_PURPOSE_PENALTY,
                "business_reference": "case-1",
                "place": PLACE,
                **CONSENT,
            },
            {
                "usage": {"end_time": NOW},
                "final": True,
                "return_kind": calls.SettleAuthorizationRequest.RETURN_KIND_BY_POST,
                "evidence": "parcel-1",
            },
        ),
        fill=_takes_200,
        race="captures",
        states=OUT,
        rule=lambda it, n, now_us: settlement.settle(it, BIKE, n, True, now_us, now_us),
        command=lambda it: settle(it, 0),
        before=then(State.ACTIVE),
        behind=ready.active,
    ),
    CallOnAuthorization(
        method="ReverseAuthorization",
        required=frozenset({"target"}),
        parts=(
            {"user_cancels": True},
            {"origin": {"user_id": "somebody", "authorize_request_id": "another"}, "name": ""},
        ),
        race="tombstone",
        states=frozenset({State.OFFERED, State.REVIEW, State.AUTHORIZED, State.ACTIVE}),
        rule=lambda it, n, now_us: hold.reverse(it, now_us),
        command=reverse,
        before=then(State.ACTIVE),
        behind=ready.active,
    ),
    CallOnAuthorization(
        method="ClaimReturn",
        scope="returns.claim",
        parts=({"occurred_at": NOW, "evidence": "https://example.com/case?id=4711"},),
        unraced=SAME_LINE,
        states=frozenset({State.ACTIVE, State.OVERDUE}),
        rule=lambda it, n, now_us: settlement.claim_return(it, BIKE, now_us, now_us),
        command=acts.claim_return,
        before=then(State.ACTIVE),
        behind=ready.active,
    ),
    CallOnAuthorization(
        method="ContestReturn",
        required=frozenset({"name", "evidence"}),
        parts=({"evidence": "https://example.com/case?id=4711"},),
        fill=_has_evidence,
        race="claim",
        states=frozenset({State.RETURN_CLAIMED}),
        rule=lambda it, n, now_us: settlement.contest_return(it, now_us),
        command=acts.contest,
        before=then(State.RETURN_CLAIMED),
        behind=ready.claimed,
    ),
    CallOnAuthorization(
        method="ReportLost",
        race="overdue",
        states=frozenset({State.OVERDUE}),
        rule=lambda it, n, now_us: settlement.lose(it, BIKE, now_us),
        command=acts.lost,
        before=then(State.OVERDUE),
        behind=ready.overdue,
    ),
    CallOnAuthorization(
        method="ReportFound",
        parts=({"occurred_at": NOW, "evidence": "https://example.com/case?id=4711", **REASON},),
        unraced=SAME_LINE,
        states=CHARGED - OUT,
        rule=lambda it, n, now_us: settlement.find(it, BIKE, now_us),
        command=acts.found,
        before=then(State.OVERDUE, lambda desk, it: rental(desk, acts.lost(it))),
        behind=ready.missing,
    ),
)
