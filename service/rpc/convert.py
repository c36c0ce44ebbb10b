"""Messages to commands and answers to messages; nothing else knows both."""

from __future__ import annotations

from functools import cache
from typing import Protocol

from freehold.v1 import authorization_pb2 as pb
from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import credit_service_pb2 as credit
from freehold.v1 import types_pb2 as types
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.authorization import Authorization, Collection, Custody, Start, State
from service.domain.errors import InvalidInput, InvariantBroken
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine.commands import Answer, Profile, Settled, Tombstone

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


def instant_us(message: Timestamp | Duration, field: str) -> int:
    """Microseconds since the epoch, or of a duration, floored; InvalidInput for odd nanoseconds."""
    if not 0 <= message.nanos < 1_000_000_000:
        raise InvalidInput.of(f"{field}.nanos", "nanos.range", "must be from 0 to 999999999")
    return message.seconds * 1_000_000 + message.nanos // 1000


def money(message: types.Money) -> Money:
    """An amount as the domain knows it."""
    return Money(message.currency_code, message.amount_minor)


def split_name(name: str) -> tuple[str, str]:
    """User id and authorization id of a resource name whose form was checked."""
    _, user_id, _, authorization_id = name.split("/")
    return user_id, authorization_id


_AMOUNTS = (
    "deposit_asked",
    "held",
    "held_credit",
    "held_cash",
    "captured",
    "due",
    "refund_payable",
)


@cache
def _blank(currency: str) -> pb.Authorization:
    """An authorization with every amount zero; a copy costs a quarter of seven new amounts."""
    blank = pb.Authorization()
    for name in _AMOUNTS:
        getattr(blank, name).currency_code = currency
    return blank


def _write_time(message: Timestamp, instant: int) -> None:
    message.seconds, micros = divmod(instant, 1_000_000)
    message.nanos = micros * 1000


def write_authorization(it: Authorization, message: pb.Authorization) -> None:
    """Fills an empty message with an authorization as callers see it."""
    message.CopyFrom(_blank(it.currency))
    message.name = it.name
    message.request_id = it.request_id
    message.product_id = it.product_id
    message.asset_id = it.asset_id
    message.state = STATES[it.state]
    message.custody = CUSTODIES[it.custody]
    message.collection = COLLECTIONS[it.collection]
    message.offer = OFFERS[it.offer]
    if it.reasons:
        message.reasons.extend(it.reasons)
    message.score_band = BANDS[it.band]
    if it.cash_minor:
        message.deposit_asked.amount_minor = it.cash_minor
    if it.held_credit_minor:
        message.held_credit.amount_minor = it.held_credit_minor
        message.held.amount_minor = it.held_credit_minor + it.held_cash_minor
    if it.held_cash_minor:
        message.held_cash.amount_minor = it.held_cash_minor
        message.held.amount_minor = it.held_credit_minor + it.held_cash_minor
    if it.captured_minor:
        message.captured.amount_minor = it.captured_minor
        message.due.amount_minor = it.due_minor
    if it.refund_payable_minor:
        message.refund_payable.amount_minor = it.refund_payable_minor
    message.decision_id = it.decision_id
    message.model_id = it.model_id
    message.policy_revision = it.policy_revision
    _write_time(message.create_time, it.create_us)
    if it.expire_us is not None:
        _write_time(message.expire_time, it.expire_us)
    if it.start_us is not None:
        _write_time(message.start_time, it.start_us)
    if it.close_us is not None:
        _write_time(message.close_time, it.close_us)
    message.version = it.version


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


class _WithAuthorization(Protocol):
    @property
    def authorization(self) -> pb.Authorization: ...
    def SerializeToString(self) -> bytes: ...


def _encode(response: _WithAuthorization, answer: Answer) -> bytes:
    if isinstance(answer, Settled):
        answer = answer.authorization
    if not isinstance(answer, Authorization):
        raise InvariantBroken("an answer of another kind")
    write_authorization(answer, response.authorization)
    return response.SerializeToString()


def encode_authorize(answer: Answer) -> bytes:
    """The bytes of an AuthorizeResponse."""
    return _encode(calls.AuthorizeResponse(), answer)


def encode_confirm(answer: Answer) -> bytes:
    """The bytes of a ConfirmAuthorizationResponse."""
    return _encode(calls.ConfirmAuthorizationResponse(), answer)


def encode_start(answer: Answer) -> bytes:
    """The bytes of a StartRentalResponse."""
    return _encode(calls.StartRentalResponse(), answer)


def encode_get(answer: Answer) -> bytes:
    """The bytes of a GetAuthorizationResponse."""
    return _encode(calls.GetAuthorizationResponse(), answer)


def encode_settle(answer: Answer) -> bytes:
    """The bytes of a SettleAuthorizationResponse."""
    return _encode(calls.SettleAuthorizationResponse(), answer)


def encode_reverse(answer: Answer) -> bytes:
    """The bytes of a ReverseAuthorizationResponse."""
    if isinstance(answer, Tombstone):
        return calls.ReverseAuthorizationResponse(tombstone=True).SerializeToString()
    return _encode(calls.ReverseAuthorizationResponse(), answer)


def encode_payment(answer: Answer) -> bytes:
    """The bytes of a RecordPaymentResponse."""
    return _encode(credit.RecordPaymentResponse(), answer)


def encode_nothing(_answer: Answer) -> bytes:
    """No bytes: the answer to what is only recorded."""
    return b""


def encode_profile(answer: Answer) -> bytes:
    """The bytes of a CreditProfile."""
    if not isinstance(answer, Profile):
        raise InvariantBroken("an answer of another kind")
    return profile_message(answer).SerializeToString()
