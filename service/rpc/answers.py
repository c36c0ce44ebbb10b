"""The engine's answers, written into the responses of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import collection_service_pb2 as collection
from freehold.v1 import credit_service_pb2 as credit
from freehold.v1 import types_pb2 as types
from google.protobuf.message import Message

from service.domain.authorization import Authorization
from service.domain.errors import InvariantBroken
from service.domain.ledger import Line
from service.domain.tariff import Fee
from service.engine.calls import Answer, Group, Paid, Profile, Settled, Tombstone
from service.rpc.convert import (
    BANDS,
    FEE_ITEMS,
    LIMIT_BASES,
    STANDINGS,
    timestamp,
    write_authorization,
)

Writer = Callable[[Answer, Any], None]
"""Writes an answer into an empty response."""

T = TypeVar("T")


def _require(kind: type[T], answer: Answer) -> T:
    if not isinstance(answer, kind):
        raise InvariantBroken("an answer of another kind")
    return answer


def encoder(response: type[Message], write: Writer) -> Callable[[Answer], bytes]:
    """Makes the bytes of a response from an answer."""

    def encode(answer: Answer) -> bytes:
        message = response()
        write(answer, message)
        return message.SerializeToString()

    return encode


def write_authorized(answer: Answer, response: Any) -> None:
    """An authorization, into the `authorization` that nearly every response has."""
    write_authorization(_require(Authorization, answer), response.authorization)


def write_group(answer: Answer, response: calls.AuthorizeGroupResponse) -> None:
    """Authorizations in the order of the items."""
    for it in _require(Group, answer).authorizations:
        write_authorization(it, response.authorizations.add())


def write_settled(answer: Answer, response: calls.SettleAuthorizationResponse) -> None:
    """An authorization with the fee for its usage, if there is one."""
    settled = _require(Settled, answer)
    write_authorization(settled.authorization, response.authorization)
    if settled.fee is not None:
        _write_fee(settled.fee, settled.authorization.currency, response.fee)


def _write_fee(fee: Fee, currency: str, message: calls.Fee) -> None:
    message.total.CopyFrom(types.Money(currency_code=currency, amount_minor=fee.total_minor))
    for line in fee.lines:
        message.lines.add(
            item=FEE_ITEMS[line.item],
            quantity=line.quantity,
            unit=_signed(currency, line.unit_minor),
            amount=_signed(currency, line.amount_minor),
        )


def _signed(currency: str, amount_minor: int) -> types.SignedMoney:
    return types.SignedMoney(currency_code=currency, amount_minor=amount_minor)


def write_reversed(answer: Answer, response: calls.ReverseAuthorizationResponse) -> None:
    """An authorization, or that there was none to reverse."""
    if isinstance(answer, Tombstone):
        response.tombstone = True
    else:
        write_authorized(answer, response)


def write_provisioned(answer: Answer, response: collection.SetProvisionResponse) -> None:
    """An authorization with what is set aside for its loss."""
    found = _require(Authorization, answer)
    write_authorization(found, response.authorization)
    response.provisioned.currency_code = found.currency
    response.provisioned.amount_minor = found.provisioned_minor


def write_paid(
    answer: Answer,
    response: collection.PayOutOperatorResponse | collection.RecordOperatorPaymentResponse,
) -> None:
    """What an operator was paid, or paid, and is owed now."""
    paid = _require(Paid, answer)
    response.paid.CopyFrom(types.Money(currency_code=paid.currency, amount_minor=paid.paid_minor))
    response.payable.CopyFrom(_signed(paid.currency, paid.payable_minor))


def write_line(
    answer: Answer, response: credit.SetCreditLimitResponse | credit.SetStandingResponse
) -> None:
    """A person's line."""
    _write_line(_require(Line, answer), response.line)


def _write_line(line: Line, message: credit.CreditLine | credit.CreditProfile) -> None:
    message.user_id = line.user_id
    for amount, minor in (
        (message.limit, line.limit_minor),
        (message.available, line.available_minor),
        (message.held, line.held_minor),
        (message.drawn, line.drawn_minor),
        (message.cut_pending, line.cut_pending_minor),
        (message.disputed, line.disputed_minor),
        (message.charged_back, line.charged_back_minor),
        (message.deposit, line.deposit_minor),
        (message.refund_payable, line.refund_payable_minor),
    ):
        amount.currency_code = line.currency
        amount.amount_minor = minor
    message.standing = STANDINGS[line.standing]
    message.limit_fixed = line.limit_fixed


def write_profile(answer: Answer, message: credit.CreditProfile) -> None:
    """A person's line, the kept score, and what the limit rests on."""
    profile = _require(Profile, answer)
    _write_line(profile.line, message)
    message.score = profile.score or 0
    message.score_band = BANDS[profile.band]
    message.unscorable_reason = profile.unscorable_reason
    message.feature_version = profile.feature_version
    as_of = timestamp(profile.as_of_us)
    if as_of is not None:
        message.as_of.CopyFrom(as_of)
    message.model_id = profile.model_id
    message.unscorable_feature = profile.unscorable_feature
    message.extrapolated_features.extend(profile.extrapolated)
    message.scale_version = profile.scale_version
    message.limit_basis = LIMIT_BASES[profile.limit_basis]


def encode_profile(answer: Answer) -> bytes:
    """The bytes of a CreditProfile."""
    message = credit.CreditProfile()
    write_profile(answer, message)
    return message.SerializeToString()


def encode_nothing(_answer: Answer) -> bytes:
    """No bytes: the answer to what is only recorded."""
    return b""
