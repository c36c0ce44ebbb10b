"""Random and mutated messages, seeded: never UNKNOWN, never INTERNAL, never a hang."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor as F
from google.protobuf.message import Message

from service.domain.errors import InvalidInput
from service.rpc.status import details_of
from service.rpc.validation import parse
from tests.rpc.support import NOWHERE, RPCS, Desks, Refused, example, outcome

SEED = 20_260_601
IN_PROCESS = 4_000
OVER_THE_WIRE = 400
NAMES = sorted(RPCS)
STRINGS = (
    "",
    "a",
    "somebody",
    "example",
    NOWHERE,
    "bike",
    "umbrella",
    "CNY",
    "USD",
    "score",
    "é",
    "\0",
    "a\0b",
    "\n",
    "x" * 64,
    "x" * 65,
    "../../etc",
    "\U0010ffff",
    "%s%n",
    "' OR 1=1",
    "W10=",
)
INTEGERS = (0, 1, -1, 2, 3, 50, 1000, 10**12, 10**12 + 1, 2**31 - 1, -(2**31), 2**62, 2**63 - 1)
DOUBLES = (0.0, -0.0, 1.0, 600.0, float("nan"), float("inf"), float("-inf"), 1e308, 5e-324)


def fill(message: Any, chance: random.Random) -> None:
    """Gives fields random values of their types, the odd ones more often than not."""
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.3:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for _ in range(chance.randrange(4)):
                getattr(message, field.name)[chance.choice(STRINGS)] = chance.choice(DOUBLES)
        elif field.is_repeated and field.message_type is not None:
            for _ in range(chance.randrange(4)):
                fill(getattr(message, field.name).add(), chance)
        elif field.is_repeated:
            getattr(message, field.name).extend(
                value(field, chance) for _ in range(chance.randrange(5))
            )
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), chance)
        else:
            setattr(message, field.name, value(field, chance))


def value(field: Any, chance: random.Random) -> Any:
    """A value that the field's type can carry."""
    if field.type == F.TYPE_STRING:
        return chance.choice(STRINGS)
    if field.type == F.TYPE_BOOL:
        return chance.random() < 0.5
    if field.type == F.TYPE_DOUBLE:
        return chance.choice(DOUBLES)
    number = chance.choice(INTEGERS)
    if field.type == F.TYPE_INT64:
        return number
    return max(-(2**31), min(2**31 - 1, number))


def mutate(body: bytes, chance: random.Random) -> bytes:
    """Flips, cuts, repeats and inserts bytes."""
    data = bytearray(body or b"\n\x01a")
    for _ in range(chance.randrange(1, 5)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0 if place < len(data):
                data[place] ^= 1 << chance.randrange(8)
            case 1:
                del data[place : place + chance.randrange(1, 9)]
            case 2:
                data[place:place] = chance.randbytes(chance.randrange(1, 9))
            case 3:
                data[place:place] = data[: chance.randrange(len(data) + 1)]
            case _ if place < len(data):
                data[place] = chance.choice((0, 0x7F, 0x80, 0xFF))
        data = data or bytearray(b"\xff")
    return bytes(data)


def bodies(count: int, seed: int) -> list[tuple[str, bytes]]:
    """Methods with bodies: filled at random, or good ones mutated, or nothing but noise."""
    chance = random.Random(seed)
    made: list[tuple[str, bytes]] = []
    for _ in range(count):
        name = chance.choice(NAMES)
        kind = chance.random()
        if kind < 0.5:
            message: Message = RPCS[name].request()
            fill(message, chance)
            body = message.SerializeToString()
        elif kind < 0.9:
            body = mutate(example(name).SerializeToString(), chance)
        else:
            body = chance.randbytes(chance.randrange(200))
        made.append((name, body))
    return made


def check_in_process(made: Sequence[tuple[str, bytes]]) -> Counter[str]:
    """Parses each body; anything but a message or an InvalidInput is raised."""
    seen: Counter[str] = Counter()
    refused: list[InvalidInput] = []
    for name, body in made:
        try:
            parse(RPCS[name].request, body)
        except InvalidInput as error:
            refused.append(error)
            seen[error.reason] += 1
        else:
            seen["OK"] += 1
    assert all(details_of(error) for error in refused)
    return seen


def check_over_the_wire(desk: Desks, made: Sequence[tuple[str, bytes]]) -> Counter[grpc.StatusCode]:
    """Sends each body with the right key; every refusal has its ErrorInfo."""
    seen: Counter[grpc.StatusCode] = Counter()
    for name, body in made:
        result = outcome(partial(desk.caller_for(name).send, name, body))
        if isinstance(result, Refused):
            assert result.reason, (name, body)
            assert result.code not in BUGS, (name, body, str(result))
            seen[result.code] += 1
        else:
            RPCS[name].response.FromString(result)
            seen[grpc.StatusCode.OK] += 1
    return seen


BUGS = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
}


@pytest.mark.parametrize("seed", range(SEED, SEED + 2))
def test_any_bytes_are_a_message_or_invalid(seed: int) -> None:
    """Whatever the bytes are, parsing them gives a message or INVALID_ARGUMENT."""
    seen = check_in_process(bodies(IN_PROCESS, seed))
    assert set(seen) == {"OK", "INVALID_INPUT", "MALFORMED_MESSAGE"}


def test_any_bytes_over_the_wire_are_answered(desk: Desks) -> None:
    """Whatever is sent, the answer is OK or a refusal with its reason, and the books verify."""
    seen = check_over_the_wire(desk, bodies(OVER_THE_WIRE, SEED))
    assert seen[grpc.StatusCode.INVALID_ARGUMENT] > seen[grpc.StatusCode.OK] > 0
    assert desk.platform.verify().verified
