"""The messages that are kept in the database, read again for the verifier.

An answer is kept as long as its authorization, and so longer than its method may be there. Whoever
takes a method out of the contract's services leaves its response in the contract and names both in
`REMOVED`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from freehold.v1 import credit_service_pb2 as credit
from freehold.v1.authorization_pb2 import Authorization
from google.protobuf.message import DecodeError, Message

from service.engine.records.requests import TOMBSTONE
from service.rpc import authorization_service, collection_service, credit_service
from service.rpc.convert import STATE_OF

REMOVED: dict[str, type[Message]] = {}
"""The methods that were removed, each with its response."""

_RESPONSES: dict[str, type[Message]] = {
    it.name: it.response
    for service in (authorization_service, credit_service, collection_service)
    for it in service.MUTATIONS
}
_BULK = credit_service.PUT_USERS


def read_answer(method: str, answer: bytes) -> str | None:
    """The resource that a stored answer is about; None when it is about none.

    Raises ValueError for bytes that are no answer of the method.
    """
    if method == TOMBSTONE or (method == _BULK and not answer):
        return None
    kind = credit.CreditProfile if method == _BULK else _RESPONSES.get(method, REMOVED.get(method))
    if kind is None:
        raise ValueError(f"no method {method}")
    try:
        return _ABOUT[kind](kind.FromString(answer))
    except DecodeError as error:
        raise ValueError("not to be read") from error


def read_payload(payload: bytes) -> tuple[str, int, str, int, int, int, int, int]:
    """What an event's payload tells of its authorization: the name, the version, the state, and
    held on credit, held in cash, captured, due and owed back in minor units.

    Raises ValueError for bytes that are no authorization.
    """
    try:
        it = Authorization.FromString(payload)
    except DecodeError as error:
        raise ValueError("no authorization") from error
    return (
        it.name,
        it.version,
        STATE_OF.get(it.state, str(it.state)),
        it.held_credit.amount_minor,
        it.held_cash.amount_minor,
        it.captured.amount_minor,
        it.due.amount_minor,
        it.refund_payable.amount_minor,
    )


def _about(kind: type[Message]) -> Callable[[Any], str | None]:
    """What reads the resource out of an answer of this kind."""
    fields = kind.DESCRIPTOR.fields_by_name
    if "user_id" in fields:
        return lambda message: f"users/{message.user_id}"
    if "line" in fields:
        return lambda message: f"users/{message.line.user_id}"
    if "authorizations" in fields:
        return lambda message: message.authorizations[0].name if message.authorizations else ""
    if "authorization" not in fields:
        return lambda _: None
    name = attrgetter("authorization.name")
    if "tombstone" in fields:
        return lambda message: None if message.tombstone else name(message)
    return name


_KINDS: list[type[Message]] = [credit.CreditProfile, *_RESPONSES.values()]
_ABOUT = {kind: _about(kind) for kind in _KINDS}
