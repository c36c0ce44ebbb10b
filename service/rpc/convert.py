"""Converts values and authorizations between messages and the domain."""

from __future__ import annotations

from functools import cache
from typing import Any

from freehold.v1 import authorization_pb2 as pb
from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import credit_service_pb2 as credit
from freehold.v1 import types_pb2 as types
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.authorization import Authorization, Collection, Custody, Start, State
from service.domain.captures import Purpose
from service.domain.credit import LimitBasis
from service.domain.errors import InvalidInput
from service.domain.ledger import Standing
from service.domain.money import Money
from service.domain.policy import Offer
from service.domain.tariff import FeeItem

# Numbers of enum values by the domain's names; a name that the stubs lack fails at import.
STATES = {it: getattr(pb.Authorization, f"STATE_{it}") for it in State}
CUSTODIES = {it: getattr(pb.Authorization, f"CUSTODY_{it}") for it in Custody}
COLLECTIONS = {it: getattr(pb.Authorization, f"COLLECTION_{it}") for it in Collection}
OFFERS = {it: getattr(types, f"OFFER_{it or 'UNSPECIFIED'}") for it in (None, *Offer)}
BANDS = {it: getattr(types, f"SCORE_BAND_{it or 'UNSPECIFIED'}") for it in ("", *"ABCDE")}
STANDINGS = {it: getattr(credit, f"STANDING_{it}") for it in Standing}
LIMIT_BASES = {it: getattr(credit, f"LIMIT_BASIS_{it}") for it in LimitBasis}
FEE_ITEMS = {it: getattr(calls.Fee.Line, f"ITEM_{it}") for it in FeeItem}
PURPOSES = {it: getattr(pb, f"CAPTURE_PURPOSE_{it}") for it in Purpose}
PURPOSE_OF = {number: purpose for purpose, number in PURPOSES.items()}
STATE_OF = {number: state for state, number in STATES.items()}
OFFER_OF = {number: offer for offer, number in OFFERS.items() if offer is not None}
STANDING_OF = {number: standing for standing, number in STANDINGS.items()}
START_OF = {
    calls.AuthorizeRequest.START_UNSPECIFIED: Start.IMMEDIATE,
    calls.AuthorizeRequest.START_IMMEDIATE: Start.IMMEDIATE,
    calls.AuthorizeRequest.START_ON_PICKUP: Start.ON_PICKUP,
}

FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The first and last second of google.protobuf.Timestamp, since the epoch."""


def timestamp(instant_us: int | None) -> Timestamp | None:
    """A Timestamp of microseconds since the epoch; None stays None."""
    if instant_us is None:
        return None
    seconds, micros = divmod(instant_us, 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def instant_us(message: Timestamp | Duration, field: str) -> int:
    """Microseconds since the epoch, or of a duration, floored.

    Raises InvalidInput if the nanoseconds are out of range, or the year is not from 1 to 9999.
    """
    if not FIRST_SECOND <= message.seconds <= LAST_SECOND:
        raise InvalidInput.of(field, "seconds.range", "must lie in the years 1 to 9999")
    if not 0 <= message.nanos < 1_000_000_000:
        raise InvalidInput.of(f"{field}.nanos", "nanos.range", "must be from 0 to 999999999")
    return message.seconds * 1_000_000 + message.nanos // 1000


def optional_us(message: Any, field: str) -> int | None:
    """Microseconds of a Timestamp or Duration, or None if absent; raises as `instant_us`."""
    return instant_us(getattr(message, field), field) if message.HasField(field) else None


def money(message: types.Money | types.SignedMoney) -> Money:
    """The domain's Money of an amount."""
    return Money(message.currency_code, message.amount_minor)


def expected_version(message: Any) -> int | None:
    """The version that the caller expects, or None."""
    return message.expected_version if message.HasField("expected_version") else None


def split_name(name: str) -> tuple[str, str]:
    """The user id and the authorization id in a resource name whose form was checked."""
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
def _blank(currency: str) -> bytes:
    """The bytes of an authorization with every amount 0.

    Parsing them costs a quarter of making seven amounts.
    """
    blank = pb.Authorization()
    for name in _AMOUNTS:
        getattr(blank, name).currency_code = currency
    return blank.SerializeToString()


def write_time(message: Timestamp, instant: int) -> None:
    """Writes microseconds since the epoch into a Timestamp."""
    message.seconds, micros = divmod(instant, 1_000_000)
    message.nanos = micros * 1000


def encode_authorization(it: Authorization) -> bytes:
    """The bytes of an authorization as callers see it, in answers and in events."""
    message = pb.Authorization.FromString(_blank(it.currency))
    message.request_id = it.request_id
    message.product_id = it.product_id
    message.asset_id = it.asset_id
    message.state = STATES[it.state]
    message.custody = CUSTODIES[it.custody]
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
        _write_captured(it, message)
    if it.refund_payable_minor:
        message.refund_payable.amount_minor = it.refund_payable_minor
        if (refund_us := it.refund_us) is not None:
            write_time(message.refund_time, refund_us)
    if it.uncollected_minor:
        message.uncollected.currency_code = it.currency
        message.uncollected.amount_minor = it.uncollected_minor
    if it.charged_back_minor:
        message.charged_back.currency_code = it.currency
        message.charged_back.amount_minor = it.charged_back_minor
    if it.overpaid_minor:
        _write_overpaid(it, message)
    if it.unheld_minor:
        _write_debt(it, message)
    message.decision_id = it.decision_id
    message.model_id = it.model_id
    message.policy_revision = it.policy_revision
    write_time(message.create_time, it.create_us)
    if it.expire_us is not None:
        write_time(message.expire_time, it.expire_us)
    if it.start_us is not None:
        write_time(message.start_time, it.start_us)
    if it.due_us is not None:
        write_time(message.due_time, it.due_us)
    if it.lost_us is not None:
        write_time(message.lost_time, it.lost_us)
    if it.claim_us is not None:
        write_time(message.claim_time, it.claim_us)
    if it.claim_until_us is not None:
        write_time(message.claim_until_time, it.claim_until_us)
    if it.sold_us is not None:
        write_time(message.sold_time, it.sold_us)
    if it.close_us is not None:
        write_time(message.close_time, it.close_us)
    if it.group_id:
        message.group = it.group_id
    if it.parent_id:
        message.parent = f"users/{it.user_id}/authorizations/{it.parent_id}"
    message.version = it.version
    message.name = it.name
    message.collection = COLLECTIONS[it.collection]
    return message.SerializeToString()


def _write_overpaid(it: Authorization, message: pb.Authorization) -> None:
    message.overpaid.currency_code = it.currency
    message.overpaid.amount_minor = it.overpaid_minor
    if it.write_off_minor:
        message.write_off_proposed.currency_code = it.currency
        message.write_off_proposed.amount_minor = it.write_off_minor


def _write_debt(it: Authorization, message: pb.Authorization) -> None:
    for name, amount_minor in (
        ("unheld", it.unheld_minor),
        ("unheld_due", it.unheld_due_minor),
        ("unheld_dropped", it.unheld_dropped_minor),
        ("unheld_disputed", it.unheld_disputed_minor),
    ):
        if amount_minor:
            amount = getattr(message, name)
            amount.currency_code = it.currency
            amount.amount_minor = amount_minor
    if it.unheld_until_us is not None:
        write_time(message.unheld_until_time, it.unheld_until_us)


def _write_captured(it: Authorization, message: pb.Authorization) -> None:
    """Writes the amounts that exist only after a capture; the later ones only if not 0."""
    message.captured.amount_minor = it.captured_minor
    message.due.amount_minor = it.due_minor
    for name, amount_minor in (
        ("paid", it.paid_minor),
        ("lowered", it.lowered_minor),
        ("disputed", it.disputed_minor),
        ("written_off", it.written_off_minor),
        ("refunded", it.refunded_minor),
        ("conceded", it.conceded_minor),
        ("fee", it.fee_minor),
        ("write_off_proposed", it.write_off_minor),
    ):
        if amount_minor:
            amount = getattr(message, name)
            amount.currency_code = it.currency
            amount.amount_minor = amount_minor
