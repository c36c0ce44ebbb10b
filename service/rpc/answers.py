"""Encodes the engine's answers as responses of the contract.

An authorization is encoded once, for its event and for every answer that contains it. In a
response, these bytes are field number 1; the other fields follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any, TypeVar

from freehold.v1 import authorization_pb2 as pb
from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import collection_service_pb2 as collection
from freehold.v1 import credit_service_pb2 as credit
from freehold.v1 import types_pb2 as types
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BytesValue

from service.domain.authorization import Authorization
from service.domain.captures import Purpose
from service.domain.details import Price
from service.domain.errors import InvariantBroken
from service.domain.ledger import Line
from service.domain.receipt import receipt_of
from service.domain.tariff import Fee
from service.engine.calls import (
    Answer,
    Attestation,
    Corrected,
    Cut,
    Group,
    LateStart,
    Paid,
    Payloads,
    Priced,
    Profile,
    Settled,
    Tombstone,
)
from service.engine.reads import Docked, Told
from service.engine.records.aliases import AliasRecord
from service.engine.records.attestations import AttestationRecord
from service.engine.records.captures import CaptureRecord, CorrectionRecord
from service.rpc.charge_back_messages import charge_back_message
from service.rpc.convert import (
    ATTESTATION_KINDS,
    BANDS,
    CAUSES,
    FEE_ITEMS,
    LIMIT_BASES,
    PURPOSES,
    SOURCES,
    STANDINGS,
    encode_authorization,
    timestamp,
    write_time,
)
from service.rpc.details import encode_details
from service.rpc.receipts import encode_receipt, signed

Writer = Callable[[Any, Answer, Payloads], bytes]
"""A function that encodes an answer as a response of this type."""

T = TypeVar("T")


def _require(kind: type[T], answer: Answer) -> T:
    if not isinstance(answer, kind):
        raise InvariantBroken("the answer is not of the method's type")
    return answer


@cache
def head(length: int, number: int = 1) -> bytes:
    """The bytes before a message of this length, which is not 0, in the field `number`, which is
    below 16."""
    first = BytesValue(value=bytes(length)).SerializeToString()[:-length]
    return bytes([first[0] + 8 * (number - 1)]) + first[1:]


def placed(authorization: bytes) -> bytes:
    """An authorization's bytes as field number 1 of a response."""
    return head(len(authorization)) + authorization


def all_placed(authorizations: Iterable[bytes], rest: Message) -> bytes:
    """The bytes of a response with these authorizations; `rest` has its other fields."""
    return b"".join([*map(placed, authorizations), rest.SerializeToString()])


def write_authorized(_response: type[Message], answer: Answer, payloads: Payloads) -> bytes:
    """Encodes an authorization as the field `authorization`, which nearly every response has."""
    return placed(payloads.of(_require(Authorization, answer)))


def write_beside(it: Authorization, rest: Message, payloads: Payloads) -> bytes:
    """Encodes an authorization, and the other fields of its response."""
    return all_placed([payloads.of(it)], rest)


def write_asked(
    response: type[calls.AuthorizeResponse], answer: Answer, payloads: Payloads
) -> bytes:
    """Encodes an authorization, the times that were cut, and the hash of the price."""
    if isinstance(answer, Priced):
        priced = response(price_hash=answer.price_hash).SerializeToString()
        return write_asked(response, answer.answer, payloads) + priced
    if not isinstance(answer, Cut):
        return write_authorized(response, answer, payloads)
    asked = _require(Authorization, answer.answer)
    return all_placed([payloads.of(asked)], _cuts_of(answer, response()))


def write_group(
    response: type[calls.AuthorizeGroupResponse], answer: Answer, payloads: Payloads
) -> bytes:
    """Encodes authorizations in the order of the items, and the times that were cut."""
    rest = response()
    if isinstance(answer, Cut):
        rest, answer = _cuts_of(answer, rest), answer.answer
    return all_placed([payloads.of(it) for it in _require(Group, answer).authorizations], rest)


def _cuts_of(cut: Cut, message: Any) -> Any:
    for it in cut.times:
        added = message.cuts.add(field=it.field, product_id=it.product_id)
        added.granted.FromMicroseconds(it.granted_us)
    return message


def write_started(
    response: type[calls.StartRentalResponse], answer: Answer, payloads: Payloads
) -> bytes:
    """Encodes an authorization, and the reservation that a late pick-up cites."""
    if not isinstance(answer, LateStart):
        return write_authorized(response, answer, payloads)
    rest = response(reservation=answer.reservation)
    return all_placed([payloads.of(answer.authorization)], rest)


def write_settled(
    response: type[calls.SettleAuthorizationResponse], answer: Answer, payloads: Payloads
) -> bytes:
    """Encodes an authorization, the fee of its usage, and the capture, if any."""
    settled = _require(Settled, answer)
    it = settled.authorization
    parts = [placed(payloads.of(it))]
    if settled.fee is not None:
        parts.append(_fee(settled.fee, it.currency))
    if settled.capture is not None:
        capture = encode_capture(settled.capture, it.currency)
        parts += (head(len(capture), _CAPTURE), capture)
    if settled.debt or settled.handover is not None:
        rest = response(debt=settled.debt)
        if settled.handover is not None:
            write_attestation(settled.handover, it.currency, rest.handover)
        parts.append(rest.SerializeToString())
    return b"".join(parts)


_CAPTURE = calls.SettleAuthorizationResponse.DESCRIPTOR.fields_by_name["capture"].number


def write_corrected(response: Any, answer: Answer, payloads: Payloads) -> bytes:
    """Encodes an authorization, and the rows of its correction."""
    corrected, rest = _require(Corrected, answer), response()
    for row in corrected.corrections:
        write_correction(row, corrected.authorization.currency, rest.corrections.add())
    return all_placed([payloads.of(corrected.authorization)], rest)


def write_attested(response: Any, answer: Answer, payloads: Payloads) -> bytes:
    """Encodes an authorization and its new attestation, which is the response's other field."""
    attested, rest = _require(Attestation, answer), response()
    field = response.DESCRIPTOR.fields[1].name
    write_attestation(attested.row, attested.authorization.currency, getattr(rest, field))
    return all_placed([payloads.of(attested.authorization)], rest)


def write_told(told: Told, price: Price) -> bytes:
    """Encodes an authorization with its charges, attestations and details, and its price."""
    it = told.authorization
    rest = calls.GetAuthorizationResponse(reservation=told.reservation)
    for capture in told.captures:
        rest.captures.add().MergeFromString(encode_capture(capture, it.currency))
    for correction in told.corrections:
        write_correction(correction, it.currency, rest.corrections.add())
    for attestation in told.attestations:
        write_attestation(attestation, it.currency, rest.attestations.add())
    rest.charge_backs.extend(map(charge_back_message, told.charge_backs))
    for consent in told.consents:
        message = rest.consents.add(
            version=consent.authorization_version,
            user_consent_reference=consent.user_consent_reference,
        )
        write_time(message.create_time, consent.record_us)
    return all_placed([encode_authorization(it, None, price) + encode_details(told.details)], rest)


def write_receipt(docked: Docked, price: Price) -> bytes:
    """Makes the receipt of a settled rental again, and encodes it with the corrections since and
    the hash of the price."""
    it, rest = docked.told.authorization, calls.GetReceiptResponse(price_hash=price.hash)
    rest.product_revision = it.product_revision
    receipt = receipt_of(
        it,
        docked.tariff,
        docked.transition,
        docked.event_us,
        docked.meter,
        docked.debt_minor,
        docked.free_us,
        docked.cancelling_minor,
    )
    if receipt is None:
        raise InvariantBroken("a settled rental has no receipt")
    rest.receipt.CopyFrom(pb.Authorization.FromString(encode_receipt(receipt, it.currency)).receipt)
    for correction in docked.told.corrections:
        write_correction(correction, it.currency, rest.corrections.add())
    return rest.SerializeToString()


def write_attestation(row: AttestationRecord, currency: str, message: pb.Attestation) -> None:
    """Writes an attestation as callers see it."""
    message.number = row.number
    message.kind = ATTESTATION_KINDS[row.kind]
    message.cause, message.source = CAUSES[row.cause], SOURCES[row.source]
    message.evidence = row.evidence
    write_time(message.occur_time, row.event_us)
    write_time(message.create_time, row.record_us)
    if row.until_us is not None:
        write_time(message.until_time, row.until_us)
    if row.amount_minor:
        message.waived.currency_code = message.pending.currency_code = currency
        message.waived.amount_minor = row.amount_minor
        message.pending.amount_minor = row.pending_minor


def encode_capture(row: CaptureRecord, currency: str) -> bytes:
    """The bytes of a capture as callers see it; parts that many share are made once."""
    amounts = (row.amount_minor, row.conceded_minor, row.disputed_minor)
    reference = row.business_reference
    return b"".join(
        (
            _taken(row.number, row.purpose, currency, *amounts),
            pb.Capture(business_reference=reference).SerializeToString() if reference else b"",
            _capture_times(row.event_us, row.record_us),
        )
    )


@lru_cache(maxsize=4096)
def _taken(
    number: int,
    purpose: Purpose,
    currency: str,
    amount_minor: int,
    conceded_minor: int,
    disputed_minor: int,
) -> bytes:
    message = pb.Capture(number=number, purpose=PURPOSES[purpose])
    for amount, minor in (
        (message.amount, amount_minor),
        (message.conceded, conceded_minor),
        (message.disputed, disputed_minor),
    ):
        amount.currency_code, amount.amount_minor = currency, minor
    return message.SerializeToString()


# The times of a batch's captures are mostly the same.
@lru_cache(maxsize=64)
def _capture_times(event_us: int, record_us: int) -> bytes:
    message = pb.Capture()
    write_time(message.occur_time, event_us)
    write_time(message.create_time, record_us)
    return message.SerializeToString()


def write_correction(row: CorrectionRecord, currency: str, message: pb.Correction) -> None:
    """Writes one row of a correction as callers see it."""
    message.number = row.number
    message.kind = row.transition
    message.capture = row.capture
    for amount, minor in (
        (message.amount, row.amount_minor),
        (message.conceded, row.conceded_minor),
    ):
        amount.currency_code, amount.amount_minor = currency, minor
    message.business_reference = row.business_reference
    message.reason = row.reason
    write_time(message.create_time, row.record_us)


@lru_cache(maxsize=4096)
def _fee(fee: Fee, currency: str) -> bytes:
    """A settlement's answer with a fee alone: fees are often the same."""
    message = calls.SettleAuthorizationResponse()
    message.fee.total.CopyFrom(types.Money(currency_code=currency, amount_minor=fee.total_minor))
    for line in fee.lines:
        message.fee.lines.add(
            item=FEE_ITEMS[line.item],
            quantity=line.quantity,
            unit=signed(currency, line.unit_minor),
            amount=signed(currency, line.amount_minor),
            minutes=line.minutes,
            from_minute=line.from_minute,
            times=line.times,
            place=line.place,
        )
    return message.SerializeToString()


def write_reversed(
    response: type[calls.ReverseAuthorizationResponse], answer: Answer, payloads: Payloads
) -> bytes:
    """Encodes the reversed authorization, or a tombstone if there was none."""
    if isinstance(answer, Tombstone):
        return response(tombstone=True).SerializeToString()
    return write_authorized(response, answer, payloads)


def write_provisioned(
    response: type[collection.SetProvisionResponse], answer: Answer, payloads: Payloads
) -> bytes:
    """Encodes an authorization with its provision for loss."""
    found = _require(Authorization, answer)
    amount = types.Money(currency_code=found.currency, amount_minor=found.provisioned_minor)
    return all_placed([payloads.of(found)], response(provisioned=amount))


def write_paid(
    response: type[collection.PayOutOperatorResponse | collection.RecordOperatorPaymentResponse],
    answer: Answer,
    _payloads: Payloads,
) -> bytes:
    """Encodes the amount of a payment to or from an operator, and the balance after it."""
    paid = _require(Paid, answer)
    return response(
        paid=types.Money(currency_code=paid.currency, amount_minor=paid.paid_minor),
        payable=signed(paid.currency, paid.payable_minor),
    ).SerializeToString()


def write_merge(
    response: type[credit.ProposeMergeResponse | credit.ApproveMergeResponse],
    answer: Answer,
    _payloads: Payloads,
) -> bytes:
    """Encodes a merge, proposed or approved."""
    it = _require(AliasRecord, answer)
    message = response()
    merge = message.merge
    merge.user_id, merge.survivor, merge.reason = it.user_id, it.survivor, it.reason
    merge.propose_time.FromMicroseconds(it.propose_us)
    if it.approve_us is not None:
        merge.approve_time.FromMicroseconds(it.approve_us)
    return message.SerializeToString()


def write_line(
    response: type[credit.SetCreditLimitResponse | credit.SetStandingResponse],
    answer: Answer,
    _payloads: Payloads,
) -> bytes:
    """Encodes a person's line."""
    message = response()
    _write_line(_require(Line, answer), message.line)
    return message.SerializeToString()


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
        (message.overpaid, line.overpaid_minor),
    ):
        amount.currency_code = line.currency
        amount.amount_minor = minor
    message.standing = STANDINGS[line.standing]
    message.limit_fixed = line.limit_fixed


def write_profile(answer: Answer, message: credit.CreditProfile) -> None:
    """Writes a person's line, the stored score and the basis of the limit."""
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
    message.ignored_features.extend(profile.ignored)


def encode_profile(answer: Answer, _payloads: Payloads) -> bytes:
    """The bytes of a CreditProfile."""
    message = credit.CreditProfile()
    write_profile(answer, message)
    return message.SerializeToString()
