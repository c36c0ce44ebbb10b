"""Messages to commands and answers to messages; nothing else knows both."""

from __future__ import annotations

from freehold.v1 import authorization_pb2 as pb
from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import credit_service_pb2 as credit
from freehold.v1 import types_pb2 as types
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.authorization import Authorization, Collection, Custody, Start, State
from service.domain.errors import InvariantBroken
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine.commands import Answer, Profile, Tombstone

# The stubs' own names for the numbers of an enum; a name without a number fails at import.
STATES = {it: getattr(pb.Authorization, f"STATE_{it}") for it in State}
CUSTODIES = {it: getattr(pb.Authorization, f"CUSTODY_{it}") for it in Custody}
COLLECTIONS = {it: getattr(pb.Authorization, f"COLLECTION_{it}") for it in Collection}
OFFERS = {it: getattr(types, f"OFFER_{it or 'UNSPECIFIED'}") for it in (None, *Offer)}
BANDS = {it: getattr(types, f"SCORE_BAND_{it or 'UNSPECIFIED'}") for it in ("", *"ABCDE")}
STATE_OF = {number: state for state, number in STATES.items()}
OFFER_OF = {number: offer for offer, number in OFFERS.items() if offer is not None}
START_OF = {
    calls.AuthorizeRequest.START_UNSPECIFIED: Start.IMMEDIATE,
    calls.AuthorizeRequest.START_IMMEDIATE: Start.IMMEDIATE,
    calls.AuthorizeRequest.START_ON_PICKUP: Start.ON_PICKUP,
}


def timestamp(instant_us: int | None) -> Timestamp | None:
    """A Timestamp of microseconds since the epoch."""
    if instant_us is None:
        return None
    seconds, micros = divmod(instant_us, 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def instant_us(message: Timestamp) -> int:
    """Microseconds since the epoch, floored."""
    return message.seconds * 1_000_000 + message.nanos // 1000


def money(message: types.Money) -> Money:
    """An amount as the domain knows it."""
    return Money(message.currency_code, message.amount_minor)


def split_name(name: str) -> tuple[str, str]:
    """User id and authorization id of a resource name whose form was checked."""
    _, user_id, _, authorization_id = name.split("/")
    return user_id, authorization_id


def authorization_message(it: Authorization) -> pb.Authorization:
    """An authorization as callers see it."""
    currency = it.currency

    def amount(minor: int) -> types.Money:
        return types.Money(currency_code=currency, amount_minor=minor)

    return pb.Authorization(
        name=it.name,
        request_id=it.request_id,
        product_id=it.product_id,
        asset_id=it.asset_id,
        state=STATES[it.state],
        custody=CUSTODIES[it.custody],
        collection=COLLECTIONS[it.collection],
        offer=OFFERS[it.offer],
        reasons=it.reasons,
        score_band=BANDS[it.band],
        deposit_asked=amount(it.cash_minor),
        held=amount(it.held_credit_minor + it.held_cash_minor),
        held_credit=amount(it.held_credit_minor),
        held_cash=amount(it.held_cash_minor),
        captured=amount(it.captured_minor),
        due=amount(it.due_minor),
        refund_payable=amount(it.refund_payable_minor),
        decision_id=it.decision_id,
        model_id=it.model_id,
        policy_revision=it.policy_revision,
        create_time=timestamp(it.create_us),
        expire_time=timestamp(it.expire_us),
        start_time=timestamp(it.start_us),
        close_time=timestamp(it.close_us),
        version=it.version,
    )


def profile_message(it: Profile) -> credit.CreditProfile:
    """A profile as the platform sees it."""
    line = it.line

    def amount(minor: int) -> types.Money:
        return types.Money(currency_code=line.currency, amount_minor=minor)

    return credit.CreditProfile(
        user_id=line.user_id,
        limit=amount(line.limit_minor),
        available=amount(line.available_minor),
        held=amount(line.held_minor),
        drawn=amount(line.drawn_minor),
        cut_pending=amount(line.cut_pending_minor),
        score=it.score or 0,
        score_band=BANDS[it.band],
        unscorable_reason=it.unscorable_reason,
        feature_version=it.feature_version,
        as_of=timestamp(it.as_of_us),
        model_id=it.model_id,
    )


def _granted(answer: Answer) -> pb.Authorization:
    if not isinstance(answer, Authorization):
        raise InvariantBroken("an answer of another kind")
    return authorization_message(answer)


def encode_authorize(answer: Answer) -> bytes:
    """The bytes of an AuthorizeResponse."""
    return calls.AuthorizeResponse(authorization=_granted(answer)).SerializeToString()


def encode_confirm(answer: Answer) -> bytes:
    """The bytes of a ConfirmAuthorizationResponse."""
    return calls.ConfirmAuthorizationResponse(authorization=_granted(answer)).SerializeToString()


def encode_start(answer: Answer) -> bytes:
    """The bytes of a StartRentalResponse."""
    return calls.StartRentalResponse(authorization=_granted(answer)).SerializeToString()


def encode_settle(answer: Answer) -> bytes:
    """The bytes of a SettleAuthorizationResponse."""
    return calls.SettleAuthorizationResponse(authorization=_granted(answer)).SerializeToString()


def encode_reverse(answer: Answer) -> bytes:
    """The bytes of a ReverseAuthorizationResponse."""
    if isinstance(answer, Tombstone):
        return calls.ReverseAuthorizationResponse(tombstone=True).SerializeToString()
    return calls.ReverseAuthorizationResponse(authorization=_granted(answer)).SerializeToString()


def encode_payment(answer: Answer) -> bytes:
    """The bytes of a RecordPaymentResponse."""
    return credit.RecordPaymentResponse(authorization=_granted(answer)).SerializeToString()


def encode_profile(answer: Answer) -> bytes:
    """The bytes of a CreditProfile."""
    if not isinstance(answer, Profile):
        raise InvariantBroken("an answer of another kind")
    return profile_message(answer).SerializeToString()
