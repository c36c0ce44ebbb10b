"""A request id means one request: a repeat gets its answer, and any other request is refused with
the difference."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.credit_service_pb2 import (
    PutUsersRequest,
)
from freehold.v1.types_pb2 import (
    OFFER_ZERO,
    SignedMoney,
)
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from service.app import App
from service.config import Limits
from service.engine.ports import Scorer
from service.ids import RandomIds
from service.parts import Parts
from service.storage.database import open_database
from service.storage.store import SqlStore
from tests.fakes import FakeScorer, Served, serving
from tests.rpc.examples import behind, examples, named, passing
from tests.rpc.support import (
    MUTATIONS,
    OPERATORS_FOLLOWING,
    RPCS,
    Caller,
    Desks,
    desks,
    set_name,
    user_with,
    yuan,
)


def changed(desk: Desks, method: str, request: Any, field: str) -> Message:
    """The request with another value in one field."""
    other = RPCS[method].request.FromString(request.SerializeToString())
    if (method, field) == ("SetCreditLimit", "currency_code"):
        # No example has it, because it goes only without a limit.
        other.currency_code = "EUR"  # type: ignore[attr-defined]
        return other
    sample = next(it for it in examples(method) if other_has(it, field))
    if field in ("name", "authorization"):
        set_name(method, other, behind(desk, method).name)
    elif field == "origin":
        other.origin.CopyFrom(sample.origin)  # type: ignore[attr-defined]
    elif field == "users":
        other.users[0].features["score"] += 1  # type: ignore[attr-defined]
    elif field == "parent":
        other.parent = f"users/{other.user_id}/authorizations/{'0' * 20}"  # type: ignore[attr-defined]
    elif field == "final":
        other.final = False  # type: ignore[attr-defined]
    elif field == "usage":
        other.usage.SetInParent()  # type: ignore[attr-defined]
    elif field == "line_items":
        other.line_items.add(description="all", amount=signed(other.amount.amount_minor))  # type: ignore[attr-defined]
    elif field == "items":
        other.items[0].asset_id = "another"  # type: ignore[attr-defined]
    elif field in ("amount", "limit", "paid"):
        getattr(other, field).CopyFrom(yuan(getattr(other, field).amount_minor + 1))
    else:
        put_another(other, field, getattr(sample, field))
    return other


def other_has(message: Any, field: str) -> bool:
    """Whether the field is set."""
    return field in {it.name for it, _ in message.ListFields()}


def put_another(message: Any, field: str, value: Any) -> None:
    """Gives a field another value: the example's, or a value next to it."""
    kind = message.DESCRIPTOR.fields_by_name[field]
    if kind.is_repeated:
        getattr(message, field).extend(value)
    elif kind.message_type is not None:
        inner = getattr(message, field)
        inner.CopyFrom(value)
        first, told = inner.ListFields()[0]
        put_another(inner, first.name, told)
    elif getattr(message, field) != value:
        setattr(message, field, value)
    elif kind.type == FieldDescriptor.TYPE_STRING:
        setattr(message, field, f"{value}-2")
    else:
        setattr(message, field, value + 1)


def signed(amount_minor: int) -> SignedMoney:
    """A signed amount in fen."""
    return SignedMoney(currency_code="CNY", amount_minor=amount_minor)


@pytest.mark.parametrize(
    ("method", "field"),
    [
        (method, field.name)
        for method in MUTATIONS
        for field in RPCS[method].request.DESCRIPTOR.fields
        if field.name != "request_id"
    ],
)
def test_same_id_other_body_names_the_field(desk: Desks, method: str, field: str) -> None:
    """A repeated request id with another body is ALREADY_EXISTS, and the field is named."""
    caller, request = desk.caller_for(method), passing(desk, method)
    if method == "IncrementAuthorization" and field in ("paid", "payment_reference"):
        request.paid.CopyFrom(yuan(5))
        request.payment_reference = caller.fresh("pay")
    first = caller.send(method, request)
    refusal = caller.refused(method, changed(desk, method, request, field))
    assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.reason == "REQUEST_ID_REUSED"
    told = refusal.info.metadata["field"]
    oneof = RPCS[method].request.DESCRIPTOR.fields_by_name[field].containing_oneof
    if oneof is not None:
        # In a oneof, setting another field also removes the present one, which differs too.
        assert told in {it.name for it in oneof.fields}
    else:
        # People are stored one by one, so the difference is named within the person.
        assert told == ("users[0].features" if field == "users" else field)
    assert told in refusal.message
    assert caller.send(method, request) == first


def test_same_id_other_method_is_refused(desk: Desks) -> None:
    """A request id of another method's call is ALREADY_EXISTS, and the method is named."""
    rental = desk.operator.authorize(desk.platform.person(), "umbrella")
    for method in (it for it in OPERATORS_FOLLOWING if it != "ClaimReturn"):
        request = named(method, rental.name)
        request.request_id = rental.request_id
        refusal = desk.operator.refused(method, request)
        assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
        assert refusal.info.metadata["field"] == "method"
    assert desk.operator.get(rental.name).version == 1


def test_same_person_other_features_names_the_field(desk: Desks) -> None:
    """A person repeated under the same request id with other features is ALREADY_EXISTS."""
    user = user_with(desk.platform.fresh("person"), 600)
    request_id = desk.platform.fresh()
    desk.platform.put(user, request_id=request_id)
    user.features["score"] = 700
    refusal = desk.platform.refused(
        "PutUsers", PutUsersRequest(request_id=request_id, users=[user])
    )
    assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.info.metadata["field"].endswith("features")


class OfTexts(FakeScorer):
    """A later model, whose second feature is a text."""

    model_id = "of-texts"
    levels: Mapping[str, Mapping[str, float]] = {"other": {"much": 0}}


@contextmanager
def another(served: Served, scorer: Scorer) -> Iterator[Caller]:
    """The platform's caller at a second server on the same database."""
    store = SqlStore(open_database(str(served.store.engine.url)))

    async def make() -> tuple[App, int]:
        app = App(Parts(store, scorer, served.clock, RandomIds(), Limits()))
        return app, await app.start("127.0.0.1:0")

    app, port = asyncio.run_coroutine_threadsafe(make(), served.loop).result(30)
    try:
        with closing(Caller(f"127.0.0.1:{port}", served.platform_key)) as caller:
            yield caller
    finally:
        asyncio.run_coroutine_threadsafe(app.stop(), served.loop).result(30)
        store.close()


def test_a_retry_under_another_model_gets_the_first_answer(tmp_path: Path) -> None:
    """People repeated under the same request id get the first answer, even when the present model
    wants a value of another kind; under another id they are refused."""
    user = user_with("ann", 600)
    user.features["other"] = 1.0
    request = PutUsersRequest(request_id="r", users=[user])
    with serving(tmp_path) as served, desks(served) as desk:
        first = desk.platform.send("PutUsers", request)
        with another(served, OfTexts()) as later:
            assert later.send("PutUsers", request) == first
            request.request_id = "s"
            refusal = later.refused("PutUsers", request)
            assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
            assert "users[0].features['other']" in refusal.message
        # The refused call has left no row.
        assert desk.platform.send("PutUsers", request) != first


def test_request_ids_belong_to_their_operator(desk: Desks) -> None:
    """Two operators may use the same request id for different rentals."""
    request_id = desk.operator.fresh("shared")
    mine = desk.operator.authorize(desk.platform.person(), "umbrella", request_id=request_id)
    theirs = desk.other.authorize(desk.platform.person(), "bike", request_id=request_id)
    assert mine.name != theirs.name


# -- a decline is an answer ------------------------------------------------------------


def test_a_decline_is_an_answer(desk: Desks) -> None:
    """A credit decline is an OK response with reasons, and stays for its request id."""
    user_id, request_id = desk.platform.person(400), desk.operator.fresh()
    declined = desk.operator.authorize(
        user_id, "bike", accept_offers=[OFFER_ZERO], request_id=request_id
    )
    assert declined.state == Authorization.STATE_DECLINED
    assert list(declined.reasons) == ["OFFER_NOT_ACCEPTED", "SCORE_BELOW_REDUCED_DEPOSIT"]
    assert declined.offer == 0
    desk.platform.put(user_with(user_id, 800))
    again = desk.operator.authorize(
        user_id, "bike", accept_offers=[OFFER_ZERO], request_id=request_id
    )
    assert again == declined
