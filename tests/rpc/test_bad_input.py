"""The contract's table of bad input, over the wire, for every method that it applies to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    ReverseAuthorizationRequest,
    SettleAuthorizationRequest,
)
from freehold.v1.credit_service_pb2 import GetCreditProfileRequest, PutUsersRequest, User
from freehold.v1.sandbox_service_pb2 import AdvanceClockRequest
from freehold.v1.types_pb2 import (
    OFFER_FULL,
    OFFER_REDUCED,
    OFFER_UNSPECIFIED,
    OFFER_ZERO,
    Money,
)
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from service.config import KIB, MIB
from service.storage import admin
from tests.fakes import START_US
from tests.rpc.support import (
    BIKE_MINOR,
    NOWHERE,
    OPERATOR_RPCS,
    PLATFORM_RPCS,
    RPCS,
    START_S,
    Caller,
    Desks,
    Refused,
    example,
    outcome,
    until,
    user_with,
    yuan,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
EVERY = sorted(RPCS)
WELL_KNOWN = ("google.protobuf.Timestamp", "google.protobuf.Duration")
REQUIRED = {
    "Authorize": {"request_id", "user_id", "product_id"},
    "ConfirmAuthorization": {"request_id", "name", "payment_reference", "paid"},
    "StartRental": {"request_id", "name"},
    "GetAuthorization": {"name"},
    "ListAuthorizations": set(),
    "SettleAuthorization": {"request_id", "name", "amount"},
    "ReverseAuthorization": {"request_id", "target"},
    "PutUsers": {"request_id", "users"},
    "GetCreditProfile": {"user_id"},
    "RecordPayment": {"request_id", "authorization", "payment_reference", "amount"},
    "VerifyBooks": set(),
    "AdvanceClock": {"now"},
}
TAKING_A_NAME = (
    "ConfirmAuthorization",
    "StartRental",
    "GetAuthorization",
    "SettleAuthorization",
    "ReverseAuthorization",
)


class Leaf(NamedTuple):
    """One scalar of an example: its path, its kind, and how to give it another value."""

    method: str
    path: str
    kind: int
    put: Callable[[Message, Any], None]


def _owner(message: Any, steps: tuple[tuple[str, int | None], ...]) -> Any:
    for name, index in steps:
        message = getattr(message, name) if index is None else getattr(message, name)[index]
    return message


def leaves(method: str, sample: Message) -> Iterator[Leaf]:
    """Every scalar of a message, Timestamp and Duration counted as one, maps left out."""
    yield from _leaves(method, sample, (), "")


def _leaves(
    method: str, message: Any, steps: tuple[tuple[str, int | None], ...], prefix: str
) -> Iterator[Leaf]:
    for field, value in message.ListFields():
        path = prefix + field.name
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if field.message_type is not None and field.message_type.full_name in WELL_KNOWN:

            def put_time(root: Message, new: int, name: str = field.name) -> None:
                getattr(_owner(root, steps), name).seconds = new

            yield Leaf(method, path, FieldDescriptor.TYPE_MESSAGE, put_time)
        elif field.message_type is not None and field.is_repeated:
            for place, item in enumerate(value):
                yield from _leaves(method, item, (*steps, (field.name, place)), f"{path}[{place}].")
        elif field.message_type is not None:
            yield from _leaves(method, value, (*steps, (field.name, None)), f"{path}.")
        elif field.is_repeated:
            for place in range(len(value)):

                def put_item(
                    root: Message, new: Any, name: str = field.name, place: int = place
                ) -> None:
                    getattr(_owner(root, steps), name)[place] = new

                yield Leaf(method, f"{path}[{place}]", field.type, put_item)
        else:

            def put_value(root: Message, new: Any, name: str = field.name) -> None:
                setattr(_owner(root, steps), name, new)

            yield Leaf(method, path, field.type, put_value)


LEAVES = [leaf for name in EVERY for leaf in leaves(name, example(name))]
BAD: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.TYPE_STRING: ("a\0b", "x" * 300, "é", "a b", "abc\n", "a/b/c", "' OR 1=1 --"),
    FieldDescriptor.TYPE_ENUM: (99, -1),
    FieldDescriptor.TYPE_INT64: (-1, -(2**63)),
    FieldDescriptor.TYPE_INT32: (-1, 2**31 - 1),
    FieldDescriptor.TYPE_MESSAGE: (-1, -(2**63)),
}


def cases() -> Iterator[Any]:
    """Each leaf with each value that is bad for its kind."""
    for leaf in LEAVES:
        bad = BAD.get(leaf.kind, ())
        if leaf.path.endswith("amount_minor"):
            bad = (*bad, 10**12 + 1, 2**63 - 1)
        if leaf.path.endswith("expected_version"):
            bad = (*bad, 0)
        if leaf.path.endswith("currency_code"):
            bad = (*bad, "", "cny", "CNYY")
        if leaf.path.endswith("pickup_window"):
            bad = (*bad, 0, 604_801, 2**62)
        if leaf.path == "now":
            bad = (*bad, 7_258_118_400, 2**62)
        if leaf.path.endswith("as_of"):
            bad = tuple(value for value in bad if value < 0)
        for value in bad:
            yield pytest.param(leaf, value, id=f"{leaf.method}-{leaf.path}-{str(value)[:12]!r}")


def violated(caller: Caller, method: str, request: Message | bytes) -> set[str]:
    """The fields that a call was refused for."""
    refusal = caller.refused(method, request)
    assert refusal.code is INVALID
    assert refusal.reason == "INVALID_INPUT"
    return refusal.fields


@pytest.mark.parametrize(("leaf", "value"), list(cases()))
def test_bad_value_names_its_field(desk: Desks, leaf: Leaf, value: Any) -> None:
    """A value out of form or range is INVALID_ARGUMENT with a violation at exactly its field."""
    request = example(leaf.method)
    leaf.put(request, value)
    assert violated(desk.caller_for(leaf.method), leaf.method, request) == {leaf.path}


@pytest.mark.parametrize("method", EVERY)
def test_every_bad_field_is_named(desk: Desks, method: str) -> None:
    """When every field is bad, every field is named, each by its own path."""
    request = example(method)
    expected: set[str] = set()
    for leaf in (leaf for leaf in LEAVES if leaf.method == method and leaf.kind in BAD):
        value = BAD[leaf.kind][0]
        if leaf.kind == FieldDescriptor.TYPE_ENUM:
            value = 99 + len(expected)  # none twice, which would be a further fault
        if leaf.kind == FieldDescriptor.TYPE_STRING:
            value = "\0" * 300
        leaf.put(request, value)
        expected.add(leaf.path)
    if expected:
        assert violated(desk.caller_for(method), method, request) == expected


def test_only_flags_have_no_rule() -> None:
    """Every field of every request has an input rule, except booleans, which cannot be wrong."""
    free = {leaf.kind for leaf in LEAVES if leaf.kind not in BAD}
    assert free == {FieldDescriptor.TYPE_BOOL}


@pytest.mark.parametrize("method", EVERY)
def test_empty_message_names_what_is_required(desk: Desks, method: str) -> None:
    """An empty message is refused with a violation for each required field."""
    if REQUIRED[method]:
        assert violated(desk.caller_for(method), method, b"") == REQUIRED[method]
    else:
        desk.caller_for(method).send(method, b"")


@pytest.mark.parametrize(
    ("method", "field"), [(name, field) for name in EVERY for field in sorted(REQUIRED[name])]
)
def test_missing_field_is_named(desk: Desks, method: str, field: str) -> None:
    """A single required field left out is the single field that is named."""
    request = example(method)
    request.ClearField("name" if field == "target" else field)
    assert violated(desk.caller_for(method), method, request) == {field}


@pytest.mark.parametrize("field", ["user_id", "authorize_request_id"])
@pytest.mark.parametrize("value", ["", "a\0b", "x" * 65])
def test_origin_fields_are_named(desk: Desks, field: str, value: str) -> None:
    """A bad field of a reversal's origin is named with its path from the request."""
    origin = ReverseAuthorizationRequest.Origin(user_id="u", authorize_request_id="r")
    setattr(origin, field, value)
    request = ReverseAuthorizationRequest(request_id="r", origin=origin)
    assert violated(desk.operator, "ReverseAuthorization", request) == {f"origin.{field}"}


def test_offers_are_taken_once_and_never_unspecified(desk: Desks) -> None:
    """Accepted offers named twice, or too many, or unspecified, are refused."""
    one, two, three = OFFER_ZERO, OFFER_REDUCED, OFFER_FULL
    for offers, fields in (
        ([one, one], {"accept_offers"}),
        ([OFFER_UNSPECIFIED], {"accept_offers[0]"}),
        ([one, two, three, one], {"accept_offers"}),
    ):
        request = AuthorizeRequest(
            request_id="r", user_id="u", product_id="bike", accept_offers=offers
        )
        assert violated(desk.operator, "Authorize", request) == fields


# -- PutUsers ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_features_are_finite(desk: Desks, value: float) -> None:
    """NaN and infinities are refused with the path of the feature."""
    request = PutUsersRequest(request_id="r", users=[user_with("a", 600), user_with("b", value)])
    assert violated(desk.platform, "PutUsers", request) == {"users[1].features['score']"}


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 65, "é", "two words"])
def test_feature_names_have_a_form(desk: Desks, name: str) -> None:
    """A feature's name out of form is refused with its path."""
    user = user_with("a", 600)
    user.features[name] = 1.0
    request = PutUsersRequest(request_id="r", users=[user])
    assert violated(desk.platform, "PutUsers", request) == {f"users[0].features[{name!r}]"}


def test_unknown_features_and_double_people_are_named_together(desk: Desks) -> None:
    """Features that the model does not know and people named twice are refused, all at once."""
    strange = user_with("a", 600)
    strange.features["height"] = 1.0
    request = PutUsersRequest(request_id="r", users=[strange, user_with("a", 600)])
    assert violated(desk.platform, "PutUsers", request) == {
        "users[0].features['height']",
        "users[1].user_id",
    }


def test_bulk_has_a_size(desk: Desks) -> None:
    """More than a thousand people in one call are refused."""
    people = [user_with(f"many-{n}", 600) for n in range(1001)]
    request = PutUsersRequest(request_id="r", users=people)
    assert violated(desk.platform, "PutUsers", request) == {"users"}


def test_as_of_is_required_of_each_person(desk: Desks) -> None:
    """A person without the instant of the features is refused with the person's place."""
    request = PutUsersRequest(request_id="r", users=[user_with("a", 600), User(user_id="b")])
    assert violated(desk.platform, "PutUsers", request) == {"users[1].as_of"}


def test_the_future_cannot_be_known(desk: Desks) -> None:
    """Features that were true only in the future are refused, and nobody is registered."""
    user_id = desk.platform.fresh("seer")
    request = PutUsersRequest(
        request_id=desk.platform.fresh(), users=[user_with(user_id, 600, as_of_s=4_102_444_800)]
    )
    refusal = desk.platform.refused("PutUsers", request)
    assert refusal.code is INVALID
    assert {field.rpartition(".")[2] for field in refusal.fields} == {"as_of"}
    with pytest.raises(Refused, match="NOT_FOUND"):
        desk.platform.profile(user_id)


# -- bytes ---------------------------------------------------------------------------------

GROUP_START, GROUP_END = b"\xa3\x06", b"\xa4\x06"
JUNK = {
    "junk": b"\xff\xff\xff\xff",
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "field zero": b"\x00",
    "cut short": b"\x0a\x7f\x41",
    "length beyond": b"\x0a\xff\xff\xff\xff\x0f",
    "varint of eleven bytes": b"\x08" + b"\xff" * 10 + b"\x01",
    "nested over a hundred": GROUP_START * 150 + GROUP_END * 150,
    "group without an end": GROUP_START,
    "end without a group": GROUP_END,
    "wrong end of a group": GROUP_START + b"\xac\x06",
}


def malformed(caller: Caller, method: str, body: bytes) -> None:
    refusal = caller.refused(method, body)
    assert refusal.code is INVALID
    assert refusal.reason == "MALFORMED_MESSAGE"


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("junk", sorted(JUNK))
def test_junk_is_malformed(desk: Desks, method: str, junk: str) -> None:
    """Bytes that are no protobuf message are INVALID_ARGUMENT, never INTERNAL."""
    malformed(desk.caller_for(method), method, JUNK[junk])


STRINGS = [leaf for leaf in LEAVES if leaf.kind == FieldDescriptor.TYPE_STRING]


@pytest.mark.parametrize("leaf", STRINGS, ids=lambda leaf: f"{leaf.method}-{leaf.path}")
@pytest.mark.parametrize(
    "bad", [b"\xff" * 6, b"\xc0\x80aaaa", b"\xed\xa0\x80aaa", b"aaaaa\xe4", b"\xf5\x80\x80\x80aa"]
)
def test_bad_utf8_is_malformed(desk: Desks, leaf: Leaf, bad: bytes) -> None:
    """A string that is not UTF-8 is INVALID_ARGUMENT in whichever field it stands."""
    request = example(leaf.method)
    leaf.put(request, "MARKER")
    body = request.SerializeToString()
    assert body.count(b"MARKER") == 1
    malformed(desk.caller_for(leaf.method), leaf.method, body.replace(b"MARKER", bad))


def test_unknown_fields_are_let_through(desk: Desks) -> None:
    """Fields that this server does not know yet do not break a call."""
    user_id = desk.platform.person()
    request = AuthorizeRequest(
        request_id=desk.operator.fresh(), user_id=user_id, product_id="umbrella"
    )
    desk.operator.send("Authorize", request.SerializeToString() + b"\xf8\x3f\x01")


@pytest.mark.parametrize("method", EVERY)
def test_a_message_above_its_limit_is_refused(desk: Desks, method: str) -> None:
    """A message above the service's limit (64 KiB, bulk 4 MiB) is RESOURCE_EXHAUSTED."""
    # An unknown field of bytes, so that nothing but its size is wrong.
    limit = 4 * MIB if method == "PutUsers" else 64 * KIB
    caller = desk.caller_for(method)
    refusal = caller.refused(method, padded(example(method), limit + 1))
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    if method != "PutUsers":  # the bulk limit is the transport's own, which has no details
        assert refusal.reason == "MESSAGE_TOO_LARGE"
    result = outcome(lambda: caller.send(method, padded(example(method), limit)))
    assert isinstance(result, bytes) or result.code is not grpc.StatusCode.RESOURCE_EXHAUSTED


def padded(message: Message, size: int) -> bytes:
    """A message's bytes with an unknown field that makes them exactly this long."""
    body = message.SerializeToString()
    head = b"\xc2\x3e"  # field 1000, bytes
    for length_bytes in range(1, 6):
        length = size - len(body) - len(head) - length_bytes
        varint = b""
        rest = length
        while True:
            varint += bytes([rest & 0x7F | (0x80 if rest > 0x7F else 0)])
            rest >>= 7
            if not rest:
                break
        if len(varint) == length_bytes:
            return body + head + varint + b"x" * length
    raise AssertionError(size)


@pytest.mark.parametrize("method", EVERY)
def test_five_mebibytes_are_refused(desk: Desks, method: str) -> None:
    """A message of 5 MiB is RESOURCE_EXHAUSTED everywhere, and the connection goes on."""
    caller = desk.caller_for(method)
    refusal = caller.refused(method, padded(example(method), 5 * MIB))
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    caller.refused(method, b"\xff")


# -- keys ----------------------------------------------------------------------------------

BAD_KEYS = {
    "none": ((), "KEY_MISSING"),
    "empty": ((("authorization", ""),), "KEY_MALFORMED"),
    "basic": ((("authorization", "Basic Y2l0eTpjaXR5"),), "KEY_MALFORMED"),
    "bare": ((("authorization", "fh_0123456789"),), "KEY_MALFORMED"),
    "no key": ((("authorization", "Bearer "),), "KEY_UNKNOWN"),
    "unknown": ((("authorization", "Bearer fh_0123456789"),), "KEY_UNKNOWN"),
    "long": ((("authorization", "Bearer " + "x" * 4000),), "KEY_UNKNOWN"),
    "other header": ((("x-api-key", "fh_0123456789"),), "KEY_MISSING"),
}


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("bad", sorted(BAD_KEYS))
def test_without_a_good_key_nobody_is_served(desk: Desks, method: str, bad: str) -> None:
    """No key, a malformed one and an unknown one are UNAUTHENTICATED, whatever the message."""
    metadata, reason = BAD_KEYS[bad]
    for body in (example(method), b"\xff"):
        refusal = desk.operator.refused(method, body, metadata=metadata)
        assert refusal.code is grpc.StatusCode.UNAUTHENTICATED
        assert refusal.reason == reason


def test_a_revoked_key_ends(desk: Desks) -> None:
    """A revoked key is UNAUTHENTICATED within the time that keys are believed."""
    key = "fh_to-be-revoked"
    engine = desk.served.store.engine
    admin.add_key(engine, key, "city", START_US)
    caller = Caller(desk.served.address, key)
    try:
        caller.page()
        admin.revoke_key(engine, key, START_US)

        def ended() -> bool:
            result = outcome(caller.page)
            if not isinstance(result, Refused):
                return False
            assert result.code is grpc.StatusCode.UNAUTHENTICATED
            assert result.reason == "KEY_UNKNOWN"
            return True

        until(ended, "the key is refused")
    finally:
        caller.close()


@pytest.mark.parametrize("method", EVERY)
def test_a_key_serves_only_its_scope(desk: Desks, method: str) -> None:
    """An operator's key on a platform method, and the reverse, is denied naming the scope."""
    wrong = desk.platform if method in OPERATOR_RPCS else desk.operator
    scope = {
        "GetAuthorization": "authorizations.read",
        "ListAuthorizations": "authorizations.read",
        "PutUsers": "users.write",
        "GetCreditProfile": "profiles.read",
        "RecordPayment": "payments.write",
        "VerifyBooks": "books.verify",
        "AdvanceClock": "sandbox.clock",
    }.get(method, "authorizations.write")
    for body in (example(method), b"\xff"):
        refusal = wrong.refused(method, body)
        assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
        assert refusal.reason == "SCOPE_MISSING"
        assert refusal.info.metadata["scope"] == scope
        assert scope in refusal.message
    assert set(PLATFORM_RPCS).isdisjoint(OPERATOR_RPCS)


# -- what is another's, what is unknown ----------------------------------------------------


def named(method: str, name: str) -> Message:
    request: Any = example(method)
    if method != "GetAuthorization":
        request.ClearField("expected_version")
    request.name = name
    return request  # type: ignore[no-any-return]


@pytest.mark.parametrize("method", TAKING_A_NAME)
def test_anothers_authorization_does_not_exist(desk: Desks, method: str) -> None:
    """Another operator's authorization is NOT_FOUND, byte for byte like one that never was."""
    user_id = desk.platform.person()
    mine = desk.operator.authorize(user_id, "umbrella").name
    id_of_mine = mine.rpartition("/")[2]
    refusals = []
    for name in (mine, f"users/{user_id}/authorizations/{'v' * 20}"):
        refusal = desk.other.refused(method, named(method, name))
        assert refusal.code is grpc.StatusCode.NOT_FOUND
        assert refusal.reason == "AUTHORIZATION_NOT_FOUND"
        refusals.append((refusal.message, refusal.raw))
    (message, raw), (other_message, other_raw) = refusals
    assert message == other_message
    assert raw is not None
    assert raw.replace(id_of_mine.encode(), b"v" * 20) == other_raw
    assert desk.operator.get(mine).version == 1


def test_anothers_request_id_is_not_reached(desk: Desks) -> None:
    """A reversal by another operator's request id answers as if it had never been used."""
    user_id = desk.platform.person()
    mine = desk.operator.authorize(user_id, "umbrella", request_id=desk.operator.fresh("mine"))
    answers = []
    for origin_id in (mine.request_id, desk.other.fresh("never")):
        origin = ReverseAuthorizationRequest.Origin(user_id=user_id, authorize_request_id=origin_id)
        request = ReverseAuthorizationRequest(request_id=desk.other.fresh(), origin=origin)
        answers.append(desk.other.send("ReverseAuthorization", request))
    assert answers[0] == answers[1]
    assert desk.operator.get(mine.name).state == Authorization.STATE_ACTIVE


def test_anothers_rentals_are_not_listed(desk: Desks) -> None:
    """A list holds only the caller's own authorizations, also when it asks for a person."""
    user_id = desk.platform.person(700)
    desk.operator.authorize(user_id, "umbrella")
    assert len(desk.operator.page(user_id=user_id).authorizations) == 1
    assert desk.other.page(user_id=user_id) == type(desk.other.page())()


@pytest.mark.parametrize(
    ("caller", "method", "request_message", "reason"),
    [
        (
            "operator",
            "Authorize",
            AuthorizeRequest(request_id="no-1", user_id="u", product_id="boat"),
            "PRODUCT_NOT_FOUND",
        ),
        ("operator", "GetAuthorization", example("GetAuthorization"), "AUTHORIZATION_NOT_FOUND"),
        (
            "platform",
            "GetCreditProfile",
            GetCreditProfileRequest(user_id="never-seen"),
            "USER_NOT_FOUND",
        ),
        ("platform", "RecordPayment", example("RecordPayment"), "AUTHORIZATION_NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_not_found(
    desk: Desks, caller: str, method: str, request_message: Message, reason: str
) -> None:
    """A product, person or authorization that is not there is NOT_FOUND with its kind."""
    who: Caller = getattr(desk, caller)
    refusal = who.refused(method, request_message)
    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert refusal.reason == reason


def test_a_persons_name_must_fit_the_authorization(desk: Desks) -> None:
    """An authorization named under another person is not found."""
    name = desk.operator.authorize(desk.platform.person(), "umbrella").name
    moved = f"users/{desk.platform.person()}/authorizations/{name.rpartition('/')[2]}"
    with pytest.raises(Refused, match="NOT_FOUND"):
        desk.operator.get(moved)
    assert moved != NOWHERE


# -- currencies ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "field"),
    [
        ("SettleAuthorization", "amount"),
        ("ConfirmAuthorization", "paid"),
        ("RecordPayment", "amount"),
    ],
)
def test_unknown_currency_is_named(desk: Desks, method: str, field: str) -> None:
    """A well-formed currency other than the authorization's is refused at its field."""
    score = 550 if method == "ConfirmAuthorization" else 620
    rental = desk.operator.authorize(desk.platform.person(score), "bike")
    if method == "RecordPayment":
        desk.operator.settle(rental.name, 100)
    request: Any = example(method)
    request.request_id = desk.operator.fresh()
    if method == "RecordPayment":
        request.authorization = rental.name
    else:
        request.name = rental.name
        request.ClearField("expected_version")
    getattr(request, field).CopyFrom(Money(currency_code="XTS", amount_minor=BIKE_MINOR))
    caller = desk.caller_for(method)
    assert violated(caller, method, request) == {f"{field}.currency_code"}
    # Not stored: the same id with the right currency goes through.
    getattr(request, field).CopyFrom(yuan(BIKE_MINOR))
    caller.send(method, request)


def test_amount_above_the_hold_is_named(desk: Desks) -> None:
    """A capture above the hold is refused at its field, and a smaller one goes through."""
    rental = desk.operator.authorize(desk.platform.person(), "bike")
    request = SettleAuthorizationRequest(
        request_id=desk.operator.fresh(), name=rental.name, amount=yuan(BIKE_MINOR + 1)
    )
    assert violated(desk.operator, "SettleAuthorization", request) == {"amount.amount_minor"}
    request.amount.amount_minor = BIKE_MINOR
    desk.operator.send("SettleAuthorization", request)


def test_a_payment_of_nothing_is_named(desk: Desks) -> None:
    """A payment of zero, and one below the deposit asked, are refused at the amount."""
    offered = desk.operator.authorize(desk.platform.person(550), "bike")
    assert offered.state == Authorization.STATE_OFFERED
    for paid_minor in (0, offered.deposit_asked.amount_minor - 1):
        with pytest.raises(Refused) as refusal:
            desk.operator.confirm(offered.name, paid_minor)
        assert refusal.value.code is INVALID
        assert refusal.value.fields == {"paid.amount_minor"}
    settled = desk.operator.authorize(desk.platform.person(), "bike")
    desk.operator.settle(settled.name, 100)
    with pytest.raises(Refused) as refusal:
        desk.platform.pay(settled.name, 0)
    assert refusal.value.fields == {"amount.amount_minor"}


# -- request ids ---------------------------------------------------------------------------


def changed_authorize() -> dict[str, Any]:
    """An Authorize that differs from the first in one field, each field once."""
    changes: dict[str, Any] = {
        "user_id": "another",
        "product_id": "power-bank",
        "asset_id": "asset-2",
        "start": AuthorizeRequest.START_ON_PICKUP,
        "accept_offers": [OFFER_ZERO],
        "pickup_window": 1,
    }
    fields = {field.name for field in AuthorizeRequest.DESCRIPTOR.fields}
    assert set(changes) == fields - {"request_id"}
    return changes


@pytest.mark.parametrize(("field", "value"), list(changed_authorize().items()))
def test_same_id_other_body_names_the_field(desk: Desks, field: str, value: Any) -> None:
    """A request id sent again with another body is ALREADY_EXISTS naming the field."""
    request = AuthorizeRequest(
        request_id=desk.operator.fresh(),
        user_id=desk.platform.person(),
        product_id="umbrella",
        asset_id=desk.operator.fresh("asset"),
    )
    first = desk.operator.send("Authorize", request)
    other = AuthorizeRequest.FromString(request.SerializeToString())
    if field == "accept_offers":
        other.accept_offers.extend(value)
    elif field == "pickup_window":
        other.pickup_window.seconds = value
    else:
        setattr(other, field, value)
    refusal = desk.operator.refused("Authorize", other)
    assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.reason == "REQUEST_ID_REUSED"
    assert refusal.info.metadata["field"] == field
    assert field in refusal.message
    assert desk.operator.send("Authorize", request) == first


@pytest.mark.parametrize("field", ["name", "amount", "final", "expected_version"])
def test_same_id_other_settlement_names_the_field(desk: Desks, field: str) -> None:
    """A settlement sent again with another body is ALREADY_EXISTS naming the field."""
    rental = desk.operator.authorize(desk.platform.person(), "umbrella")
    request = SettleAuthorizationRequest(
        request_id=desk.operator.fresh(), name=rental.name, amount=yuan(100)
    )
    first = desk.operator.send("SettleAuthorization", request)
    other = SettleAuthorizationRequest.FromString(request.SerializeToString())
    match field:
        case "name":
            other.name = desk.operator.authorize(desk.platform.person(), "umbrella").name
        case "amount":
            other.amount.amount_minor = 101
        case "final":
            other.final = True
        case _:
            other.expected_version = 1
    refusal = desk.operator.refused("SettleAuthorization", other)
    assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.info.metadata["field"] == field
    assert desk.operator.send("SettleAuthorization", request) == first


def test_same_id_other_method_is_refused(desk: Desks) -> None:
    """A request id that was used for another method is ALREADY_EXISTS naming the method."""
    rental = desk.operator.authorize(desk.platform.person(), "umbrella")
    for method in ("ConfirmAuthorization", "StartRental", "SettleAuthorization"):
        request: Any = named(method, rental.name)
        request.request_id = rental.request_id
        refusal = desk.operator.refused(method, request)
        assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
        assert refusal.info.metadata["field"] == "method"
    assert desk.operator.get(rental.name).version == 1


def test_same_person_other_features_names_the_field(desk: Desks) -> None:
    """People put again under the same request id with other features are ALREADY_EXISTS."""
    user = user_with(desk.platform.fresh("person"), 600)
    request_id = desk.platform.fresh()
    desk.platform.put(user, request_id=request_id)
    user.features["score"] = 700
    refusal = desk.platform.refused(
        "PutUsers", PutUsersRequest(request_id=request_id, users=[user])
    )
    assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.info.metadata["field"].endswith("features")


def test_request_ids_belong_to_their_operator(desk: Desks) -> None:
    """Two operators may use the same request id for different rentals."""
    request_id = desk.operator.fresh("shared")
    mine = desk.operator.authorize(desk.platform.person(), "umbrella", request_id=request_id)
    theirs = desk.other.authorize(desk.platform.person(), "bike", request_id=request_id)
    assert mine.name != theirs.name


# -- states and versions -------------------------------------------------------------------

S = Authorization
ALLOWED = {
    S.STATE_OFFERED: {"ConfirmAuthorization", "ReverseAuthorization"},
    S.STATE_AUTHORIZED: {"StartRental", "ReverseAuthorization"},
    S.STATE_ACTIVE: {"SettleAuthorization", "ReverseAuthorization"},
    S.STATE_SETTLED: set(),
    S.STATE_DECLINED: set(),
    S.STATE_REVERSED: set(),
    S.STATE_EXPIRED: set(),
}


def in_state(desk: Desks, state: int) -> Authorization:
    """A fresh authorization in this state, without any cash in it."""
    operator, platform = desk.operator, desk.platform
    match state:
        case S.STATE_OFFERED:
            return operator.authorize(platform.person(550), "bike")
        case S.STATE_AUTHORIZED:
            return operator.authorize(
                platform.person(), "bike", start=AuthorizeRequest.START_ON_PICKUP
            )
        case S.STATE_ACTIVE:
            return operator.authorize(platform.person(), "bike")
        case S.STATE_SETTLED:
            return operator.settle(operator.authorize(platform.person(), "bike").name, 0)
        case S.STATE_DECLINED:
            return operator.authorize(platform.person(550), "bike", accept_offers=[OFFER_ZERO])
        case S.STATE_REVERSED:
            return operator.reverse(operator.authorize(platform.person(), "bike").name)
        case _:
            name = in_state(desk, S.STATE_AUTHORIZED).name
            expires = operator.get(name).expire_time
            request = AdvanceClockRequest(now=expires)
            platform.send("AdvanceClock", request)
            return operator.get(name)


@pytest.mark.parametrize("state", sorted(ALLOWED), ids=Authorization.State.Name)
def test_illegal_transition_tells_the_state(desk: Desks, state: Authorization.State) -> None:
    """A call that the state does not allow is FAILED_PRECONDITION with the current state."""
    rental = in_state(desk, state)
    assert rental.state == state
    for method in set(TAKING_A_NAME) - {"GetAuthorization"} - ALLOWED[state]:
        request: Any = named(method, rental.name)
        request.request_id = desk.operator.fresh()
        if method == "ConfirmAuthorization":
            request.payment_reference = desk.operator.fresh("pay")
        refusal = desk.operator.refused(method, request)
        assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refusal.reason == "ILLEGAL_TRANSITION"
        assert refusal.info.metadata["state"] == Authorization.State.Name(state)[len("STATE_") :]
    assert desk.operator.get(rental.name) == rental


def test_a_refused_transition_is_not_stored(desk: Desks) -> None:
    """A call refused for its state may be sent again with the same id once the state allows it."""
    rental = in_state(desk, S.STATE_AUTHORIZED)
    request_id = desk.operator.fresh()
    with pytest.raises(Refused, match="FAILED_PRECONDITION"):
        desk.operator.settle(rental.name, 100, request_id=request_id)
    desk.operator.start(rental.name)
    settled = desk.operator.settle(rental.name, 100, request_id=request_id)
    assert settled.state == S.STATE_SETTLED


def test_a_reverse_after_a_capture_is_refused(desk: Desks) -> None:
    """After a capture a reversal is FAILED_PRECONDITION, and a final settlement of 0 closes."""
    rental = in_state(desk, S.STATE_ACTIVE)
    desk.operator.settle(rental.name, 100, final=False)
    with pytest.raises(Refused) as refusal:
        desk.operator.reverse(rental.name)
    assert refusal.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.value.info.metadata["state"] == "ACTIVE"
    assert desk.operator.settle(rental.name, 0).state == S.STATE_SETTLED


def test_nothing_is_due_before_a_capture(desk: Desks) -> None:
    """A payment for an authorization without a capture on credit is FAILED_PRECONDITION."""
    rental = in_state(desk, S.STATE_ACTIVE)
    with pytest.raises(Refused) as refusal:
        desk.platform.pay(rental.name, 100)
    assert refusal.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.value.reason == "NOTHING_DUE"
    assert refusal.value.info.metadata["state"] == "ACTIVE"


@pytest.mark.parametrize("method", sorted(set(TAKING_A_NAME) - {"GetAuthorization"}))
def test_a_stale_version_is_aborted(desk: Desks, method: str) -> None:
    """An expected version that is not the present one is ABORTED with both versions."""
    wanted = {
        "ConfirmAuthorization": S.STATE_OFFERED,
        "StartRental": S.STATE_AUTHORIZED,
    }.get(method, S.STATE_ACTIVE)
    rental = in_state(desk, wanted)
    request: Any = named(method, rental.name)
    request.request_id = desk.operator.fresh()
    request.expected_version = 7
    if method == "ConfirmAuthorization":
        request.paid.CopyFrom(rental.deposit_asked)
        request.payment_reference = desk.operator.fresh("pay")
    refusal = desk.operator.refused(method, request)
    assert refusal.code is grpc.StatusCode.ABORTED
    assert refusal.reason == "VERSION_MISMATCH"
    assert refusal.info.metadata == {"expected_version": "7", "version": "1"}
    # Not stored: the same id goes through with the right version.
    request.expected_version = 1
    if method == "StartRental":
        request.asset_id = desk.operator.fresh("asset")
    desk.operator.send(method, request)


def test_an_item_in_use_is_refused_and_free_to_retry(desk: Desks) -> None:
    """An item in an open rental is FAILED_PRECONDITION until that rental closes."""
    asset_id = desk.operator.fresh("asset")
    rental = desk.operator.authorize(desk.platform.person(), "umbrella", asset_id=asset_id)
    request_id, user_id = desk.operator.fresh(), desk.platform.person()
    with pytest.raises(Refused) as refusal:
        desk.operator.authorize(user_id, "umbrella", asset_id=asset_id, request_id=request_id)
    assert refusal.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.value.reason == "ASSET_IN_USE"
    assert desk.other.authorize(user_id, "umbrella", asset_id=asset_id).state == S.STATE_ACTIVE
    desk.operator.settle(rental.name, 0)
    second = desk.operator.authorize(user_id, "umbrella", asset_id=asset_id, request_id=request_id)
    assert second.state == S.STATE_ACTIVE


def test_a_payment_is_recorded_once(desk: Desks) -> None:
    """A payment reference used again under another request id is ALREADY_EXISTS."""
    rental = in_state(desk, S.STATE_ACTIVE)
    desk.operator.settle(rental.name, 1000)
    reference = desk.platform.fresh("pay")
    desk.platform.pay(rental.name, 100, reference=reference)
    with pytest.raises(Refused) as refusal:
        desk.platform.pay(rental.name, 100, reference=reference)
    assert refusal.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.value.reason == "PAYMENT_REFERENCE_REUSED"
    assert desk.operator.get(rental.name).due == yuan(900)


def test_the_clock_goes_only_forward(desk: Desks) -> None:
    """A clock set back is refused at its field."""
    request = AdvanceClockRequest()
    request.now.seconds = START_S - 1
    assert violated(desk.platform, "AdvanceClock", request) == {"now"}


# -- a decline is an answer ----------------------------------------------------------------


def test_a_decline_is_an_answer(desk: Desks) -> None:
    """A credit decline is an OK response with reasons, and stays for its request id."""
    user_id, request_id = desk.platform.person(400), desk.operator.fresh()
    declined = desk.operator.authorize(
        user_id, "bike", accept_offers=[OFFER_ZERO], request_id=request_id
    )
    assert declined.state == S.STATE_DECLINED
    assert list(declined.reasons) == ["OFFER_NOT_ACCEPTED", "SCORE_BELOW_REDUCED_DEPOSIT"]
    assert declined.offer == 0
    desk.platform.put(user_with(user_id, 800))
    again = desk.operator.authorize(
        user_id, "bike", accept_offers=[OFFER_ZERO], request_id=request_id
    )
    assert again == declined
