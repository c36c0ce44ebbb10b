"""Converts values and authorizations between messages and the domain."""

from __future__ import annotations

from functools import cache, lru_cache
from operator import itemgetter
from typing import Any

from freehold.v1 import authorization_pb2 as pb
from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import credit_service_pb2 as credit
from freehold.v1 import types_pb2 as types
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.attestations import HANDOVERS, AttestationKind, Cause, Source
from service.domain.authorization import Authorization, Collection, Custody, Start, State
from service.domain.captures import Purpose
from service.domain.credit import LimitBasis
from service.domain.details import UNKNOWN_PRICE, Price
from service.domain.errors import InvalidInput
from service.domain.lapses import Lapse
from service.domain.ledger import Standing
from service.domain.money import Money
from service.domain.policy import Offer, Reason
from service.domain.receipt import Receipt
from service.domain.tariff import FeeItem
from service.rpc.receipts import encode_receipt

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
ATTESTATION_KINDS = {it: getattr(pb, f"ATTESTATION_KIND_{it}") for it in AttestationKind}
CAUSES = {it: getattr(pb, f"CAUSE_{it or 'UNSPECIFIED'}") for it in (None, *Cause)}
SOURCES = {it: getattr(pb, f"SOURCE_{it or 'UNSPECIFIED'}") for it in (None, *Source)}
CAUSE_OF = {number: cause for cause, number in CAUSES.items() if cause is not None}
SOURCE_OF = {number: source for source, number in SOURCES.items() if source is not None}
HANDOVER_OF = {
    getattr(calls.SettleAuthorizationRequest, f"RETURN_KIND_{it}"): it for it in HANDOVERS
}
PURPOSE_OF = {number: purpose for purpose, number in PURPOSES.items()}
CUSTODY_OF = {number: custody for custody, number in CUSTODIES.items()}
BAND_OF = {number: band for band, number in BANDS.items()}
STATE_OF = {number: state for state, number in STATES.items()}
OFFER_OF = {number: offer for offer, number in OFFERS.items() if offer is not None}
STANDING_OF = {number: standing for standing, number in STANDINGS.items()}
LAPSES = {it: getattr(pb, f"LAPSE_{it}") for it in Lapse}
LAPSE_OF = {number: lapse for lapse, number in LAPSES.items()}
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


def write_time(message: Timestamp, instant: int) -> None:
    """Writes microseconds since the epoch into a Timestamp."""
    message.seconds, micros = divmod(instant, 1_000_000)
    message.nanos = micros * 1000


def encode_authorization(
    it: Authorization, receipt: Receipt | None = None, price: Price = UNKNOWN_PRICE
) -> bytes:
    """The bytes of an authorization as callers see it, in answers and in events.

    `price` is the price under its terms. If the step settled a rental, the receipt is included. The
    bytes equal those of the serialized message, with the parts in the order of the field numbers.
    Parts that many authorizations share are encoded once and reused. That takes a third of the time
    that a whole message takes.
    """
    # Without what is rare nothing was captured, so there is nothing to collect.
    usual = _rare(it) == _USUAL
    collection = _NOTHING_TO_COLLECT if usual else it.collection
    # The same as `it.name`, without a call.
    name = f"users/{it.user_id}/authorizations/{it.authorization_id}".encode()
    request_id = it.request_id.encode()
    product_id, asset_id = it.product_id.encode(), it.asset_id.encode()
    decision_id = it.decision_id.encode()
    names = _names(len(name), len(request_id), len(product_id), len(asset_id))
    return b"".join(
        (
            names % (name, request_id, product_id, asset_id),
            _condition(it.state, it.custody, collection, it.offer, it.reasons, it.band),
            _amounts(
                it.currency,
                it.cash_minor,
                it.held_credit_minor,
                it.held_cash_minor,
                it.captured_minor,
                it.due_minor if it.captured_minor else 0,
                it.refund_payable_minor,
            ),
            _head("decision_id", len(decision_id)),
            decision_id,
            _basis(it.model_id, it.policy_revision),
            _times(it.create_us, it.expire_us, it.start_us, it.close_us),
            _version_and_ends(it.version, it.due_us, it.lost_us),
            b"" if usual else encode_rest(it),
            _terms(it.product_revision, price),
            b"" if receipt is None else encode_receipt(receipt, it.currency),
        )
    )


@cache
def _head(field: str, length: int) -> bytes:
    """The bytes before a text of this length in this field of an authorization."""
    values: dict[str, Any] = {field: "x" * length}
    whole = pb.Authorization(**values).SerializeToString()
    return whole[: len(whole) - length]


@cache
def _names(name: int, request_id: int, product_id: int, asset_id: int) -> bytes:
    """A template of the first four fields of an authorization, for texts of these lengths."""
    lengths = {"name": name, "request_id": request_id, "product_id": product_id}
    lengths["asset_id"] = asset_id
    heads = [_head(field, length) for field, length in lengths.items()]
    return b"".join([head.replace(b"%", b"%%") + b"%b" for head in heads])


@lru_cache(maxsize=4096)
def _condition(
    state: State,
    custody: Custody,
    collection: Collection,
    offer: Offer | None,
    reasons: tuple[str, ...],
    band: str,
) -> bytes:
    return pb.Authorization(
        state=STATES[state],
        custody=CUSTODIES[custody],
        collection=COLLECTIONS[collection],
        offer=OFFERS[offer],
        reasons=reasons,
        score_band=BANDS[band],
    ).SerializeToString()


@lru_cache(maxsize=4096)
def _amounts(
    currency: str,
    cash_minor: int,
    held_credit_minor: int,
    held_cash_minor: int,
    captured_minor: int,
    due_minor: int,
    refund_payable_minor: int,
) -> bytes:
    """The amounts that every encoded authorization has, even if they are 0."""
    message = pb.Authorization()
    for amount, minor in (
        (message.deposit_asked, cash_minor),
        (message.held, held_credit_minor + held_cash_minor),
        (message.held_credit, held_credit_minor),
        (message.held_cash, held_cash_minor),
        (message.captured, captured_minor),
        (message.due, due_minor),
        (message.refund_payable, refund_payable_minor),
    ):
        amount.currency_code, amount.amount_minor = currency, minor
    return message.SerializeToString()


@lru_cache(maxsize=256)
def _basis(model_id: str, policy_revision: int) -> bytes:
    return pb.Authorization(model_id=model_id, policy_revision=policy_revision).SerializeToString()


@lru_cache(maxsize=4096)
def _terms(product_revision: int, price: Price) -> bytes:
    message = pb.Authorization(
        product_revision=product_revision, price_hash=price.hash, price_place=price.place
    )
    return message.SerializeToString()


# The times of a batch's authorizations are mostly the same.
@lru_cache(maxsize=64)
def _times(
    create_us: int, expire_us: int | None, start_us: int | None, close_us: int | None
) -> bytes:
    message = pb.Authorization()
    write_time(message.create_time, create_us)
    if expire_us is not None:
        write_time(message.expire_time, expire_us)
    if start_us is not None:
        write_time(message.start_time, start_us)
    if close_us is not None:
        write_time(message.close_time, close_us)
    return message.SerializeToString()


@lru_cache(maxsize=64)
def _version_and_ends(version: int, due_us: int | None, lost_us: int | None) -> bytes:
    message = pb.Authorization(version=version)
    if due_us is not None:
        write_time(message.due_time, due_us)
    if lost_us is not None:
        write_time(message.lost_time, lost_us)
    return message.SerializeToString()


RARE = (
    *("claim_us", "claim_until_us", "sold_us", "group_id", "parent_id", "captured_minor"),
    *("refund_payable_minor", "uncollected_minor", "charged_back_minor", "overpaid_minor"),
    *("unheld_minor", "paused_us", "order_fee_minor"),
)
"""The fields that `encode_rest` asks for first; with their defaults it encodes nothing."""
_rare = itemgetter(*map(Authorization._fields.index, RARE))
_AFTER_CAPTURE = frozenset({"captured_minor", "uncollected_minor"})
_rarer = itemgetter(*[Authorization._fields.index(it) for it in RARE if it not in _AFTER_CAPTURE])
_CAPTURED = (
    *("paid", "lowered", "disputed", "written_off", "refunded", "conceded", "fee"),
    "write_off",
)
"""The amounts that exist only after a capture, by their fields without `_minor`."""
_captured_minor = itemgetter(*[Authorization._fields.index(f"{it}_minor") for it in _CAPTURED])
_NOTHING_TO_COLLECT = Collection.NONE
_USUAL = tuple([Authorization._field_defaults.get(name, "") for name in RARE])


_USUAL_REST = tuple(
    [Authorization._field_defaults.get(it, "") for it in RARE if it not in _AFTER_CAPTURE]
)


def encode_rest(it: Authorization) -> bytes:
    """The fields that most authorizations lack. Their field numbers are larger than those of the
    fields before, and smaller than those of the terms."""
    if it.captured_minor and _rarer(it) == _USUAL_REST:
        return _after_capture(it.currency, it.uncollected_minor, _captured_minor(it))
    message = pb.Authorization()
    if it.claim_us is not None:
        write_time(message.claim_time, it.claim_us)
    if it.claim_until_us is not None:
        write_time(message.claim_until_time, it.claim_until_us)
    if it.sold_us is not None:
        write_time(message.sold_time, it.sold_us)
    if it.group_id:
        message.group = it.group_id
    if it.parent_id:
        kind = "passes" if Reason.PASS_BOUGHT in it.reasons else "authorizations"
        message.parent = f"users/{it.user_id}/{kind}/{it.parent_id}"
    if it.captured_minor:
        _write_captured(it.currency, _captured_minor(it), message)
    if it.refund_payable_minor and (refund_us := it.refund_us) is not None:
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
    if it.paused_us:
        message.paused.FromMicroseconds(it.paused_us)
    if it.order_fee_minor is not None:
        message.order_fee.currency_code = it.currency
        message.order_fee.amount_minor = it.order_fee_minor
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


# Most settled rentals have the same few fees.
@lru_cache(maxsize=4096)
def _after_capture(currency: str, uncollected_minor: int, amounts_minor: tuple[int, ...]) -> bytes:
    """The rest of an authorization that is usual but for a capture."""
    message = pb.Authorization()
    _write_captured(currency, amounts_minor, message)
    if uncollected_minor:
        message.uncollected.currency_code = currency
        message.uncollected.amount_minor = uncollected_minor
    return message.SerializeToString()


def _write_captured(
    currency: str, amounts_minor: tuple[int, ...], message: pb.Authorization
) -> None:
    """Writes the amounts of `_CAPTURED` that are not 0."""
    for name, amount_minor in zip(_CAPTURED, amounts_minor, strict=True):
        if amount_minor:
            amount = getattr(message, "write_off_proposed" if name == "write_off" else name)
            amount.currency_code = currency
            amount.amount_minor = amount_minor
