"""A replayed answer says so, and since when, in its trailing metadata."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import grpc
import pytest
from freehold.client import AsyncClient, Client
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, AuthorizeResponse
from freehold.v1.credit_service_pb2 import PutUsersRequest
from google.protobuf.message import Message

from service.domain.errors import InvalidInput
from service.rpc import pipeline
from tests.rpc.examples import passing
from tests.rpc.support import (
    MUTATIONS,
    RPCS,
    TIMEOUT_S,
    Caller,
    Desks,
    advance,
    together,
    user_with,
)

HOUR_S = 3_600


class Told(NamedTuple):
    """An answer with its mark: the RFC 3339 time of the first answer, or None."""

    answer: bytes
    since: str | None


def told(caller: Caller, method: str, request: Message) -> Told:
    """Sends a request; its trailing metadata has nothing but the mark."""
    answer, call = caller._channel.unary_unary(RPCS[method].path).with_call(
        request.SerializeToString(), timeout=TIMEOUT_S, metadata=caller.metadata
    )
    trailers = dict(call.trailing_metadata() or ())
    since = trailers.pop("freehold-replayed", None)
    assert trailers == {}
    return Told(answer, since)


def now(desk: Desks) -> datetime:
    """The server's time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=desk.served.clock.now_us())


@pytest.mark.parametrize("method", MUTATIONS)
def test_r12_a_replay_is_marked_with_the_first_time(
    desk: Desks, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """R12: a fresh answer of any call has no mark. Every later answer to the same request has the
    time of the first answer in RFC 3339, even if the present input rules would refuse the
    request."""
    caller, request = desk.caller_for(method), passing(desk, method)
    advance(desk, 0.000_001)
    first = told(caller, method, request)
    at = now(desk)
    assert first.since is None
    for _ in range(2):
        advance(desk, HOUR_S)
        again = told(caller, method, request)
        assert again.answer == first.answer
        assert again.since is not None
        assert again.since.endswith("Z")
        assert datetime.fromisoformat(again.since) == at

    def refuse(kind: type[Message], body: bytes) -> Message:
        raise InvalidInput.of("user_id", "user_id.tightened", "no value is allowed any more")

    monkeypatch.setattr(pipeline, "parse", refuse)
    assert told(caller, method, request) == again


def test_r12_an_old_answer_is_marked_as_a_replay(desk: Desks) -> None:
    """R12: a hundred hours after the settlement, the repeated Authorize still answers ACTIVE, and
    its mark says since when."""
    request = AuthorizeRequest(
        request_id=desk.operator.fresh(), user_id=desk.platform.person(), product_id="umbrella"
    )
    at = now(desk)
    first = told(desk.operator, "Authorize", request)
    rental = AuthorizeResponse.FromString(first.answer).authorization
    desk.operator.settle(rental.name, 100)
    advance(desk, 100 * HOUR_S)
    again = told(desk.operator, "Authorize", request)
    assert AuthorizeResponse.FromString(again.answer).authorization.state == rental.STATE_ACTIVE
    assert again.since == at.isoformat(timespec="auto").replace("+00:00", "Z")
    assert desk.operator.get(rental.name).state == Authorization.STATE_SETTLED


def test_r12_of_equal_calls_at_once_one_is_fresh(desk: Desks) -> None:
    """R12: of equal calls that arrive together, one gets a fresh answer. The answers to the others
    are marked as replays."""
    request = passing(desk, "Authorize")
    answers = together([lambda: told(desk.operator, "Authorize", request)] * 8)
    assert len({it.answer for it in answers if isinstance(it, Told)}) == 1
    since = [it.since for it in answers if isinstance(it, Told)]
    assert len(since) == 8
    assert since.count(None) == 1
    assert len(set(since)) == 2


def test_r12_a_bulk_call_that_goes_on_is_no_replay(desk: Desks) -> None:
    """R12: a bulk call is not marked while some of its people are new. Once all are recorded, it is
    marked with the time of the last one."""
    names = [desk.platform.fresh("bulk") for _ in range(3)]
    users = [user_with(name, 620.0) for name in names]
    request = PutUsersRequest(request_id=desk.platform.fresh("put"), users=users)
    told(desk.platform, "PutUsers", request)
    with desk.served.store.engine.begin() as connection:
        connection.exec_driver_sql(
            "DELETE FROM requests WHERE request_id = ?", (f"{request.request_id}/{names[1]}",)
        )
    advance(desk, HOUR_S)
    at = now(desk)
    assert told(desk.platform, "PutUsers", request).since is None
    advance(desk, HOUR_S)
    since = told(desk.platform, "PutUsers", request).since
    assert since is not None
    assert datetime.fromisoformat(since) == at


def test_r12_a_refusal_and_a_read_have_no_mark(desk: Desks) -> None:
    """R12: neither a read nor a refusal is marked."""
    request = passing(desk, "Authorize")
    desk.operator.send("Authorize", request)
    other: Any = AuthorizeRequest.FromString(request.SerializeToString())
    other.product_id = "bike"
    refusal = desk.operator.refused("Authorize", other)
    assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
    assert {name for name, _ in refusal.trailers} == {"grpc-status-details-bin"}
    listed = RPCS["ListAuthorizations"].request()
    assert told(desk.operator, "ListAuthorizations", listed).since is None


def test_r12_both_clients_tell_of_a_replay(desk: Desks) -> None:
    """R12: both clients give the time of the first answer to `on_replay`, and call it for no fresh
    answer."""
    request, at = passing(desk, "Authorize"), now(desk)
    address, key = desk.served.address, desk.served.operator_key
    heard: list[datetime] = []
    with Client(address, key, plaintext=True) as client:
        first = client.authorize(request, on_replay=heard.append)
        assert heard == []
        assert client.authorize(request) == first
        assert client.authorize(request, on_replay=heard.append) == first
    assert heard == [at]

    async def talk() -> None:
        async with AsyncClient(address, key, plaintext=True) as client:
            assert await client.authorize(request, on_replay=heard.append) == first
            fresh = passing(desk, "Authorize")
            await client.authorize(fresh, on_replay=heard.append)

    asyncio.run(talk())
    assert heard == [at, at]
