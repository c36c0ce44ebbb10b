"""Reads stored messages (answers and payloads of events), for the verifier.

An answer is kept as long as its authorization, and may outlive its method. A change that removes a
method keeps the response message in the contract, and adds the method and its response to
`REMOVED`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from freehold.v1 import credit_service_pb2 as credit
from freehold.v1.authorization_pb2 import Authorization
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.cases import PLATFORM_ONLY
from service.domain.verification import Told
from service.engine.records.refusals import REFUSED, read_refusal
from service.engine.records.requests import TOMBSTONE
from service.rpc import (
    admin_service,
    admission_service,
    authorization_service,
    case_service,
    collection_service,
    credit_service,
    terms_service,
)
from service.rpc.convert import BAND_OF, CUSTODY_OF, LAPSE_OF, OFFER_OF, STATE_OF
from service.rpc.receipts import read_receipt

REMOVED: dict[str, type[Message]] = {}
"""Removed methods, each with its response."""

_RESPONSES: dict[str, type[Message]] = (
    {
        it.name: it.response
        for service in (authorization_service, credit_service, collection_service, case_service)
        for it in service.MUTATIONS
    }
    | admin_service.ANSWERS
    | terms_service.ANSWERS
    | admission_service.ANSWERS
)
_HIDDEN = {case_service.KINDS[kind] for kind in PLATFORM_ONLY}
"""Questions of the platform: calls on them change no authorization."""
_BULK = credit_service.PUT_USERS


def read_answer(method: str, answer: bytes) -> str | None:
    """The name of the resource in a stored answer, or None if it has none.

    Raises ValueError if the bytes are not an answer of the method.
    """
    if method.endswith(REFUSED):
        read_refusal(answer, 0)
        return None
    if method == TOMBSTONE or (method == _BULK and not answer):
        return None
    kind = credit.CreditProfile if method == _BULK else _RESPONSES.get(method, REMOVED.get(method))
    if kind is None:
        raise ValueError(f"there is no method {method}")
    try:
        return _ABOUT[kind](kind.FromString(answer))
    except DecodeError as error:
        raise ValueError("the bytes are not an answer of the method") from error


def read_payload(payload: bytes) -> Told:
    """The values of an event's payload. Raises ValueError if the bytes are no authorization."""
    try:
        it = Authorization.FromString(payload)
    except DecodeError as error:
        raise ValueError("the bytes are not an authorization") from error
    return Told(
        it.name,
        it.version,
        STATE_OF.get(it.state, str(it.state)),
        it.held_credit.amount_minor,
        it.held_cash.amount_minor,
        it.captured.amount_minor,
        it.due.amount_minor,
        it.refund_payable.amount_minor,
        it.uncollected.amount_minor,
        it.unheld_disputed.amount_minor,
        _us(it.unheld_until_time),
        it.product_id,
        it.asset_id,
        CUSTODY_OF.get(it.custody, str(it.custody)),
        OFFER_OF.get(it.offer, ""),
        ",".join(it.reasons),
        BAND_OF.get(it.score_band, str(it.score_band)),
        it.deposit_asked.amount_minor,
        it.decision_id,
        it.model_id,
        it.policy_revision,
        _us(it.lost_time),
        _us(it.claim_until_time),
        _us(it.sold_time),
        it.request_id,
        it.group,
        it.parent,
        it.product_revision,
        it.price_hash,
        it.price_place,
        LAPSE_OF.get(it.lapse, ""),
        it.case,
        it.HasField("details"),
        it.moved_no_money,
        it.step_decision_id,
        it.user_consent_reference,
        read_receipt(it) if it.HasField("receipt") else None,
    )


def _us(time: Timestamp) -> int:
    """Microseconds since the epoch; 0 if the time is absent."""
    return time.seconds * 1_000_000 + time.nanos // 1_000


def _about(kind: type[Message]) -> Callable[[Any], str | None]:
    """A function that reads the resource name from an answer of this type."""
    fields = kind.DESCRIPTOR.fields_by_name
    if "user_id" in fields:
        return lambda message: f"users/{message.user_id}"
    if "line" in fields:
        return lambda message: f"users/{message.line.user_id}"
    if "authorizations" in fields:
        return lambda message: message.authorizations[0].name if message.authorizations else ""
    if "case" in fields:
        return lambda message: None if message.case.kind in _HIDDEN else message.case.authorization
    if "authorization" not in fields:
        return lambda _: None
    name = attrgetter("authorization.name")
    if "item" in fields:
        # Money in suspense that was not matched to an authorization.
        return lambda message: name(message) or None
    if "tombstone" in fields:
        return lambda message: None if message.tombstone else name(message)
    return name


_KINDS: list[type[Message]] = [credit.CreditProfile, *_RESPONSES.values()]
_ABOUT = {kind: _about(kind) for kind in _KINDS}
