"""Requests compared by meaning: the same request may be written in several ways.

An explicit default means the same as an absent field, and a time below the microsecond is not seen.
Every other field is compared as it was sent, even if the engine does not read it. A request without
its line items or its evidence is therefore another request. Nothing is compared here while the
bytes of two requests are equal.

The terms decide some defaults, such as that of `rental_period`. Such a default is not a fixed
value. So a request that names the value differs from a request without the field.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1 import collection_service_pb2 as collection
from freehold.v1 import credit_service_pb2 as credit
from freehold.v1 import terms_service_pb2 as terms
from freehold.v1.authorization_pb2 import CAPTURE_PURPOSE_FEE
from freehold.v1.types_pb2 import OFFER_FULL, OFFER_REDUCED, OFFER_ZERO
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.documents import canonical

M = TypeVar("M", bound=Message)

_MILDEST_FIRST = [OFFER_ZERO, OFFER_REDUCED, OFFER_FULL]
_TIMES = (Timestamp.DESCRIPTOR.full_name, Duration.DESCRIPTOR.full_name)


def _start(request: Any) -> None:
    if request.start == calls.AuthorizeRequest.START_IMMEDIATE:
        request.start = calls.AuthorizeRequest.START_UNSPECIFIED


def _offers(request: Any) -> None:
    """Puts OFFER_ZERO first, because no offer is milder.

    The other offers are tried in the order in which they were sent. A list of all offers, the
    mildest first, means the same as an empty list.
    """
    offers = sorted(request.accept_offers, key=lambda offer: offer != OFFER_ZERO)
    request.accept_offers[:] = [] if offers == _MILDEST_FIRST else offers


def _final(request: Any) -> None:
    if request.final:
        request.ClearField("final")


def _purpose(request: Any) -> None:
    """Leaves out the purpose of a capture if it is FEE and the authorization is a rental.

    A damage charge refuses the purpose FEE. So there the field is kept, and the two requests
    differ.
    """
    if request.purpose == CAPTURE_PURPOSE_FEE:
        request.ClearField("purpose")


def _return_kind(request: Any) -> None:
    if request.return_kind == calls.SettleAuthorizationRequest.RETURN_KIND_DOCKED:
        request.ClearField("return_kind")


def _end_of_usage(request: Any) -> None:
    """Moves the end of the usage to `occurred_at`, unless both are set and differ."""
    usage = request.usage
    if usage.HasField("end_time") and (
        not request.HasField("occurred_at") or request.occurred_at == usage.end_time
    ):
        request.occurred_at.CopyFrom(usage.end_time)
        usage.ClearField("end_time")


def _platforms_account(request: Any) -> None:
    """Leaves out the default account of the platform, which alone sends these requests.

    An operator's default account is named after the operator, and a request does not name the
    operator.
    """
    if request.rail_account == "platform/railAccounts/default":
        request.ClearField("rail_account")


def _document(request: Any) -> None:
    """Brings a document's JSON into its canonical form; a text that is no JSON stays."""
    with suppress(ValueError, RecursionError):
        request.document = canonical(json.loads(request.document))


def _labels(request: Any) -> None:
    """Puts the labels of an order in the order of their names."""
    if request.HasField("order"):
        request.order.labels.sort(key=lambda label: label.name)


SAME: dict[type[Message], tuple[Callable[[Any], None], ...]] = {
    calls.AuthorizeRequest: (_start, _offers, _labels),
    calls.AuthorizeGroupRequest: (_start, _offers, _labels),
    calls.SettleAuthorizationRequest: (_final, _purpose, _return_kind, _end_of_usage),
    collection.PayOutOperatorRequest: (_platforms_account,),
    collection.RecordChargeBackRequest: (_platforms_account,),
    collection.RecordOperatorPaymentRequest: (_platforms_account,),
    credit.RecordPaymentRequest: (_platforms_account,),
    terms.ApplyTermsRequest: (_document,),
}
"""For each request, functions that bring it into the one form of all ways to say the same."""


def plain(message: M) -> M:
    """A copy of a request in canonical form: requests that mean the same have one form."""
    copy = type(message)()
    copy.CopyFrom(message)
    _floor_times(copy)
    for bring in SAME.get(type(message), ()):
        bring(copy)
    return copy


def _floor_times(message: Any) -> None:
    """Cuts all times to the microsecond, as they are read."""
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE or field.message_type.GetOptions().map_entry:
            continue
        for part in value if field.is_repeated else (value,):
            if field.message_type.full_name in _TIMES:
                part.nanos -= part.nanos % 1000
            else:
                _floor_times(part)


def differing_field(message: Message, first: bytes) -> str | None:
    """The first field in which a request differs from the bytes `first`.

    The result is None if both requests mean the same. Differences without a meaning are skipped.
    """
    other = type(message).FromString(first)
    if other == message:
        return None
    one, two = plain(message), plain(other)
    if one == two:
        return None
    sent, meant = _differing(message, other), _differing(one, two)
    if not meant:
        return "unknown_fields"
    # The end of a usage may be sent in one field and meant in another.
    return next((name for name in sent if name in meant), sent[0])


def _differing(one: Message, two: Message) -> list[str]:
    """The names of the fields in which two messages differ, in their order."""
    return [
        field.name
        for field in one.DESCRIPTOR.fields
        if (field.has_presence and one.HasField(field.name) != two.HasField(field.name))
        or getattr(one, field.name) != getattr(two, field.name)
    ]
