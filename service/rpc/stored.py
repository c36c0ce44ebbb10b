"""Reads stored messages (answers and payloads of events), for the verifier.

An answer is kept as long as its authorization, and may outlive its method. A change that removes a
method keeps the response message in the contract, and adds the method and its response to
`REMOVED`.

The responses are read from the contract, not from the services: a verifying process that imported
the services would need a third more CPU time to start.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from freehold.v1 import (
    admin_service_pb2,
    admission_service_pb2,
    authorization_service_pb2,
    case_service_pb2,
    collection_service_pb2,
    credit_service_pb2,
    pass_service_pb2,
    terms_service_pb2,
)
from freehold.v1.authorization_pb2 import Authorization
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.cases import PLATFORM_ONLY
from service.domain.verification import Told
from service.engine.records.refusals import REFUSED, read_refusal
from service.engine.records.requests import TOMBSTONE
from service.rpc.convert import BAND_OF, CUSTODY_OF, LAPSE_OF, OFFER_OF, STATE_OF
from service.rpc.receipts import read_receipt

REMOVED: dict[str, type[Message]] = {}
"""Removed methods, each with its response."""

_SERVICES = (
    admin_service_pb2, admission_service_pb2, authorization_service_pb2, case_service_pb2,
    collection_service_pb2, credit_service_pb2, pass_service_pb2, terms_service_pb2,
)  # fmt: skip
_BULK = "PutUsers"
"""Its answers are stored for each user, and one without bytes for the whole call."""
_HIDDEN = {case_service_pb2.CaseKind.Value(f"CASE_KIND_{kind}") for kind in PLATFORM_ONLY}
"""Questions of the platform: calls on them change no authorization."""


def _responses() -> dict[str, type[Message]]:
    """The stored responses by method: those to requests with an id."""
    found: dict[str, type[Message]] = {}
    for file in _SERVICES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                if "request_id" in method.input_type.fields_by_name:
                    found[method.name] = GetMessageClass(method.output_type)
    return found | {_BULK: credit_service_pb2.CreditProfile}


_RESPONSES = _responses()


def read_answer(method: str, answer: bytes) -> str | None:
    """The name of the resource in a stored answer, or None if it has none.

    Raises ValueError if the bytes are not an answer of the method.
    """
    if method.endswith(REFUSED):
        read_refusal(answer, 0)
        return None
    if method == TOMBSTONE or (method == _BULK and not answer):
        return None
    kind = _RESPONSES.get(method, REMOVED.get(method))
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
        it.order_fee.amount_minor if it.HasField("order_fee") else -1,
        it.product_revision,
        it.price_hash,
        it.price_place,
        LAPSE_OF.get(it.lapse, ""),
        it.case,
        it.HasField("details"),
        it.moved_no_money,
        it.step_decision_id,
        it.user_consent_reference,
        it.reviewed,
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
    if "held" in fields:
        return _about_pass
    if "authorization" not in fields:
        return lambda _: None
    name = attrgetter("authorization.name")
    if "item" in fields:
        # Money in suspense that was not matched to an authorization.
        return lambda message: name(message) or None
    if "tombstone" in fields:
        return lambda message: None if message.tombstone else name(message)
    return name


def _about_pass(message: Any) -> str:
    """The debt of a pass that a call booked or changed, or else the person who has the pass."""
    debt = (
        message.authorization.name if "authorization" in message.DESCRIPTOR.fields_by_name else ""
    )
    return debt or message.held.name.rpartition("/passes/")[0]


_ABOUT = {kind: _about(kind) for kind in _RESPONSES.values()}
