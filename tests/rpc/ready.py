"""A call of every method that changes something, with all behind it that it needs to go through."""

from __future__ import annotations

from typing import Any

from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import collection_service_pb2 as collection
from freehold.v1 import credit_service_pb2 as credit
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.types_pb2 import OFFER_ZERO
from google.protobuf.duration_pb2 import Duration

from tests.fakes import OPERATOR
from tests.rpc.support import (
    BIKE_MINOR,
    FOLLOWING,
    RPCS,
    Desks,
    advance,
    set_name,
    user_with,
    yuan,
)

A = Authorization
ON_PICKUP = calls.AuthorizeRequest.START_ON_PICKUP
REDUCED_MINOR = BIKE_MINOR // 2


def offered(desk: Desks) -> A:
    """OFFERED: half of a bike's deposit in cash."""
    return desk.operator.authorize(desk.platform.person(550), "bike")


def under_review(desk: Desks) -> A:
    """REVIEW: of somebody who is watched."""
    user_id = desk.platform.person()
    desk.platform.call("SetStanding", user_id=user_id, standing=credit.STANDING_WATCHED)
    return desk.operator.authorize(user_id, "bike")


def authorized(desk: Desks) -> A:
    """AUTHORIZED: to be picked up."""
    return desk.operator.authorize(desk.platform.person(), "bike", start=ON_PICKUP)


def active(desk: Desks) -> A:
    """ACTIVE: a bike without any cash, on a line that bears one more umbrella."""
    return desk.operator.authorize(desk.platform.person(), "bike")


def overdue(desk: Desks) -> A:
    """OVERDUE, by a second."""
    rental = desk.operator.authorize(
        desk.platform.person(), "bike", rental_period=Duration(seconds=1)
    )
    advance(desk, 2)
    return desk.operator.get(rental.name)


def claimed(desk: Desks) -> A:
    """RETURN_CLAIMED."""
    it: A = desk.operator.call("ClaimReturn", name=active(desk).name).authorization
    return it


def settled(desk: Desks, amount_minor: int = 1_000) -> A:
    """SETTLED: due on credit."""
    return desk.operator.settle(active(desk).name, amount_minor)


def paid(desk: Desks) -> A:
    """SETTLED: paid."""
    return desk.platform.pay(settled(desk).name, 1_000)


def missing(desk: Desks) -> A:
    """SETTLED as lost: the item may still be found."""
    it: A = desk.operator.call("ReportLost", name=overdue(desk).name).authorization
    return it


def declined(desk: Desks) -> A:
    """DECLINED: no accepted offer is left."""
    return desk.operator.authorize(desk.platform.person(550), "bike", accept_offers=[OFFER_ZERO])


def reversed_again(desk: Desks) -> A:
    """REVERSED."""
    return desk.operator.reverse(active(desk).name)


def expired(desk: Desks) -> A:
    """EXPIRED: not picked up within a second."""
    rental = desk.operator.authorize(
        desk.platform.person(), "bike", start=ON_PICKUP, pickup_window=Duration(seconds=1)
    )
    advance(desk, 2)
    return desk.operator.get(rental.name)


IN_STATE = {
    A.STATE_OFFERED: offered,
    A.STATE_REVIEW: under_review,
    A.STATE_AUTHORIZED: authorized,
    A.STATE_ACTIVE: active,
    A.STATE_OVERDUE: overdue,
    A.STATE_RETURN_CLAIMED: claimed,
    A.STATE_SETTLED: settled,
    A.STATE_DECLINED: declined,
    A.STATE_REVERSED: reversed_again,
    A.STATE_EXPIRED: expired,
}
"""How to come to a state, each time with a person of its own."""


def _disputed(desk: Desks) -> A:
    it: A = desk.platform.call(
        "OpenDispute", name=settled(desk).name, amount=yuan(400)
    ).authorization
    return it


def _charged_back(desk: Desks) -> A:
    it: A = desk.platform.call(
        "RecordChargeBack",
        name=paid(desk).name,
        payment_reference=desk.platform.fresh("back"),
        amount=yuan(400),
    ).authorization
    return it


def _proposed(desk: Desks) -> A:
    """By the colleague, so that the platform's own key may agree."""
    it: A = desk.colleague.call("ProposeWriteOff", name=settled(desk).name).authorization
    return it


def _owed_back(desk: Desks) -> A:
    it: A = desk.operator.call("RefundCharge", name=paid(desk).name, amount=yuan(300)).authorization
    return it


BEHIND = {
    "ConfirmAuthorization": offered,
    "StartRental": authorized,
    "IncrementAuthorization": active,
    "DecreaseAuthorization": active,
    "ExtendRental": active,
    "SettleAuthorization": active,
    "ReverseAuthorization": active,
    "ClaimReturn": active,
    "ContestReturn": claimed,
    "ReportLost": overdue,
    "ReportFound": missing,
    "LowerCharge": settled,
    "RefundCharge": paid,
    "RecordPaidElsewhere": settled,
    "ResolveReview": under_review,
    "RecordPayment": settled,
    "OpenDispute": settled,
    "ResolveDispute": _disputed,
    "RecordChargeBack": paid,
    "ResolveChargeBack": _charged_back,
    "SetProvision": settled,
    "ProposeWriteOff": settled,
    "ApproveWriteOff": _proposed,
    "PayOutRefund": _owed_back,
}
"""What a call that changes an authorization needs."""


def ready(desk: Desks, method: str) -> Any:
    """A request that goes through when sent, and leaves out what is optional."""
    caller = desk.caller_for(method)
    request: Any = RPCS[method].request(request_id=caller.fresh())
    if method in FOLLOWING:
        set_name(method, request, BEHIND[method](desk).name)
    fill(desk, method, request)
    return request


def fill(desk: Desks, method: str, request: Any) -> None:
    """The other parts that a request needs, good for what `BEHIND` has made."""
    platform = desk.platform
    match method:
        case "Authorize":
            request.user_id = platform.person()
            request.product_id = "umbrella"
        case "AuthorizeGroup":
            request.user_id = platform.person()
            request.items.add(product_id="umbrella")
            request.items.add(product_id="power-bank")
        case "ConfirmAuthorization":
            request.payment_reference = platform.fresh("pay")
            request.paid.CopyFrom(yuan(REDUCED_MINOR))
        case "ExtendRental":
            request.duration.seconds = 3_600
        case "ContestReturn":
            request.evidence = "case-4711"
        case "PutUsers":
            request.users.append(user_with(platform.fresh("person"), 600))
        case "SetCreditLimit":
            request.user_id = platform.person()
            request.limit.CopyFrom(yuan(40_000))
        case "SetStanding":
            request.user_id = platform.person()
            request.standing = credit.STANDING_SUSPENDED
        case "ResolveReview":
            request.verdict = request.VERDICT_APPROVED
        case "ResolveDispute" | "ResolveChargeBack":
            request.outcome = collection.DISPUTE_OUTCOME_USER_WON
        case "PayOutOperator" | "RecordOperatorPayment":
            settled(desk)
            request.operator_id = OPERATOR
    fields = request.DESCRIPTOR.fields_by_name
    if "amount" in fields and method != "Authorize":
        request.amount.CopyFrom(yuan(200))
    if "payment_reference" in fields and method != "IncrementAuthorization":
        request.payment_reference = platform.fresh("pay")
