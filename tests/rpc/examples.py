"""Messages of every method: valid messages with every field set, which name objects that do not
exist, and messages that succeed."""

from __future__ import annotations

from typing import Any

from freehold.v1.admin_service_pb2 import AddPersonRequest
from freehold.v1.admission_service_pb2 import (
    LISTING_EFFECT_ALLOW,
    LISTING_KIND_USER,
    ListedSubject,
)
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.terms_service_pb2 import TERMS_KIND_TARIFF
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tests.operations.every import CALLS, ON_AUTHORIZATION
from tests.rpc import ready
from tests.rpc.support import (
    ADMIN_RPCS,
    BATCHED,
    FOLLOWING,
    NO_CASE,
    NOWHERE,
    RPCS,
    START_S,
    Desks,
    set_name,
    yuan,
)

NOW = Timestamp(seconds=START_S)
NO_TERMS = {
    "operator_id": "nowhere",
    "kind": TERMS_KIND_TARIFF,
    "name": "nothing",
    "revision": 1,
}
LATER = Timestamp(seconds=4_000_000_000)

READS: dict[str, dict[str, Any]] = {
    "BatchAuthorize": {
        "items": [{"request_id": "example-item", "user_id": "somebody", "product_id": "bike"}]
    },
    "BatchSettle": {"items": [{"request_id": "example-item", "name": NOWHERE, "usage": {}}]},
    "GetAuthorization": {"name": NOWHERE},
    "GetReceipt": {"name": NOWHERE},
    "ListAuthorizations": {
        "page_size": 10,
        "page_token": "token",
        "user_id": "somebody",
        "state": Authorization.STATE_ACTIVE,
        "order_reference": "order-1",
        "lapse": 5,
    },
    "QuoteAuthorization": {
        "user_id": "somebody",
        "items": [
            {
                "product_id": "bike",
                "asset_id": "a-1",
                "price_hash": "0" * 64,
                "order_fee": {"currency_code": "CNY", "amount_minor": 700},
            }
        ],
        "start": 2,
        "accept_offers": [1],
        "pickup_window": Duration(seconds=60),
        "rental_period": Duration(seconds=60),
        "order": {"order_reference": "order-1"},
        "identity_hash": "0" * 64,
    },
    "QuoteFee": {
        "name": NOWHERE,
        "start_time": NOW,
        "end_time": LATER,
        "pauses": [{"start_time": NOW, "end_time": LATER}],
    },
    "GetCreditProfile": {"user_id": "somebody"},
    "GetOperatorBalance": {"operator_id": "city"},
    "VerifyBooks": {"witnesses": [{"number": 1, "digest": b"x" * 32}]},
    "GetLineAt": {
        "user_id": "somebody",
        "currency_code": "CNY",
        "known_at": NOW,
        "happened_at": NOW,
    },
    "ListEntries": {
        "user_id": "somebody",
        "currency_code": "CNY",
        "page_size": 10,
        "page_token": "1",
    },
    "ReportTransfer": {"body": b"{}", "signature": f"t={START_S},v1={'0' * 64}"},
    "ListTransfers": {"page_size": 10, "page_token": "0" * 20, "user_id": "somebody", "state": 1},
    "ListReviews": {"page_size": 10, "page_token": "0" * 20},
    "ListChargeBacks": {
        "page_size": 10,
        "page_token": "W1siYW5uIiwgIjAiLCAiYyJdLCAic29tZWJvZHkiLCB0cnVlXQ==",
        "user_id": "somebody",
        "open_only": True,
    },
    "ListSuspense": {
        "page_size": 10,
        "page_token": "W1sicGxhdGZvcm0iLCAib2RkIl0sIHRydWVd",
        "matched_too": True,
    },
    "AdvanceClock": {"now": NOW},
    "GetCase": {"name": NO_CASE},
    "ListPasses": {"user_id": "somebody", "page_size": 10, "page_token": "token"},
    "ListCases": {
        "state": 1,
        "kind": 1,
        "waits_for": 1,
        "user_id": "somebody",
        "due_before": NOW,
        "page_size": 10,
        "page_token": "token",
    },
    "CreateKey": {
        "request_id": "example-CreateKey",
        "operator_id": "nowhere",
        "person_id": "nobody",
        "label": "label",
        "scopes": ["cases.read"],
        "expire_time": LATER,
    },
    "ListKeys": {"operator_id": "nowhere", "page_size": 10, "page_token": "0" * 16},
    "UpdateKey": {
        "request_id": "example-UpdateKey",
        "key_id": "0" * 16,
        "label": "label",
        "expire_time": LATER,
        "units_a_second": 1,
        "usual_rate": True,
    },
    "RollKey": {
        "request_id": "example-RollKey",
        "key_id": "0" * 16,
        "overlap": Duration(seconds=1),
    },
    "RevokeKey": {"request_id": "example-RevokeKey", "key_id": "0" * 16},
    "BindKey": {
        "request_id": "example-BindKey",
        "key_id": "0" * 16,
        "fingerprint": "0" * 64,
    },
    "UnbindKey": {
        "request_id": "example-UnbindKey",
        "key_id": "0" * 16,
        "fingerprint": "0" * 64,
    },
    "AddPerson": {
        "request_id": "example-AddPerson",
        "operator_id": "nowhere",
        "person_id": "nobody",
        "display_name": "Nobody",
    },
    "ListPersons": {"operator_id": "nowhere", "page_size": 10, "page_token": "a"},
    "RemovePerson": {
        "request_id": "example-RemovePerson",
        "operator_id": "nowhere",
        "person_id": "nobody",
    },
    "ListAuditEvents": {
        "operator_id": "nowhere",
        "since": NOW,
        "page_size": 10,
        "page_token": "1",
    },
    "ProposeAct": {
        "request_id": "example-ProposeAct",
        "method": "AddPerson",
        "request": AddPersonRequest(
            request_id="example", person_id="nobody", display_name="Nobody"
        ).SerializeToString(),
        "reason": "reason",
    },
    "ApproveAct": {"request_id": "example-ApproveAct", "proposal": 1_000_000},
    "WithdrawAct": {"request_id": "example-WithdrawAct", "proposal": 1_000_000},
    "ListProposals": {"waiting_only": True, "page_size": 10, "page_token": "1"},
    "AddListings": {
        "request_id": "example-AddListings",
        "operator_id": "nowhere",
        "effect": LISTING_EFFECT_ALLOW,
        "subjects": [ListedSubject(kind=LISTING_KIND_USER, subject="somebody")],
        "rules": ["NEW_USER"],
        "policy_id": "careful",
        "expire_time": LATER,
        "reason": "reason",
    },
    "EndListings": {
        "request_id": "example-EndListings",
        "operator_id": "nowhere",
        "numbers": [1],
        "reason": "reason",
    },
    "ApplyTerms": {
        "request_id": "example-ApplyTerms",
        "operator_id": "nowhere",
        "kind": TERMS_KIND_TARIFF,
        "document": "{}",
        "reason": "reason",
        "activate": True,
        "validate_only": True,
        "beyond_bounds": True,
    },
    "ValidateTerms": {"request_id": "example-ValidateTerms", **NO_TERMS, "reason": "reason"},
    "ActivateTerms": {
        "request_id": "example-ActivateTerms",
        **NO_TERMS,
        "reason": "reason",
        "beyond_bounds": True,
    },
    "RetireTerms": {"request_id": "example-RetireTerms", **NO_TERMS, "reason": "reason"},
    "ListTerms": {
        "operator_id": "nowhere",
        "kind": TERMS_KIND_TARIFF,
        "name": "nothing",
        "retired": True,
        "page_size": 10,
        "page_token": "WyJ0YXJpZmYiLCAibm90aGluZyIsIDFd",
    },
    "GetTerms": NO_TERMS,
    "DiffTerms": {
        "operator_id": "nowhere",
        "kind": TERMS_KIND_TARIFF,
        "name": "nothing",
        "from_revision": 1,
        "to_revision": 2,
        "document": "{}",
    },
    "PreviewTerms": {
        "operator_id": "nowhere",
        "kind": TERMS_KIND_TARIFF,
        "document": "{}",
        "product_ids": ["bike"],
        "days": 30,
        "picture_width": 960,
    },
    "ListBudgets": {"operator_id": "nowhere", "page_size": 10, "page_token": "1"},
    "ListBreakers": {
        "operator_id": "nowhere",
        "open_only": True,
        "page_size": 10,
        "page_token": "1",
    },
    "ResetBreaker": {
        "request_id": "example-ResetBreaker",
        "operator_id": "nowhere",
        "number": 1,
        "reason": "reason",
    },
    "ListListings": {
        "operator_id": "nowhere",
        "kind": LISTING_KIND_USER,
        "subject": "somebody",
        "active_only": True,
        "page_size": 10,
        "page_token": "1",
    },
}
"""The fields of a read, and of a call without a request id of its own."""
OTHER_FORMS: dict[str, dict[str, Any]] = {
    "QuoteFee": {
        "product_id": "bike",
        "reserve_time": NOW,
        "start_time": NOW,
        "end_time": LATER,
        "station": "park",
    },
}
"""A read's fields in the second form of its message."""
REQUIRED_OF_READS: dict[str, set[str]] = {
    **{method: {"items"} for method in BATCHED},
    "GetAuthorization": {"name"},
    "GetReceipt": {"name"},
    "QuoteAuthorization": {"user_id", "items"},
    "QuoteFee": {"subject"},
    "ListBudgets": {"operator_id"},
    "ListBreakers": {"operator_id"},
    "GetCreditProfile": {"user_id"},
    "GetOperatorBalance": {"operator_id"},
    "GetLineAt": {"user_id", "currency_code"},
    "ListEntries": {"user_id", "currency_code"},
    "ReportTransfer": {"body", "signature"},
    "AdvanceClock": {"now"},
    "ListPasses": {"user_id"},
    "GetCase": {"name"},
    "CreateKey": {"request_id", "scopes"},
    "UpdateKey": {"request_id", "key_id"},
    "RollKey": {"request_id", "key_id"},
    "RevokeKey": {"request_id", "key_id"},
    "BindKey": {"request_id", "key_id", "fingerprint"},
    "UnbindKey": {"request_id", "key_id", "fingerprint"},
    "AddPerson": {"request_id", "person_id", "display_name"},
    "RemovePerson": {"request_id", "person_id"},
    "AddListings": {"request_id", "effect", "subjects", "reason"},
    "EndListings": {"request_id", "numbers", "reason"},
    "ResetBreaker": {"request_id", "number", "reason"},
    "ApplyTerms": {"request_id", "kind", "document"},
    "ValidateTerms": {"request_id", "kind", "name", "revision"},
    "ActivateTerms": {"request_id", "kind", "name", "revision"},
    "RetireTerms": {"request_id", "kind", "name", "revision"},
    "GetTerms": {"kind", "name"},
    "DiffTerms": {"kind", "name"},
    "PreviewTerms": {"kind"},
    "ProposeAct": {"request_id", "method", "request"},
    "ApproveAct": {"request_id", "proposal"},
    "WithdrawAct": {"request_id", "proposal"},
}
SCOPES_OF_READS: dict[str, str] = {
    **dict.fromkeys(BATCHED, "authorizations.write"),
    "GetAuthorization": "authorizations.read",
    "GetReceipt": "authorizations.read",
    "QuoteAuthorization": "quotes.read",
    "QuoteFee": "quotes.read",
    "ListAuthorizations": "authorizations.read",
    "GetCreditProfile": "profiles.read",
    "ListReviews": "reviews.read",
    "GetOperatorBalance": "payouts.read",
    "VerifyBooks": "books.verify",
    "GetLineAt": "books.read",
    "ListEntries": "books.read",
    "ReportTransfer": "transfers.report",
    "ListTransfers": "transfers.read",
    "ListChargeBacks": "transfers.read",
    "ListSuspense": "transfers.read",
    "AdvanceClock": "sandbox.clock",
    "ListPasses": "authorizations.read",
    "GetCase": "cases.read",
    "ListCases": "cases.read",
    **dict.fromkeys(ADMIN_RPCS, "keys.admin"),
    **dict.fromkeys(("AddListings", "EndListings"), "listings.write"),
    "ListListings": "listings.read",
    **dict.fromkeys(("ApplyTerms", "ValidateTerms"), "terms.write"),
    **dict.fromkeys(("ActivateTerms", "RetireTerms", "ResetBreaker"), "terms.activate"),
    **dict.fromkeys(("ListTerms", "GetTerms", "DiffTerms", "PreviewTerms"), "terms.read"),
    **dict.fromkeys(("ListBudgets", "ListBreakers"), "terms.read"),
    **dict.fromkeys(("ProposeAct", "ApproveAct", "WithdrawAct"), "proposals.write"),
    "ListProposals": "proposals.write",
}


def required(method: str) -> set[str]:
    """The required fields of a method's message."""
    if method in CALLS:
        return {"request_id", *CALLS[method].required}
    return REQUIRED_OF_READS.get(method, set())


def scope(method: str) -> str:
    """The scope that a method needs."""
    return CALLS[method].scope if method in CALLS else SCOPES_OF_READS[method]


def examples(method: str) -> list[Any]:
    """A message for each form of a method."""
    reads = (READS, OTHER_FORMS)
    forms = CALLS[method].parts if method in CALLS else [it[method] for it in reads if method in it]
    return [_example(method, parts) for parts in forms]


def example(method: str) -> Message:
    """A message for the first form of a method."""
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
    """An example that names this authorization, with any version."""
    request: Any = example(method)
    if method in FOLLOWING:
        request.ClearField("expected_version")
    set_name(method, request, name)
    return request


def behind(desk: Desks, method: str) -> Authorization:
    """A new authorization for which a method can be called."""
    call = ON_AUTHORIZATION.get(method)
    return ready.active(desk) if call is None else call.behind(desk)


def passing(desk: Desks, method: str) -> Any:
    """A request that succeeds, without optional fields."""
    caller = desk.caller_for(method)
    request: Any = RPCS[method].request(request_id=caller.fresh())
    if method in FOLLOWING:
        set_name(method, request, behind(desk, method).name)
    CALLS[method].fill(desk, request)
    must = required(method)
    if "amount" in must:
        request.amount.CopyFrom(yuan(200))
    if "payment_reference" in must and not request.payment_reference:
        request.payment_reference = caller.fresh("pay")
    return request
