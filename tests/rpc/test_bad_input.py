"""The contract's table of bad input, over the wire, for every method."""

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
from freehold.v1.credit_service_pb2 import (
    PutUsersRequest,
    User,
)
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
from service.domain.errors import InvalidInput
from service.rpc.status import MOST_VIOLATIONS
from service.rpc.validation import parse
from tests.rpc.examples import example, examples, passing, required
from tests.rpc.support import (
    ADMIN_RPCS,
    BATCHED,
    BIKE_MINOR,
    EVERY,
    FOLLOWING,
    RPCS,
    START_S,
    Caller,
    Desks,
    Refused,
    outcome,
    user_with,
    violated,
    yuan,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
WELL_KNOWN = ("google.protobuf.Timestamp", "google.protobuf.Duration")


class Leaf(NamedTuple):
    """One scalar of an example: its path, its kind, and a way to change it."""

    method: str
    form: int
    path: str
    kind: int
    put: Callable[[Message, Any], None]

    @property
    def request(self) -> Message:
        """A fresh example that has the leaf."""
        sample: Message = examples(self.method)[self.form]
        return sample


def _owner(message: Any, steps: tuple[tuple[str, int | None], ...]) -> Any:
    for name, index in steps:
        message = getattr(message, name) if index is None else getattr(message, name)[index]
    return message


def leaves(method: str) -> Iterator[Leaf]:
    """Every scalar of a method's examples; Timestamp and Duration count as one, maps are left
    out."""
    for form, sample in enumerate(examples(method)):
        yield from _leaves((method, form), sample, (), "")


def _leaves(
    of: tuple[str, int], message: Any, steps: tuple[tuple[str, int | None], ...], prefix: str
) -> Iterator[Leaf]:
    for field, value in message.ListFields():
        path = prefix + field.name
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if field.message_type is not None and field.message_type.full_name in WELL_KNOWN:

            def put_time(root: Message, new: int, name: str = field.name) -> None:
                getattr(_owner(root, steps), name).seconds = new

            yield Leaf(*of, path, FieldDescriptor.TYPE_MESSAGE, put_time)
        elif field.message_type is not None and field.is_repeated:
            for place, item in enumerate(value):
                yield from _leaves(of, item, (*steps, (field.name, place)), f"{path}[{place}].")
        elif field.message_type is not None:
            yield from _leaves(of, value, (*steps, (field.name, None)), f"{path}.")
        elif field.is_repeated:
            for place in range(len(value)):

                def put_item(
                    root: Message, new: Any, name: str = field.name, place: int = place
                ) -> None:
                    getattr(_owner(root, steps), name)[place] = new

                yield Leaf(*of, f"{path}[{place}]", field.type, put_item)
        else:

            def put_value(root: Message, new: Any, name: str = field.name) -> None:
                setattr(_owner(root, steps), name, new)

            yield Leaf(*of, path, field.type, put_value)


LEAVES = [leaf for name in EVERY if name not in BATCHED for leaf in leaves(name)]
"""The leaves of all requests; those of a batch's items are checked in `test_batches.py`."""
BAD: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.TYPE_STRING: ("a\0b", "x" * 300, "é", "a b", "abc\n", "a/b/c", "' OR 1=1 --"),
    FieldDescriptor.TYPE_ENUM: (99, -1),
    FieldDescriptor.TYPE_INT64: (-1, -(2**63)),
    FieldDescriptor.TYPE_INT32: (-1, 2**31 - 1),
    FieldDescriptor.TYPE_MESSAGE: (-1, -(2**63)),
}
TOO_MUCH = (10**12 + 1, 2**63 - 1)
# Amounts that may be zero: a settlement of zero closes, a limit of zero stops a person.
MAY_BE_ZERO = {"SettleAuthorization", "SetCreditLimit", "SetProvision"}
DECIDING = {"verdict", "outcome", "standing"}
# Any Timestamp passes the rules; an invalid one is found when it is read, after the rules.
CHECKED_LATER = {"known_at", "happened_at", "due_before"}
# The longest valid duration of each field.
LONGEST_S = {"pickup_window": 604_800, "rental_period": 31_622_400, "duration": 31_622_400}


def bad_values(leaf: Leaf) -> tuple[Any, ...]:
    """Values of a wrong form or range for a field; none if every value of the field is valid."""
    bad = BAD.get(leaf.kind, ())
    name = leaf.path.rpartition(".")[2]
    match name:
        case "description":
            # A line of a bill may have an item in place of a description.
            return ("a\0b", "x" * 201, "abc\n", "\x7f")
        case "text":
            return ("a\0b", "x" * 1001, "abc\n", "\x7f")
        case "reference" if leaf.method in ("GrantPass", "BuyPass"):
            # An order number of the operator's own kind.
            return tuple(it for it in bad if it != "a/b/c")
        case "device_hash" | "payment_account_hash" | "time_zone" | "subject":
            return tuple(it for it in bad if it != "a/b/c")
        case "display_name":
            return ("a\0b", "x" * 201, "abc\n", "\x7f", "")
        case "reason" if leaf.kind == FieldDescriptor.TYPE_ENUM:
            return bad
        case "reason_text":
            return ("a\0b", "x" * 501, "abc\n", "\x7f")
        case "reason" | "condition" | "value" | "label":
            return ("a\0b", "x" * 201, "abc\n", "\x7f")
        case "evidence" | "user_consent_reference":
            must = name == "evidence" and leaf.method in ("ContestReturn", "BookDebt")
            needed = ("",) if must else ()
            return ("a\0b", "x" * 201, "é", "a b", "abc\n", *needed)
        case "signature":
            return ("x" * 201, "")
        case "body":
            return (b"x" * 4_097, b"")
        case "digest":
            return (b"x" * 31, b"x" * 33, b"")
        case "amount_minor" if leaf.path.startswith("line_items"):
            return (-(10**12) - 1, -(2**63), *TOO_MUCH)
        case "amount_minor" if "order_fee" in leaf.path:
            # A fee that is paid elsewhere is zero.
            return (*bad, *TOO_MUCH)
        case "amount_minor":
            return (*bad, *TOO_MUCH, *(() if leaf.method in MAY_BE_ZERO else (0,)))
        case "document":
            return ("x" * 16_001, *(("",) if leaf.method == "ApplyTerms" else ()))
        case "from_revision" | "to_revision":
            return bad
        case "revision" if leaf.method != "GetTerms":
            return (*bad, 0)
        case "expected_version" | "number" | "capture":
            return (*bad, 0)
        case "currency_code":
            # SetCreditLimit without a currency is about the platform's.
            needed = () if leaf.method == "SetCreditLimit" and leaf.form else ("",)
            return (*bad, *needed, "cny", "CNYY")
        case "request":
            return (b"x" * 32_769, b"")
        case "operator_id" if leaf.method in ADMIN_RPCS:
            return (*bad, "City", "-city", "x" * 64)
        case "operator_id":
            return (*bad, "", "City", "-city", "x" * 64)
        case "now":
            return (*bad, 7_258_118_400, 2**62)
        case "as_of" | "occurred_at" | "end_time":
            return bad
        case _ if name in CHECKED_LATER:
            return (-(2**63), -62_135_596_801, 253_402_300_800, 2**62)
        case _ if name in LONGEST_S:
            return (*bad, 0, LONGEST_S[name] + 1, 2**62)
        case _ if name in DECIDING:
            return (*bad, 0)
        case _:
            return bad


def leaves_of(method: str) -> list[Leaf]:
    """The leaves of one method."""
    return [leaf for leaf in LEAVES if leaf.method == method]


def by_the_rules(request: Message) -> set[str]:
    """The fields that the server's own check of a message names, called without a server."""
    try:
        parse(type(request), request.SerializeToString())
    except InvalidInput as error:
        return {it.field for it in error.violations}
    return set()


FILTERED = ("ListAuthorizations", "ListCases", "ListChargeBacks", "ListPasses", "ListSuspense")
"""Lists whose page tokens carry the filters."""


def seen_when_read(leaf: Leaf) -> bool:
    """Whether the contract has no rule for a leaf's form. A wrong form is then found only when the
    field is read."""
    filtered = leaf.method in FILTERED
    return leaf.path in CHECKED_LATER or (filtered and leaf.path == "page_token")


@pytest.mark.parametrize("method", EVERY)
def test_bad_value_names_its_field(method: str) -> None:
    """A value of wrong form or range breaks a rule of the contract at exactly its field."""
    wrong = {}
    for leaf in leaves_of(method):
        for value in () if seen_when_read(leaf) else bad_values(leaf):
            request = leaf.request
            leaf.put(request, value)
            named = by_the_rules(request)
            if named != {leaf.path}:
                wrong[leaf.form, leaf.path, str(value)[:20]] = named
    assert wrong == {}


@pytest.mark.parametrize("method", EVERY)
def test_bad_field_is_refused_by_the_server(desk: Desks, method: str) -> None:
    """Over the wire, a bad value in any field is INVALID_ARGUMENT with a violation at exactly this
    field. That includes values that only the conversion of the message finds."""
    caller = desk.caller_for(method)
    for leaf in leaves_of(method):
        bad = bad_values(leaf)
        for value in bad if seen_when_read(leaf) else bad[-1:]:
            request = leaf.request
            leaf.put(request, value)
            assert violated(caller, method, request) == {leaf.path}, value


@pytest.mark.parametrize("method", EVERY)
def test_every_bad_field_is_named(desk: Desks, method: str) -> None:
    """When every field is bad, every field is named by its own path, as far as a trailer holds
    them."""
    for form, request in enumerate(examples(method)):
        expected: set[str] = set()
        for leaf in LEAVES:
            if (leaf.method, leaf.form) != (method, form) or not bad_values(leaf):
                continue
            if leaf.path in CHECKED_LATER:
                continue
            value = bad_values(leaf)[0]
            if leaf.kind == FieldDescriptor.TYPE_ENUM:
                value = 99 + len(expected)  # no offer twice, which is another violation
            if leaf.kind == FieldDescriptor.TYPE_STRING:
                value = "\0" * 300
            leaf.put(request, value)
            expected.add(leaf.path)
        if expected:
            named = violated(desk.caller_for(method), method, request)
            assert by_the_rules(request) == expected
            assert named == expected or (len(expected) > MOST_VIOLATIONS // 2 and named < expected)


def test_only_flags_have_no_rule() -> None:
    """Every field of every request has an input rule, except booleans, for which every value is
    valid."""
    assert {leaf.kind for leaf in LEAVES if not bad_values(leaf)} == {FieldDescriptor.TYPE_BOOL}


def test_every_field_has_an_example() -> None:
    """A method's examples have every field of its message."""
    for method in EVERY:
        declared = {field.name for field in RPCS[method].request.DESCRIPTOR.fields}
        shown = {field.name for it in examples(method) for field, _ in it.ListFields()}
        assert shown == declared, method


@pytest.mark.parametrize("method", EVERY)
def test_an_empty_message_names_its_required_fields(desk: Desks, method: str) -> None:
    """An empty message is refused with a violation for each required field."""
    if required(method):
        assert violated(desk.caller_for(method), method, b"") == required(method)
    else:
        desk.caller_for(method).send(method, b"")


ONE_OF = {"target": "name", "charge": "amount", "subject": "name"}
"""The field of an example for each choice of one field."""


@pytest.mark.parametrize("method", [name for name in EVERY if required(name)])
def test_missing_field_is_named(desk: Desks, method: str) -> None:
    """A single missing field is the only field that is named."""
    for field in sorted(required(method)):
        request = example(method)
        request.ClearField(
            {"target": "name", "charge": "amount", "subject": "name"}.get(field, field)
        )
        assert violated(desk.caller_for(method), method, request) == {field}


@pytest.mark.parametrize("field", ["user_id", "authorize_request_id"])
@pytest.mark.parametrize("value", ["", "a\0b", "x" * 65])
def test_origin_fields_are_named(desk: Desks, field: str, value: str) -> None:
    """A bad field of a reversal's origin is named with its path from the request on."""
    origin = ReverseAuthorizationRequest.Origin(user_id="u", authorize_request_id="r")
    setattr(origin, field, value)
    request = ReverseAuthorizationRequest(request_id="r", origin=origin)
    assert violated(desk.operator, "ReverseAuthorization", request) == {f"origin.{field}"}


def test_offers_are_taken_once_and_never_unspecified(desk: Desks) -> None:
    """The accepted offers are refused if one is named twice or unspecified, or if there are too
    many."""
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
    """NaN and infinities are refused with the feature's path."""
    request = PutUsersRequest(request_id="r", users=[user_with("a", 600), user_with("b", value)])
    assert violated(desk.platform, "PutUsers", request) == {"users[1].features['score']"}


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 65, "a\nb", "\x7f"])
def test_feature_names_are_checked(desk: Desks, name: str) -> None:
    """A feature's name of wrong form is refused with its path."""
    user = user_with("a", 600)
    user.features[name] = 1.0
    request = PutUsersRequest(request_id="r", users=[user])
    assert violated(desk.platform, "PutUsers", request) == {f"users[0].features[{name!r}]"}


def test_features_at_fault_and_repeated_people_are_named_together(desk: Desks) -> None:
    """Texts for numbers, blank texts, values given twice and repeated people are refused together,
    each named."""
    strange = user_with("a", 600)
    strange.text_features.update({"other": "much", "job": " ", "score": "x"})
    strange.missing_features.extend(["job", "score"])
    request = PutUsersRequest(request_id="r", users=[strange, user_with("a", 600)])
    assert violated(desk.platform, "PutUsers", request) == {
        "users[0].missing_features[0]",
        "users[0].missing_features[1]",
        "users[0].text_features['job']",
        "users[0].text_features['other']",
        "users[0].text_features['score']",
        "users[1].user_id",
    }


def test_bulk_has_a_size(desk: Desks) -> None:
    """More than a thousand people in one call are refused."""
    people = [user_with(f"many-{n}", 600) for n in range(1001)]
    request = PutUsersRequest(request_id="r", users=people)
    assert violated(desk.platform, "PutUsers", request) == {"users"}


def test_as_of_is_required_of_each_person(desk: Desks) -> None:
    """A person without the instant of the features is refused with the person's index."""
    request = PutUsersRequest(request_id="r", users=[user_with("a", 600), User(user_id="b")])
    assert violated(desk.platform, "PutUsers", request) == {"users[1].as_of"}


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
def test_junk_is_malformed(desk: Desks, method: str) -> None:
    """Bytes that are not a protobuf message are INVALID_ARGUMENT, never INTERNAL."""
    for body in JUNK.values():
        malformed(desk.caller_for(method), method, body)


NOT_UTF8 = (
    b"\xff" * 6,
    b"\xc0\x80aaaa",
    b"\xed\xa0\x80aaa",
    b"aaaaa\xe4",
    b"\xf5\x80\x80\x80aa",
)


@pytest.mark.parametrize("method", EVERY)
def test_bad_utf8_is_malformed(desk: Desks, method: str) -> None:
    """A string that is not UTF-8 is INVALID_ARGUMENT in every field."""
    for leaf in leaves_of(method):
        if leaf.kind != FieldDescriptor.TYPE_STRING:
            continue
        request = leaf.request
        leaf.put(request, "MARKER")
        body = request.SerializeToString()
        assert body.count(b"MARKER") == 1
        for bad in NOT_UTF8:
            with pytest.raises(InvalidInput) as refused:
                parse(type(request), body.replace(b"MARKER", bad))
            assert refused.value.reason == "MALFORMED_MESSAGE", (leaf.path, bad)
        malformed(desk.caller_for(method), method, body.replace(b"MARKER", NOT_UTF8[0]))


def test_unknown_fields_are_accepted(desk: Desks) -> None:
    """Fields that this server does not know do not fail a call."""
    user_id = desk.platform.person()
    request = AuthorizeRequest(
        request_id=desk.operator.fresh(), user_id=user_id, product_id="umbrella"
    )
    desk.operator.send("Authorize", request.SerializeToString() + b"\xf8\x3f\x01")


@pytest.mark.parametrize("method", EVERY)
def test_a_message_above_its_limit_is_refused(desk: Desks, method: str) -> None:
    """A message above the service's limit (128 KiB, bulk 4 MiB) is INVALID_ARGUMENT, and the
    violation has the limit."""
    # An unknown field of bytes, so that only the size is wrong.
    limit = 4 * MIB if method in ("PutUsers", *BATCHED) else 128 * KIB
    caller = desk.caller_for(method)
    refusal = caller.refused(method, padded(example(method), limit + 1))
    assert (refusal.code, refusal.reason) == (INVALID, "MESSAGE_TOO_LARGE")
    assert refusal.fields == {"message"}
    assert f"at most {limit} bytes".encode() in (refusal.raw or b"")
    result = outcome(lambda: caller.send(method, padded(example(method), limit)))
    assert isinstance(result, bytes) or result.reason != "MESSAGE_TOO_LARGE"


def padded(message: Message, size: int) -> bytes:
    """A message's bytes with an unknown field that brings them to exactly this length."""
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
    """A message of 5 MiB is refused by every method, and the connection stays usable."""
    caller = desk.caller_for(method)
    refusal = caller.refused(method, padded(example(method), 5 * MIB))
    assert (refusal.code, refusal.reason) == (INVALID, "MESSAGE_TOO_LARGE")
    caller.refused(method, b"\xff")


def test_the_clock_goes_only_forward(desk: Desks) -> None:
    """A clock set back is refused at its field."""
    request = AdvanceClockRequest()
    request.now.seconds = START_S - 1
    assert violated(desk.platform, "AdvanceClock", request) == {"now"}


# -- currencies ----------------------------------------------------------------------------


MONEY = [
    (method, field)
    for method in ("SetCreditLimit", *FOLLOWING)
    for field in ("amount", "paid", "limit")
    if field in RPCS[method].request.DESCRIPTOR.fields_by_name
]


@pytest.mark.parametrize(("method", "field"), MONEY)
def test_unknown_currency_is_named(desk: Desks, method: str, field: str) -> None:
    """A well-formed currency other than the authorization's is refused at its field."""
    request = passing(desk, method)
    if method == "IncrementAuthorization":
        request.payment_reference = desk.operator.fresh("pay")
        request.paid.CopyFrom(yuan(200))
    if not request.HasField(field):
        getattr(request, field).CopyFrom(yuan(1))
    right = Money.FromString(getattr(request, field).SerializeToString())
    getattr(request, field).currency_code = "XTS"
    caller = desk.caller_for(method)
    assert violated(caller, method, request) == {f"{field}.currency_code"}
    # The refusal was not stored: the same id with the right currency passes.
    getattr(request, field).CopyFrom(right)
    caller.send(method, request)


def test_amount_above_the_hold_is_named(desk: Desks) -> None:
    """A capture above the hold is refused at its field, and a smaller one passes."""
    rental = desk.operator.authorize(desk.platform.person(), "bike")
    request = SettleAuthorizationRequest(
        request_id=desk.operator.fresh(), name=rental.name, amount=yuan(BIKE_MINOR + 1)
    )
    assert violated(desk.operator, "SettleAuthorization", request) == {"amount.amount_minor"}
    request.amount.amount_minor = BIKE_MINOR
    desk.operator.send("SettleAuthorization", request)


def test_a_payment_of_zero_is_named(desk: Desks) -> None:
    """A payment of zero, or below the deposit asked for, is refused at the amount."""
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
