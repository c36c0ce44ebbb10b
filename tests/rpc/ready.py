"""For every method that changes something, a call that succeeds, with the objects that it needs."""

from __future__ import annotations

from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import credit_service_pb2 as credit
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.types_pb2 import OFFER_ZERO
from google.protobuf.duration_pb2 import Duration

from tests.rpc.receipts import without_receipt
from tests.rpc.support import BIKE_MINOR, Desks, advance, yuan

A = Authorization
ON_PICKUP = calls.AuthorizeRequest.START_ON_PICKUP
REDUCED_MINOR = BIKE_MINOR // 2


def offered(desk: Desks) -> A:
    """OFFERED: half of a bike's deposit in cash."""
    return desk.operator.authorize(desk.platform.person(550), "bike")


def under_review(desk: Desks) -> A:
    """REVIEW: of a watched person."""
    user_id = desk.platform.person()
    desk.platform.call("SetStanding", user_id=user_id, standing=credit.STANDING_WATCHED)
    return desk.operator.authorize(user_id, "bike")


def authorized(desk: Desks) -> A:
    """AUTHORIZED: not picked up yet."""
    return desk.operator.authorize(desk.platform.person(), "bike", start=ON_PICKUP)


def active(desk: Desks) -> A:
    """ACTIVE: a bike without any cash, on a line with room for one more umbrella."""
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
    return without_receipt(it)


def settled(desk: Desks, amount_minor: int = 1_000) -> A:
    """SETTLED: due on credit."""
    return desk.operator.settle(active(desk).name, amount_minor)


def paid(desk: Desks) -> A:
    """SETTLED: paid."""
    return desk.platform.pay(settled(desk).name, 1_000)


def missing(desk: Desks) -> A:
    """SETTLED as lost: the item can still be found."""
    it: A = desk.operator.call("ReportLost", name=overdue(desk).name).authorization
    return without_receipt(it)


def declined(desk: Desks) -> A:
    """DECLINED: no accepted offer fits."""
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
"""A function for each state, which makes an authorization in it for a new person."""


def disputed(desk: Desks) -> A:
    """SETTLED: a part of what is due is disputed."""
    it: A = desk.platform.call(
        "OpenDispute", name=settled(desk).name, amount=yuan(400)
    ).authorization
    return without_receipt(it)


def charged_back(desk: Desks) -> A:
    """SETTLED: a part of what was paid is charged back."""
    it: A = desk.platform.call(
        "RecordChargeBack",
        name=paid(desk).name,
        payment_reference=desk.platform.fresh("back"),
        amount=yuan(400),
    ).authorization
    return it


def proposed(desk: Desks) -> A:
    """A write-off proposed by the colleague, so that the platform's own key can approve it."""
    it: A = desk.colleague.call("ProposeWriteOff", name=settled(desk).name).authorization
    return it


def owed_back(desk: Desks) -> A:
    """SETTLED: a part of what was paid is owed back."""
    it: A = desk.operator.call("RefundCharge", name=paid(desk).name, amount=yuan(300)).authorization
    return it
