"""Random and mutated messages from seeds: never UNKNOWN, never INTERNAL, never a hang."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import grpc
import pytest
from freehold.v1.authorization_service_pb2 import AuthorizeGroupResponse, AuthorizeResponse
from freehold.v1.types_pb2 import Money
from google.protobuf.descriptor import FieldDescriptor as F
from google.protobuf.message import Message

from service.domain.errors import InvalidInput
from service.rpc.status import details_of
from service.rpc.validation import parse
from tests.rpc.examples import example
from tests.rpc.support import (
    FOLLOWING,
    NOWHERE,
    RPCS,
    Desks,
    Refused,
    outcome,
    set_name,
    together,
    user_with,
    yuan,
)

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
    """Gives fields random values of their types, mostly unusual ones."""
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.3:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            of = field.message_type.fields_by_name["value"]
            for _ in range(chance.randrange(4)):
                getattr(message, field.name)[chance.choice(STRINGS)] = value(of, chance)
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
    """A value that the field's type allows."""
    if field.type == F.TYPE_STRING:
        return chance.choice(STRINGS)
    if field.type == F.TYPE_BYTES:
        return chance.choice(STRINGS).encode()
    if field.type == F.TYPE_BOOL:
        return chance.random() < 0.5
    if field.type == F.TYPE_DOUBLE:
        return chance.choice(DOUBLES)
    number = chance.choice(INTEGERS)
    if field.type == F.TYPE_INT64:
        return number
    return max(-(2**31), min(2**31 - 1, number))


def mutate(body: bytes, chance: random.Random) -> bytes:
    """Changes, cuts, repeats and inserts bytes."""
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
    """Methods with bodies: random fields, mutated valid messages, or random bytes."""
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
    """Parses each body; raises anything that is not a message or an InvalidInput."""
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
    """Sends each body with the right key; every refusal must have its ErrorInfo."""
    seen: Counter[grpc.StatusCode] = Counter()
    for name, body in made:
        result = outcome(partial(desk.caller_for(name).send, name, body))
        if isinstance(result, Refused):
            assert result.reason, (name, body)
            unsigned = name == "ReportTransfer" and result.code is UNAUTHENTICATED
            assert result.code not in BUGS or unsigned, (name, body, str(result))
            seen[result.code] += 1
        else:
            RPCS[name].response.FromString(result)
            seen[grpc.StatusCode.OK] += 1
    return seen


UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
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
    """Any bytes parse to a message or to INVALID_ARGUMENT."""
    seen = check_in_process(bodies(IN_PROCESS, seed))
    assert set(seen) == {"OK", "INVALID_INPUT", "MALFORMED_MESSAGE"}


def test_any_bytes_over_the_wire_are_answered(desk: Desks) -> None:
    """Any bytes over the wire are answered with OK or a refusal with its reason, and the books
    verify."""
    seen = check_over_the_wire(desk, bodies(OVER_THE_WIRE, SEED))
    assert seen[grpc.StatusCode.INVALID_ARGUMENT] > seen[grpc.StatusCode.OK] > 0
    assert desk.platform.verify().verified


def plausible(desk: Desks, names: list[str], chance: random.Random) -> tuple[str, Message]:
    """A valid call about few people, items, payments and request ids, so that calls compete."""

    def pick(prefix: str, count: int) -> str:
        return f"{prefix}-{chance.randrange(count)}"

    # Half of the calls begin or continue rentals, so that the other half has rentals to use.
    method = chance.choice(RENTING if chance.random() < 0.5 else PLAUSIBLE)
    request: Any = RPCS[method].request()
    fields = request.DESCRIPTOR.fields_by_name
    for field, value in (
        ("request_id", pick("id", 400)),
        ("user_id", pick("fuzzed", PEOPLE)),
        ("payment_reference", pick("pay", 200)),
        ("product_id", chance.choice(("bike", "umbrella", "power-bank", "boat"))),
        ("evidence", "case"),
        ("operator_id", chance.choice(("city", "harbour", "nobody"))),
        ("start", chance.choice((0, 1, 1, 2))),
        ("standing", chance.choice((1, 1, 1, 1, 1, 2, 3))),
        ("outcome", chance.randrange(1, 4)),
        ("verdict", chance.randrange(1, 3)),
    ):
        if field in fields:
            setattr(request, field, value)
    name = chance.choice(names[-8:]) if names else NOWHERE
    if method in FOLLOWING:
        set_name(method, request, name)
    elif "name" in fields:
        request.name = name
    if "asset_id" in fields and chance.random() < 0.6:
        request.asset_id = pick("asset", 4)
    if "expected_version" in fields and chance.random() < 0.3:
        request.expected_version = chance.randrange(1, 5)
    for field in ("amount", "paid"):
        if field in fields:
            getattr(request, field).CopyFrom(some_money(chance))
    if "limit" in fields and chance.random() < 0.8:
        request.limit.CopyFrom(yuan(chance.choice((0, 10_000, 10**6))))
    if "occurred_at" in fields and chance.random() < 0.3:
        about_us = desk.served.clock.now_us() - chance.choice((-1, 0, 1, 90_000)) * 1_000_000
        request.occurred_at.FromMicroseconds(about_us)
    match method:
        case "Authorize" | "AuthorizeGroup":
            if chance.random() < 0.2:
                request.accept_offers.extend(chance.sample((1, 2, 3), chance.randrange(4)))
            if chance.random() < 0.3:
                request.pickup_window.nanos = chance.randrange(1, 10**9)
            if chance.random() < 0.3:
                request.rental_period.seconds = chance.randrange(1, 10**5)
            if method == "AuthorizeGroup":
                for _ in range(chance.randrange(1, 4)):
                    request.items.add(product_id="umbrella", asset_id=pick("asset", 9))
            elif names and chance.random() < 0.1:
                request.parent = chance.choice(names)
                request.user_id = request.parent.split("/")[1]
            elif chance.random() < 0.95:
                request.ClearField("amount")
        case "ExtendRental":
            request.duration.seconds = chance.choice((1, 3_600, 10**6))
        case "IncrementAuthorization" if chance.random() < 0.7:
            request.ClearField("paid")
            request.ClearField("payment_reference")
        case "SettleAuthorization":
            request.final = chance.random() < 0.5
            if chance.random() < 0.4:
                request.usage.SetInParent()
        case "ReverseAuthorization" if chance.random() < 0.5:
            request.origin.user_id = pick("fuzzed", PEOPLE)
            request.origin.authorize_request_id = pick("id", 400)
        case "PutUsers":
            score = chance.choice((300.0, 510.0, 560.0, 620.0, 800.0))
            user = user_with(pick("fuzzed", PEOPLE), score, consent=chance.random() < 0.9)
            request.users.append(user)
        case "AdvanceClock":
            seconds = chance.choice((0, 1, 60, 60, 1_000, 1_000, 100_000))
            request.now.FromMicroseconds(desk.served.clock.now_us() + seconds * 1_000_000)
    return method, request


RENTING = ("Authorize", "SettleAuthorization", "ConfirmAuthorization", "StartRental")
# Reading the whole books, and a rail's signature, have their own tests.
PEOPLE = 12
PLAUSIBLE = sorted(set(NAMES) - {"VerifyBooks", "ReportTransfer"})


def some_money(chance: random.Random) -> Money:
    """An amount that is about right, far too large, or in another currency."""
    return Money(
        currency_code=chance.choices(("CNY", "USD"), (20, 1))[0],
        amount_minor=chance.choice((0, 1, 1, 1, 99, 150, 2_950, 9_950, 19_900, 19_901, 10**12)),
    )


def granted(method: str, answer: bytes) -> list[str]:
    """The names in the answer of Authorize or AuthorizeGroup."""
    if method == "Authorize":
        return [AuthorizeResponse.FromString(answer).authorization.name]
    if method == "AuthorizeGroup":
        return [it.name for it in AuthorizeGroupResponse.FromString(answer).authorizations]
    return []


def test_any_order_of_calls_keeps_the_books(desk: Desks) -> None:
    """Calls in any order from several clients end with OK or a refusal with its reason; the books
    verify."""

    done: Counter[str] = Counter()

    def client(seed: int) -> Counter[grpc.StatusCode]:
        chance, seen, names = random.Random(seed), Counter[grpc.StatusCode](), list[str]()
        for _ in range(250):
            method, request = plausible(desk, names, chance)
            result = outcome(partial(desk.caller_for(method).send, method, request))
            if isinstance(result, Refused):
                assert result.reason
                assert result.code not in BUGS, (method, request, str(result))
                seen[result.code] += 1
                continue
            seen[grpc.StatusCode.OK] += 1
            names += granted(method, result)
            done[method] += 1
        return seen

    desk.platform.put(*(user_with(f"fuzzed-{number}", 620) for number in range(PEOPLE)))
    results = together([partial(client, SEED + number) for number in range(4)])
    seen = sum((it for it in results if isinstance(it, Counter)), Counter[grpc.StatusCode]())
    assert seen.total() == 1_000
    assert seen[grpc.StatusCode.OK] > 100
    assert len(done) > 15, done
    assert seen[grpc.StatusCode.ALREADY_EXISTS] > 0
    assert seen[grpc.StatusCode.FAILED_PRECONDITION] > 0
    books = desk.platform.verify()
    assert books.verified, books
