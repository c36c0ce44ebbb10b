"""Requests are compared by meaning: another way to say the same is a repeated request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from typing import Any, NamedTuple

import grpc
import pytest
from buf.validate import validate_pb2
from freehold.v1.authorization_pb2 import CAPTURE_PURPOSE_DAMAGE, CAPTURE_PURPOSE_FEE
from freehold.v1.authorization_service_pb2 import (
    AuthorizeGroupRequest,
    AuthorizeRequest,
    SettleAuthorizationRequest,
)
from freehold.v1.collection_service_pb2 import MatchSuspenseRequest
from freehold.v1.credit_service_pb2 import User
from freehold.v1.types_pb2 import OFFER_FULL, OFFER_REDUCED, OFFER_ZERO, SignedMoney
from google.protobuf.message import Message

from service.domain.access import Principal, Scope
from service.domain.policy import Offer, Part, choose, choose_again
from service.rpc import authorization_service, collection_service, credit_service
from service.rpc.convert import OFFER_OF
from service.rpc.meaning import differing_field
from service.rpc.pipeline import Call
from tests.domain.lives import BIKE
from tests.rpc.examples import passing
from tests.rpc.support import MUTATIONS, RPCS, START_S, Desks, yuan
from tests.rpc.test_replays import told

START = AuthorizeRequest
EVERY_OFFER = [OFFER_ZERO, OFFER_REDUCED, OFFER_FULL]

DEFAULTS: dict[str, Any] = {
    "AuthorizeRequest.start": START.START_IMMEDIATE,
    "AuthorizeGroupRequest.start": START.START_IMMEDIATE,
    "SettleAuthorizationRequest.final": True,
    "SettleAuthorizationRequest.purpose": CAPTURE_PURPOSE_FEE,
    "SettleAuthorizationRequest.return_kind": SettleAuthorizationRequest.RETURN_KIND_DOCKED,
}
"""The fixed default of each field that has one: absent, it means this."""
NO_DEFAULT = {
    "expected_version": "absent, any version is accepted, which no number says",
    "capture": "absent, it is the newest with enough left, or several",
    "reason": "absent, nobody told why",
}
"""Fields of a kind that often has a default, and have none, with the reason."""


def fields_of(descriptor: Any, seen: frozenset[str] = frozenset()) -> Iterator[Any]:
    """All fields of a message and of the messages in it."""
    for field in descriptor.fields:
        yield field
        inner = field.message_type
        if inner is not None and inner.full_name not in seen:
            yield from fields_of(inner, seen | {inner.full_name})


def may_have_a_default(field: Any) -> bool:
    """Whether a field is an enum that may be unspecified, or a scalar that may be absent."""
    rules: Any = field.GetOptions().Extensions[validate_pb2.field]
    if field.enum_type is not None and not field.is_repeated:
        return 0 not in rules.enum.not_in
    single = field.message_type is None and field.containing_oneof is not None
    return bool(single and len(field.containing_oneof.fields) == 1)


def test_r11_every_fixed_default_is_known() -> None:
    """R11: each call that changes something has optional fields. For each such field, this table
    has its default, or the reason why it has no default."""
    found = {
        f"{it.containing_type.name}.{it.name}"
        for method in MUTATIONS
        for it in fields_of(RPCS[method].request.DESCRIPTOR)
        if may_have_a_default(it) and it.name not in NO_DEFAULT
    }
    assert found == set(DEFAULTS)


def test_a_field_with_a_default_is_recognized() -> None:
    """A required verdict has no default; a flag with presence and an optional enum may have one."""
    named = {
        it.name: may_have_a_default(it)
        for method in ("SettleAuthorization", "ResolveReview", "Authorize")
        for it in RPCS[method].request.DESCRIPTOR.fields
    }
    assert {name for name, it in named.items() if it} == {
        "final", "purpose", "start", "expected_version", "return_kind", "reason",
    }  # fmt: skip


class Pair(NamedTuple):
    """Two ways to say the same: fields of a passing request, and other values for them."""

    method: str
    one: dict[str, Any]
    two: dict[str, Any]


def at(nanos: int) -> dict[str, int]:
    """An instant of the tests' first second."""
    return {"seconds": START_S, "nanos": nanos}


PAIRS = {
    **{
        f"default of {name}": Pair(
            name.partition("Request.")[0], {}, {name.rpartition(".")[2]: default}
        )
        for name, default in DEFAULTS.items()
    },
    "every offer": Pair("Authorize", {}, {"accept_offers": EVERY_OFFER}),
    "every offer of a group": Pair("AuthorizeGroup", {}, {"accept_offers": EVERY_OFFER}),
    "zero deposit last": Pair(
        "Authorize",
        {"accept_offers": [OFFER_ZERO, OFFER_FULL]},
        {"accept_offers": [OFFER_FULL, OFFER_ZERO]},
    ),
    "end of the usage": Pair(
        "SettleAuthorization",
        {"usage": {"end_time": at(0)}},
        {"usage": {}, "occurred_at": at(0)},
    ),
    "end of the usage twice": Pair(
        "SettleAuthorization",
        {"usage": {"end_time": at(0)}, "final": True},
        {"usage": {"end_time": at(0)}, "occurred_at": at(0)},
    ),
    "nanoseconds of an instant": Pair(
        "SettleAuthorization", {"occurred_at": at(5_001)}, {"occurred_at": at(5_999)}
    ),
    "nanoseconds of the docking": Pair(
        "ReportFound", {"occurred_at": at(5_000)}, {"occurred_at": at(5_999)}
    ),
    "nanoseconds of a duration": Pair(
        "Authorize",
        {"rental_period": {"seconds": 60, "nanos": 1_000}},
        {"rental_period": {"seconds": 60, "nanos": 1_001}},
    ),
}


def put(request: Any, parts: dict[str, Any]) -> Any:
    """A copy of the request with these fields replaced."""
    made = type(request).FromString(request.SerializeToString())
    for name in parts:
        oneof = made.DESCRIPTOR.fields_by_name[name].containing_oneof
        for field in oneof.fields if oneof is not None else ():
            made.ClearField(field.name)
        made.ClearField(name)
    made.MergeFrom(type(request)(**parts))
    return made


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("turned", [False, True])
def test_r11_the_same_meaning_in_another_form_is_a_retry(
    desk: Desks, name: str, turned: bool
) -> None:
    """R11: a repeated request with the same meaning in another form gets its first answer. Either
    form may come first."""
    pair = PAIRS[name]
    caller, request = desk.caller_for(pair.method), passing(desk, pair.method)
    ways = [put(request, pair.one), put(request, pair.two)]
    ways = ways[::-1] if turned else ways
    assert ways[0] != ways[1]
    first = told(caller, pair.method, ways[0])
    assert first.since is None
    again = told(caller, pair.method, ways[1])
    assert again.answer == first.answer
    assert again.since is not None
    assert told(caller, pair.method, ways[0]) == again


def by_field(request: Any) -> bytes:
    """The bytes of a request with its fields in reverse order."""
    alone = []
    for field, value in request.ListFields():
        part = type(request)()
        if field.message_type is not None or field.is_repeated:
            part.MergeFrom(type(request)(**{field.name: value}))
        else:
            setattr(part, field.name, value)
        alone.append(part.SerializeToString())
    return b"".join(reversed(alone))


@pytest.mark.parametrize("method", MUTATIONS)
def test_r11_other_bytes_of_every_request_are_a_retry(desk: Desks, method: str) -> None:
    """R11: a repeated request whose fields stand in another order gets its first answer, for every
    call that changes something."""
    caller, request = desk.caller_for(method), passing(desk, method)
    other = by_field(request)
    assert other != request.SerializeToString()
    assert type(request).FromString(other) == request
    first = caller.send(method, request)
    assert caller.send(method, other) == first


_DIFFERENT = {
    "pick-up": Pair("Authorize", {}, {"start": START.START_ON_PICKUP}),
    "two offers": Pair("Authorize", {}, {"accept_offers": [OFFER_ZERO, OFFER_REDUCED]}),
    "order of the stricter offers": Pair(
        "Authorize",
        {"accept_offers": EVERY_OFFER},
        {"accept_offers": [OFFER_ZERO, OFFER_FULL, OFFER_REDUCED]},
    ),
    "not the last capture": Pair("SettleAuthorization", {}, {"final": False}),
    "damage": Pair("SettleAuthorization", {}, {"purpose": CAPTURE_PURPOSE_DAMAGE}),
    "a microsecond": Pair(
        "SettleAuthorization", {"occurred_at": at(5_999)}, {"occurred_at": at(6_000)}
    ),
    "another end": Pair(
        "SettleAuthorization",
        {"usage": {"end_time": at(0)}, "final": True},
        {"usage": {"end_time": at(1_000)}},
    ),
    "a bill": Pair(
        "SettleAuthorization",
        {},
        {
            "final": True,
            "line_items": [
                {"description": "a", "amount": {"currency_code": "CNY", "amount_minor": 200}}
            ],
        },
    ),
    "evidence": Pair("ContestReturn", {}, {"evidence": "case-4712"}),
}
NAMED = {
    "pick-up": "start", "two offers": "accept_offers",
    "order of the stricter offers": "accept_offers", "not the last capture": "final",
    "damage": "purpose", "a microsecond": "occurred_at", "another end": "usage",
    "a bill": "line_items", "evidence": "evidence",
}  # fmt: skip


@pytest.mark.parametrize("name", _DIFFERENT)
def test_r11_another_meaning_is_refused(desk: Desks, name: str) -> None:
    """R11: a difference that has a meaning, or that is kept with the request, is ALREADY_EXISTS
    with the differing field. A field with the same meaning in another form is not named."""
    pair = _DIFFERENT[name]
    caller, request = desk.caller_for(pair.method), passing(desk, pair.method)
    caller.send(pair.method, put(request, pair.one))
    refusal = caller.refused(pair.method, put(request, pair.two))
    assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.info.metadata["field"] == NAMED[name]


def test_r11_the_order_of_a_bill_has_a_meaning() -> None:
    """R11: a bill with its lines in another order is another bill."""
    one = SettleAuthorizationRequest(request_id="r", name="n", amount=yuan(3))
    for minor in (1, 2):
        amount = SignedMoney(currency_code="CNY", amount_minor=minor)
        one.line_items.add(description=f"line {minor}", amount=amount)
    two = SettleAuthorizationRequest.FromString(one.SerializeToString())
    two.line_items.reverse()
    assert differing_field(two, one.SerializeToString()) == "line_items"


def test_r11_an_unknown_field_has_a_meaning() -> None:
    """R11: a field that this server does not know may have a meaning, so a request that differs in
    it is another one."""
    one = AuthorizeRequest(request_id="r", user_id="u", product_id="bike")
    body = one.SerializeToString()
    newer = AuthorizeRequest.FromString(body + b"\xf8\x3f\x01")
    assert differing_field(newer, body) == "unknown_fields"
    newer.start = START.START_IMMEDIATE
    assert differing_field(newer, body) == "unknown_fields"
    assert differing_field(newer, body + b"\xf8\x3f\x01") is None


def test_a13_a_match_that_an_earlier_build_stored_names_the_platforms_item() -> None:
    """A13: a stored match without an owner is the same request as one with an empty owner. A match
    with an operator as the owner is another request."""
    stored = b"\n\x03r-1\x12\x05odd-1\x1a\x07\n\x03CNY\x10d"
    sent = MatchSuspenseRequest(
        request_id="r-1", payment_reference="odd-1", amount=yuan(100), owner=""
    )
    assert differing_field(sent, stored) is None
    sent.owner = "operators/city"
    assert differing_field(sent, stored) == "owner"


def test_r11_a_persons_time_is_cut_to_the_microsecond() -> None:
    """R11: the instant of a person's features is compared to the microsecond, and the features in
    any order."""
    one = User(user_id="u", features={"a": 1.0, "b": 2.0}, as_of=at(1_000))
    two = User(user_id="u", features={"b": 2.0, "a": 1.0}, as_of=at(1_999))
    assert differing_field(two, one.SerializeToString()) is None
    two.features["a"] = 1.5
    assert differing_field(two, one.SerializeToString()) == "features"


OFFERS: list[list[Any]] = [list(it) for size in range(4) for it in permutations(EVERY_OFFER, size)]


def effect(offers: list[Any]) -> list[object]:
    """Every choice that these accepted offers can lead to."""
    accepted = tuple(OFFER_OF[it] for it in offers)
    part = [Part(10_000, BIKE.policy)]
    scores = (BIKE.policy.zero_from_score, BIKE.policy.reduced_from_score, 0)
    lines = (0, 9_999, 10_000)
    first = [choose(score, (), accepted, line, part) for score in scores for line in lines]
    return [*first, *(choose_again(it, (), accepted, line, part) for it in Offer for line in lines)]


@pytest.mark.parametrize("one", OFFERS)
def test_r11_offers_are_the_same_if_they_lead_to_the_same(one: list[Any]) -> None:
    """R11: two lists of accepted offers mean the same exactly if they lead to the same offer for
    every score and every line."""
    for two in OFFERS:
        for kind in (AuthorizeRequest, AuthorizeGroupRequest):
            body = kind(accept_offers=one).SerializeToString()
            same = differing_field(kind(accept_offers=two), body) is None
            assert same == (effect(one) == effect(two)), (one, two)


COMMANDS = {
    it.name: it.command
    for service in (authorization_service, credit_service, collection_service)
    for it in service.MUTATIONS
}
PRINCIPAL = Principal("city", frozenset(Scope), "key")


@pytest.mark.parametrize("name", PAIRS)
def test_r11_the_same_request_makes_the_same_command(desk: Desks, name: str) -> None:
    """R11: if two requests count as the same, the engine does the same for both, and a first answer
    counts for both."""
    pair = PAIRS[name]
    request = passing(desk, pair.method)
    made = []
    for parts in (pair.one, pair.two):
        message: Any = put(request, parts)
        call: Call[Message] = Call(message, message.SerializeToString(), PRINCIPAL, None)
        command: Any = COMMANDS[pair.method](call)
        if "accept_offers" in pair.two:
            assert effect(list(message.accept_offers)) == effect(pair.two["accept_offers"])
            command = command._replace(accept_offers=())
        if "purpose" in pair.two:
            made_of = desk.operator.call(
                pair.method, name=message.name, amount=yuan(1), final=False
            )
            assert made_of.capture.purpose == CAPTURE_PURPOSE_FEE
            command = replace(command, purpose=None)
        made.append(command)
    assert made[0] == made[1]
