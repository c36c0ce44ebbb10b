"""Well-formed messages of every method, with every field set and nothing behind them."""

from __future__ import annotations

from typing import Any

from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import collection_service_pb2 as collection
from freehold.v1 import credit_service_pb2 as credit
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.types_pb2 import OFFER_REDUCED, OFFER_ZERO, Money, SignedMoney
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tests.rpc.support import FOLLOWING, NOWHERE, RPCS, START_S, set_name, user_with, yuan

NOW = Timestamp(seconds=START_S)
SOON = Duration(seconds=60)
FEN = SignedMoney(currency_code="CNY", amount_minor=100)
ON_PICKUP = calls.AuthorizeRequest.START_ON_PICKUP
OFFERS = [OFFER_ZERO, OFFER_REDUCED]
PAID: dict[str, Any] = {"payment_reference": "pay-1", "paid": yuan(100)}
REPORTED: dict[str, Any] = {"payment_reference": "pay-1", "amount": yuan(100)}
AMOUNT: dict[str, Money] = {"amount": yuan(100)}
WON = collection.DISPUTE_OUTCOME_USER_WON

PARTS: dict[str, tuple[dict[str, Any], ...]] = {
    "Authorize": (
        {
            "user_id": "somebody",
            "product_id": "bike",
            "asset_id": "bike-1",
            "start": ON_PICKUP,
            "accept_offers": OFFERS,
            "pickup_window": SOON,
            "rental_period": SOON,
            "parent": f"users/somebody/authorizations/{'0' * 20}",
            **AMOUNT,
        },
    ),
    "AuthorizeGroup": (
        {
            "user_id": "somebody",
            "items": [{"product_id": "bike", "asset_id": "bike-1"}],
            "start": ON_PICKUP,
            "accept_offers": OFFERS,
            "pickup_window": SOON,
            "rental_period": SOON,
        },
    ),
    "ConfirmAuthorization": (PAID,),
    "StartRental": ({"asset_id": "bike-1"},),
    "GetAuthorization": ({"name": NOWHERE},),
    "ListAuthorizations": (
        {
            "page_size": 10,
            "page_token": "token",
            "user_id": "somebody",
            "state": Authorization.STATE_ACTIVE,
        },
    ),
    "IncrementAuthorization": ({**AMOUNT, **PAID},),
    "DecreaseAuthorization": (AMOUNT,),
    "ExtendRental": ({"duration": SOON},),
    "SettleAuthorization": (
        {
            **AMOUNT,
            "final": True,
            "line_items": [{"description": "Two hours, café", "amount": FEN}],
            "occurred_at": NOW,
        },
        {"usage": {"end_time": NOW}, "final": True},
    ),
    "ReverseAuthorization": (
        {},
        {"origin": {"user_id": "somebody", "authorize_request_id": "another"}, "name": ""},
    ),
    "ClaimReturn": ({},),
    "ContestReturn": ({"evidence": "https://example.com/case?id=4711"},),
    "ReportLost": ({},),
    "ReportFound": ({"occurred_at": NOW},),
    "LowerCharge": (AMOUNT,),
    "RefundCharge": (AMOUNT,),
    "RecordPaidElsewhere": (REPORTED,),
    "PutUsers": ({"users": [user_with("somebody", 600)]},),
    "GetCreditProfile": ({"user_id": "somebody"},),
    "SetCreditLimit": ({"user_id": "somebody", "limit": yuan(100)},),
    "SetStanding": ({"user_id": "somebody", "standing": credit.STANDING_WATCHED},),
    "ResolveReview": ({"verdict": credit.ResolveReviewRequest.VERDICT_APPROVED},),
    "RecordPayment": (REPORTED,),
    "OpenDispute": (AMOUNT,),
    "ResolveDispute": ({"outcome": WON},),
    "RecordChargeBack": (REPORTED,),
    "ResolveChargeBack": ({"outcome": WON},),
    "SetProvision": (AMOUNT,),
    "ProposeWriteOff": ({},),
    "ApproveWriteOff": ({},),
    "PayOutRefund": (AMOUNT,),
    "PayOutOperator": ({"operator_id": "city", **REPORTED},),
    "RecordOperatorPayment": ({"operator_id": "city", **REPORTED},),
    "GetOperatorBalance": ({"operator_id": "city"},),
    "VerifyBooks": ({"witnesses": [{"number": 1, "digest": b"x" * 32}]},),
    "GetLineAt": (
        {"user_id": "somebody", "currency_code": "CNY", "known_at": NOW, "happened_at": NOW},
    ),
    "ListEntries": (
        {"user_id": "somebody", "currency_code": "CNY", "page_size": 10, "page_token": "1"},
    ),
    "ReportTransfer": ({"body": b"{}", "signature": f"t={START_S},v1={'0' * 64}"},),
    "ListTransfers": (
        {"page_size": 10, "page_token": "0" * 20, "user_id": "somebody", "state": 1},
    ),
    "ListReviews": ({"page_size": 10, "page_token": "0" * 20},),
    "AdvanceClock": ({"now": NOW},),
}
"""What a method takes besides the request id, the authorization's name and version, for each
form that its message can have."""

REQUIRED: dict[str, set[str]] = {
    "Authorize": {"user_id", "product_id"},
    "AuthorizeGroup": {"user_id", "items"},
    "ConfirmAuthorization": {"name", "payment_reference", "paid"},
    "StartRental": {"name"},
    "GetAuthorization": {"name"},
    "ListAuthorizations": set(),
    "IncrementAuthorization": {"name", "amount"},
    "DecreaseAuthorization": {"name", "amount"},
    "ExtendRental": {"name", "duration"},
    "SettleAuthorization": {"name", "charge"},
    "ReverseAuthorization": {"target"},
    "ClaimReturn": {"name"},
    "ContestReturn": {"name", "evidence"},
    "ReportLost": {"name"},
    "ReportFound": {"name"},
    "LowerCharge": {"name", "amount"},
    "RefundCharge": {"name", "amount"},
    "RecordPaidElsewhere": {"name", "payment_reference", "amount"},
    "PutUsers": {"users"},
    "GetCreditProfile": {"user_id"},
    "SetCreditLimit": {"user_id"},
    "SetStanding": {"user_id", "standing"},
    "ResolveReview": {"name", "verdict"},
    "RecordPayment": {"authorization", "payment_reference", "amount"},
    "OpenDispute": {"name", "amount"},
    "ResolveDispute": {"name", "outcome"},
    "RecordChargeBack": {"name", "payment_reference", "amount"},
    "ResolveChargeBack": {"name", "outcome"},
    "SetProvision": {"name", "amount"},
    "ProposeWriteOff": {"name"},
    "ApproveWriteOff": {"name"},
    "PayOutRefund": {"name", "amount"},
    "PayOutOperator": {"operator_id", "payment_reference", "amount"},
    "RecordOperatorPayment": {"operator_id", "payment_reference", "amount"},
    "GetOperatorBalance": {"operator_id"},
    "VerifyBooks": set(),
    "GetLineAt": {"user_id", "currency_code"},
    "ListEntries": {"user_id", "currency_code"},
    "ReportTransfer": {"body", "signature"},
    "ListTransfers": set(),
    "ListReviews": set(),
    "AdvanceClock": {"now"},
}
"""What a message must have besides the request id of a call that changes something."""

SCOPES: dict[str, str] = {
    "GetAuthorization": "authorizations.read",
    "ListAuthorizations": "authorizations.read",
    "ClaimReturn": "returns.claim",
    "PutUsers": "users.write",
    "GetCreditProfile": "profiles.read",
    "SetCreditLimit": "limits.write",
    "SetStanding": "standings.write",
    "ListReviews": "reviews.read",
    "ResolveReview": "reviews.write",
    "RecordPayment": "payments.write",
    "OpenDispute": "disputes.write",
    "ResolveDispute": "disputes.write",
    "RecordChargeBack": "disputes.write",
    "ResolveChargeBack": "disputes.write",
    "SetProvision": "write_offs.write",
    "ProposeWriteOff": "write_offs.write",
    "ApproveWriteOff": "write_offs.write",
    "PayOutRefund": "payouts.write",
    "PayOutOperator": "payouts.write",
    "RecordOperatorPayment": "payouts.write",
    "GetOperatorBalance": "payouts.read",
    "VerifyBooks": "books.verify",
    "GetLineAt": "books.read",
    "ListEntries": "books.read",
    "ReportTransfer": "transfers.report",
    "ListTransfers": "transfers.read",
    "AdvanceClock": "sandbox.clock",
}
"""The scope that a method needs, where it is not authorizations.write."""


def examples(method: str) -> list[Any]:
    """A message of each form that a method takes."""
    return [_example(method, parts) for parts in PARTS[method]]


def example(method: str) -> Message:
    """A message of the first form that a method takes."""
    sample: Message = examples(method)[0]
    return sample


def _example(method: str, parts: dict[str, Any]) -> Message:
    fields = RPCS[method].request.DESCRIPTOR.fields_by_name
    whole: dict[str, Any] = {}
    if "request_id" in fields:
        whole["request_id"] = f"example-{method}"
    if method in FOLLOWING:
        whole["authorization" if method == "RecordPayment" else "name"] = NOWHERE
        whole["expected_version"] = 1
    whole |= parts
    return RPCS[method].request(**{name: it for name, it in whole.items() if it != ""})


def named(method: str, name: str) -> Any:
    """An example about this authorization, whatever its version."""
    request: Any = example(method)
    if method in FOLLOWING:
        request.ClearField("expected_version")
    set_name(method, request, name)
    return request
