"""Parses a call's bytes and checks them against the contract's rules."""

from __future__ import annotations

from typing import TypeVar

import protovalidate
from google.protobuf.message import DecodeError, Message

from service.domain.errors import InvalidInput, Violation

M = TypeVar("M", bound=Message)

_validator = protovalidate.Validator()

MALFORMED_MESSAGE = "MALFORMED_MESSAGE"
"""The reason of an error for bytes that are not a message."""

RULES_BELOW = frozenset({"amount_minor.positive"})
"""Rules at a field of the contract that are about a part of it; their ids begin with that part."""


def parse(kind: type[M], body: bytes) -> M:
    """The message in `body`. Raises InvalidInput with every field that breaks a rule."""
    try:
        message = kind.FromString(body)
    except (DecodeError, ValueError, RecursionError) as error:
        raise InvalidInput([], reason=MALFORMED_MESSAGE) from error
    check(message)
    return message


def check(message: Message) -> None:
    """Raises InvalidInput with every field of the message that breaks a rule."""
    violations = _validator.collect_violations(message)
    if violations:
        raise InvalidInput([_violation(violation) for violation in violations])


def _violation(violation: protovalidate.Violation) -> Violation:
    proto = violation.proto
    path = ""
    for element in proto.field.elements if proto.field else ():
        path += ("." if path else "") + element.field_name
        subscript = element.subscript
        if subscript is not None:
            path += f"[{subscript.value!r}]"
    if path and proto.rule_id in RULES_BELOW:
        # The rule is about a part of the field's message, so the violation names the part.
        path += "." + proto.rule_id.partition(".")[0]
    return Violation(path or "message", proto.rule_id, proto.message or proto.rule_id)
