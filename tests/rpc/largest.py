"""The largest message that the contract's rules allow, made from the rules themselves."""

from __future__ import annotations

import re
from re import _constants as parts  # type: ignore[attr-defined]
from re import _parser as patterns  # type: ignore[attr-defined]
from typing import Any

from buf.validate import validate_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

FOUR_BYTES = "\U0001f6b2"
"""A character of four bytes in UTF-8, the most that one has."""
LAST_SECOND = 253_402_300_799


def largest(kind: type[Message]) -> Any:
    """A message with every field as long as its rules allow, and of a oneof the longest one."""
    made = kind()
    _fill(made, kind.DESCRIPTOR)
    return made


def _fill(message: Any, descriptor: Any) -> None:
    chosen = {
        it.name: max(it.fields, key=lambda field: _alone(descriptor, field)).name
        for it in descriptor.oneofs
        if len(it.fields) > 1
    }
    for field in descriptor.fields:
        oneof = field.containing_oneof
        if oneof is None or chosen.get(oneof.name, field.name) == field.name:
            _put(message, field)


def _alone(descriptor: Any, field: Any) -> int:
    """The size of a message with this field alone."""
    made = message_factory.GetMessageClass(descriptor)()
    _put(made, field)
    return int(made.ByteSize())


def _put(message: Any, field: Any) -> None:
    rules: Any = field.GetOptions().Extensions[validate_pb2.field]
    values = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, of_texts = _text(rules.map.keys), rules.map.values.HasField("string")
        value = _text(rules.map.values) if of_texts else 1.5
        for number in range(rules.map.max_pairs):
            values[_numbered(key, number)] = value
    elif field.is_repeated and field.message_type is not None:
        for number in range(rules.repeated.max_items):
            item = values.add()
            _fill(item, field.message_type)
            if "user_id" in field.message_type.fields_by_name:
                item.user_id = _numbered(item.user_id, number)
    elif field.is_repeated and field.enum_type is not None:
        values.extend(range(1, rules.repeated.max_items + 1))
    elif field.is_repeated and field.type == FieldDescriptor.TYPE_INT64:
        values.extend(2**63 - 1 - it for it in range(rules.repeated.max_items))
    elif field.is_repeated:
        item = _text(rules.repeated.items)
        values.extend(_numbered(item, number) for number in range(rules.repeated.max_items))
    elif field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            values.seconds = (rules.timestamp.lt.seconds or LAST_SECOND + 1) - 1
            values.nanos = 999_999_999
        elif field.message_type.full_name == "google.protobuf.Duration":
            values.seconds, values.nanos = rules.duration.lte.seconds - 1, 999_999_999
        else:
            values.SetInParent()
            _fill(values, field.message_type)
    else:
        setattr(message, field.name, _scalar(field, rules))


def _scalar(field: Any, rules: Any) -> Any:
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return _text(rules)
        case FieldDescriptor.TYPE_BYTES:
            return b"x" * (rules.bytes.len or rules.bytes.max_len)
        case FieldDescriptor.TYPE_BOOL:
            return True
        case FieldDescriptor.TYPE_ENUM:
            numbers = (value.number for value in reversed(field.enum_type.values))
            allowed = getattr(rules.enum, "in")
            return next(
                it
                for it in numbers
                if it not in rules.enum.not_in and (it in allowed or not allowed)
            )
        case FieldDescriptor.TYPE_INT64:
            # A negative number takes ten bytes.
            return rules.int64.gte if rules.int64.gte < 0 else rules.int64.lte or 2**63 - 1
        case FieldDescriptor.TYPE_INT32:
            return rules.int32.lte
    raise TypeError(f"no largest value is known for {field.full_name}")


def _text(rules: Any) -> str:
    """The longest text of a rule, in bytes."""
    if rules.string.max_len:
        return FOUR_BYTES * int(rules.string.max_len)
    return _matching(patterns.parse(rules.string.pattern))


def _matching(tree: Any) -> str:
    """The longest text of a pattern."""
    text = ""
    for kind, value in tree:
        match kind:
            case parts.LITERAL:
                text += chr(value)
            case parts.IN:
                negated = value[0][0] is parts.NEGATE
                text += FOUR_BYTES if negated else _one_of(value[-1])
            case parts.MAX_REPEAT:
                _, longest, inner = value
                text += _matching(inner) * int(longest)
            case parts.SUBPATTERN:
                text += _matching(value[-1])
            case parts.BRANCH:
                text += max(map(_matching, value[-1]), key=len)
            case parts.AT:
                pass
            case other:
                raise TypeError(f"no longest text is known for {other}")
    return text


def _one_of(member: Any) -> str:
    kind, value = member
    return chr(value[1]) if kind is parts.RANGE else chr(value)


def _numbered(text: str, number: int) -> str:
    """A text of the same length that ends with this number."""
    return re.sub(".{4}$", f"{number:04}", text)
