"""Parses a call's bytes and checks them against the rules that stand in the contract."""

from __future__ import annotations

from typing import TypeVar

import protovalidate
from google.protobuf.message import DecodeError, Message

from service.domain.errors import InvalidInput, Violation

M = TypeVar("M", bound=Message)

_validator = protovalidate.Validator()

MALFORMED_MESSAGE = "MALFORMED_MESSAGE"
"""The reason of the refusal of bytes that are no message."""

RULES_BELOW = frozenset({"amount_minor.positive"})
"""Rules that stand at a field of the contract and begin with the name of a field below it."""


def parse(kind: type[M], body: bytes) -> M:
    """The message in `body`; raises InvalidInput naming every field that breaks a rule."""
    try:
        message = kind.FromString(body)
    except (DecodeError, ValueError, RecursionError) as error:
        raise InvalidInput([], reason=MALFORMED_MESSAGE) from error
    violations = _validator.collect_violations(message)
    if violations:
        raise InvalidInput([_violation(violation) for violation in violations])
    return message


def _violation(violation: protovalidate.Violation) -> Violation:
    proto = violation.proto
    path = ""
    for element in proto.field.elements if proto.field else ():
        path += ("." if path else "") + element.field_name
        subscript = element.subscript
        if subscript is not None:
            path += f"[{subscript.value!r}]"
    if path and proto.rule_id in RULES_BELOW:
        # A rule about a part of the field's message: the part is what is wrong.
        path += "." + proto.rule_id.partition(".")[0]
    return Violation(path or "message", proto.rule_id, proto.message or proto.rule_id)


def differing_field(message: Message, first: bytes) -> str | None:
    """The first field in which a message differs from another of its kind, given as bytes; None
    if they mean the same."""
    other = type(message).FromString(first)
    if other == message:
        return None
    for descriptor in message.DESCRIPTOR.fields:
        name = descriptor.name
        present = descriptor.has_presence
        if present and message.HasField(name) != other.HasField(name):
            return name
        if getattr(message, name) != getattr(other, name):
            return name
    return "unknown_fields"
