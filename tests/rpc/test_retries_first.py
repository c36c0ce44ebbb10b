"""A rule that became stricter between a call and its retry does not change the retry's answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from freehold.v1.credit_service_pb2 import PutUsersRequest
from google.protobuf.message import Message

from service.domain.errors import InvalidInput
from service.rpc import convert, pipeline
from service.rpc.retries import Retries
from tests.fakes import START_US
from tests.rpc.examples import example, passing
from tests.rpc.support import MUTATIONS, RPCS, Desks, user_with, yuan

Tighten = Callable[[], None]


@pytest.fixture
def tighten(monkeypatch: pytest.MonkeyPatch) -> Tighten:
    """Makes the contract's rules refuse every message from now on."""

    def refuse(kind: type[Message], body: bytes) -> Message:
        raise InvalidInput.of("user_id", "user_id.tightened", "no value is allowed any more")

    return lambda: monkeypatch.setattr(pipeline, "parse", refuse)


def refused_today(desk: Desks, method: str, request: Message) -> bool:
    """Whether the present rules refuse a request."""
    refusal = desk.caller_for(method).refused(method, request)
    return refusal.code is grpc.StatusCode.INVALID_ARGUMENT and refusal.fields == {"user_id"}


@pytest.mark.parametrize("method", MUTATIONS)
def test_a_retry_gets_its_answer_under_stricter_rules(
    desk: Desks, tighten: Tighten, method: str
) -> None:
    """A request id that was answered gets the stored bytes even when the present rules refuse the
    request; a new request id is refused."""
    caller, request = desk.caller_for(method), passing(desk, method)
    other: Any = RPCS[method].request.FromString(request.SerializeToString())
    other.request_id = caller.fresh("another")
    first = caller.send(method, request)
    tighten()
    assert caller.send(method, request) == first
    assert refused_today(desk, method, other)


@pytest.mark.parametrize("method", MUTATIONS)
def test_a_different_retry_is_refused(desk: Desks, tighten: Tighten, method: str) -> None:
    """A request id of another method's request is ALREADY_EXISTS, whether or not the present rules
    allow the request."""
    caller = desk.caller_for(method)
    wanted = "PutUsers" if caller is desk.platform else "Authorize"
    if method == wanted:
        wanted = "SetCreditLimit" if caller is desk.platform else "AuthorizeGroup"
    used = passing(desk, wanted)
    caller.send(wanted, used)
    other: Any = example(method)
    other.request_id = used.request_id
    tighten()
    refusal = caller.refused(method, other)
    assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.info.metadata["field"] == "method"


def test_the_field_that_differs_is_named(desk: Desks, tighten: Tighten) -> None:
    """A retry with another amount is ALREADY_EXISTS, and the error names the amount."""
    request = passing(desk, "SettleAuthorization")
    desk.operator.send("SettleAuthorization", request)
    request.amount.amount_minor += 1
    tighten()
    refusal = desk.operator.refused("SettleAuthorization", request)
    assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.info.metadata["field"] == "amount"


def test_a_retry_is_answered_under_stricter_reading(
    desk: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry gets its answer even if the server has become stricter in turning messages into
    commands."""
    request = passing(desk, "SettleAuthorization")
    first = desk.operator.send("SettleAuthorization", request)

    def refuse(message: Any) -> None:
        raise InvalidInput.of("amount", "amount.tightened", "no amount is allowed any more")

    monkeypatch.setattr(convert, "money", refuse)
    assert desk.operator.send("SettleAuthorization", request) == first
    request.request_id = desk.operator.fresh()
    assert desk.operator.refused("SettleAuthorization", request).fields == {"amount"}


def test_access_is_checked_before_the_retry(desk: Desks, tighten: Tighten) -> None:
    """Another operator with the same request id is refused like any caller, and a key without the
    scope gets no stored answer."""
    request = passing(desk, "Authorize")
    desk.operator.send("Authorize", request)
    tighten()
    assert desk.other.refused("Authorize", request).code is grpc.StatusCode.INVALID_ARGUMENT
    assert desk.platform.refused("Authorize", request).code is grpc.StatusCode.PERMISSION_DENIED


def test_a_tombstone_is_no_answer_to_an_authorize(desk: Desks, tighten: Tighten) -> None:
    """An Authorize that was reversed before it arrived was never answered: the present rules
    count."""
    request = passing(desk, "Authorize")
    origin = {"user_id": request.user_id, "authorize_request_id": request.request_id}
    assert desk.operator.call("ReverseAuthorization", origin=origin).tombstone
    tighten()
    assert refused_today(desk, "Authorize", request)


def test_an_invalid_request_id_is_not_looked_up(desk: Desks, tighten: Tighten) -> None:
    """A request id with NUL in it, or an empty one, is not looked up."""
    request = AuthorizeRequest(user_id="ann", product_id="bike", request_id="r-\0")
    tighten()
    assert refused_today(desk, "Authorize", request)
    request.request_id = ""
    refusal = desk.operator.refused("Authorize", request.SerializeToString())
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT


# -- people in bulk ------------------------------------------------------------------------------


def people(desk: Desks, *names: str) -> PutUsersRequest:
    """A bulk call that registers these people."""
    users = [user_with(name, 620.0) for name in names]
    return PutUsersRequest(request_id=desk.platform.fresh("put"), users=users)


def test_a_bulk_call_gets_its_first_answer(desk: Desks, tighten: Tighten) -> None:
    """A repeated bulk call gets the profiles of the first, in the order of its people."""
    request = people(desk, "bulk-b", "bulk-a")
    first = desk.platform.send("PutUsers", request)
    desk.platform.put(user_with("bulk-a", 720.0, as_of_s=START_US // 1_000_000 + 1))
    tighten()
    assert desk.platform.send("PutUsers", request) == first


def test_other_people_in_a_bulk_call_are_named(desk: Desks, tighten: Tighten) -> None:
    """A bulk call under the same id with other people or features is ALREADY_EXISTS."""
    request = people(desk, "bulk-c")
    desk.platform.send("PutUsers", request)
    tighten()
    request.users[0].features["score"] = 1.0
    told = desk.platform.refused("PutUsers", request)
    assert (told.code, told.info.metadata["field"]) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "users[0].features",
    )
    request.users[0].user_id = "bulk-d"
    told = desk.platform.refused("PutUsers", request)
    assert told.info.metadata["field"] == "users"


def test_an_unfinished_bulk_call_is_new(desk: Desks, tighten: Tighten) -> None:
    """If only some people of a bulk call were stored, the present rules apply to the other people,
    and the call may be refused."""
    request = people(desk, "bulk-e", "bulk-f")
    desk.platform.send("PutUsers", request)
    with desk.served.store.engine.begin() as connection:
        connection.exec_driver_sql(
            "DELETE FROM requests WHERE request_id = ?", (f"{request.request_id}/bulk-f",)
        )
    tighten()
    assert refused_today(desk, "PutUsers", request)


# -- the cost ------------------------------------------------------------------------------------


def test_an_accepted_call_is_not_looked_up_before_the_batch(
    desk: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server looks for a first answer outside the batch only after a refusal."""
    asked: list[str] = []
    records = Retries.records

    async def watched(self: Retries, call: Any, caller: str, request_ids: Any) -> Any:
        asked.extend(request_ids)
        return await records(self, call, caller, request_ids)

    monkeypatch.setattr(Retries, "records", watched)
    request = passing(desk, "SettleAuthorization")
    desk.operator.send("SettleAuthorization", request)
    desk.operator.send("SettleAuthorization", request)
    desk.platform.person()
    assert asked == []
    request.amount.CopyFrom(yuan(-1))
    assert desk.operator.refused("SettleAuthorization", request).reason == "REQUEST_ID_REUSED"
    assert asked == [request.request_id]
