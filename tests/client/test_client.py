"""The client, with a small server on a real socket."""

from __future__ import annotations

import asyncio
import pkgutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import SimpleNamespace

import freehold.client
import grpc
import pytest
from freehold import v1
from freehold.client import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MAX_ATTEMPTS,
    AsyncClient,
    Client,
    FieldViolation,
    FreeholdError,
    failure_of,
)
from freehold.method import Method
from freehold.methods import Methods
from freehold.v1 import authorization_service_pb2_grpc
from freehold.v1.authorization_service_pb2 import (
    AuthorizeOutcome,
    AuthorizeRequest,
    AuthorizeResponse,
    BatchAuthorizeRequest,
    BatchAuthorizeResponse,
)
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

Answer = Callable[[AuthorizeRequest, grpc.ServicerContext], AuthorizeResponse]
REQUEST = AuthorizeRequest(request_id="r-1", user_id="u-1", product_id="bike")


class FakeServer(authorization_service_pb2_grpc.AuthorizationServiceServicer):
    """Answers Authorize with a list of functions; the last one answers all later calls."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [accept]
        self.requests: list[AuthorizeRequest] = []
        self.batches: list[list[str]] = []
        """The request ids of the items of each BatchAuthorize."""
        self.outcomes: dict[str, list[Message]] = {}
        """For some request ids, the refusals of the item, one for each time that it comes."""
        self.metadata: dict[str, str | bytes] = {}
        self.remaining_s: float = 0.0
        self.address = ""

    def Authorize(
        self, request: AuthorizeRequest, context: grpc.ServicerContext
    ) -> AuthorizeResponse:
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        self.remaining_s = context.time_remaining()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request, context)

    def BatchAuthorize(
        self, request: BatchAuthorizeRequest, context: grpc.ServicerContext
    ) -> BatchAuthorizeResponse:
        self.batches.append([it.request_id for it in request.items])
        if len(self.answers) > 1:
            self.answers.pop(0)(AuthorizeRequest(), context)
        response = BatchAuthorizeResponse()
        for item in request.items:
            refusals = self.outcomes.get(item.request_id)
            one = response.outcomes.add()
            if refusals:
                one.error.MergeFromString(refusals.pop(0).SerializeToString())
            else:
                one.response.authorization.request_id = item.request_id
        return response


def accept(request: AuthorizeRequest, context: grpc.ServicerContext) -> AuthorizeResponse:
    response = AuthorizeResponse()
    response.authorization.request_id = request.request_id
    return response


def status_of(code: grpc.StatusCode, message: str, *details: Message) -> Status:
    status = Status(code=code.value[0], message=message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def refuse(code: grpc.StatusCode, message: str, *details: Message) -> Answer:
    def answer(request: AuthorizeRequest, context: grpc.ServicerContext) -> AuthorizeResponse:
        status = status_of(code, message, *details)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, message)
        raise AssertionError("abort returned")

    return answer


def retry_info(delay_s: float) -> RetryInfo:
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(int(delay_s * 1e9))
    return info


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    servicer = FakeServer()
    with ThreadPoolExecutor(max_workers=2) as pool:
        server = grpc.server(pool)
        register = authorization_service_pb2_grpc.add_AuthorizationServiceServicer_to_server
        register(servicer, server)  # type: ignore[no-untyped-call]
        servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        yield servicer
        server.stop(None).wait()


@pytest.fixture
def client(fake: FakeServer) -> Iterator[Client]:
    with Client(fake.address, "key-1", plaintext=True) as client:
        yield client


def ask(fake: FakeServer, key: str = "key-1", timeout_s: float = 10) -> AuthorizeResponse:
    """One call of the asynchronous client, in its own event loop."""

    async def talk() -> AuthorizeResponse:
        async with AsyncClient(fake.address, key, plaintext=True, timeout_s=timeout_s) as client:
            return await client.authorize(REQUEST)

    return asyncio.run(talk())


def test_key_and_deadline(fake: FakeServer, client: Client) -> None:
    """Every call carries the key as a bearer token and has a deadline."""
    assert client.authorize(REQUEST).authorization.request_id == "r-1"
    assert fake.metadata["authorization"] == "Bearer key-1"
    assert 0 < fake.remaining_s < 11
    client.authorize(REQUEST, timeout_s=300)
    assert 200 < fake.remaining_s < 310


def test_async_key_and_deadline(fake: FakeServer) -> None:
    """The asynchronous client sends the same key and deadline as the blocking one."""
    answer = ask(fake, "key-2", timeout_s=300)
    assert answer.authorization.request_id == "r-1"
    assert fake.metadata["authorization"] == "Bearer key-2"
    assert 200 < fake.remaining_s < 310


def test_typed_error(fake: FakeServer, client: Client) -> None:
    """A refusal arrives as code, reason, message, metadata and field violations."""
    fake.answers = [
        refuse(
            grpc.StatusCode.INVALID_ARGUMENT,
            "two fields are wrong",
            ErrorInfo(reason="INVALID_FIELDS", domain="freehold", metadata={"n": "2"}),
            BadRequest(
                field_violations=[
                    BadRequest.FieldViolation(field="user_id", description="is empty"),
                    BadRequest.FieldViolation(field="start", description="is unknown"),
                ]
            ),
        )
    ]
    with pytest.raises(FreeholdError) as caught:
        client.authorize(REQUEST)
    error = caught.value
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.reason, error.message) == ("INVALID_FIELDS", "two fields are wrong")
    assert error.metadata == {"n": "2"}
    assert error.field_violations == (
        FieldViolation("user_id", "is empty"),
        FieldViolation("start", "is unknown"),
    )
    assert error.retry_delay_s is None
    assert str(error) == (
        "INVALID_ARGUMENT INVALID_FIELDS: two fields are wrong; "
        "user_id: is empty; start: is unknown"
    )
    assert len(fake.requests) == 1


def test_async_typed_error(fake: FakeServer) -> None:
    """The asynchronous client raises the same typed error."""
    fake.answers = [
        refuse(grpc.StatusCode.NOT_FOUND, "no such thing", ErrorInfo(reason="NOT_THERE"))
    ]
    with pytest.raises(FreeholdError) as caught:
        ask(fake)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_THERE")


def test_damaged_details(fake: FakeServer, client: Client) -> None:
    """Details that cannot be read leave the code and the message."""

    def answer(request: AuthorizeRequest, context: grpc.ServicerContext) -> AuthorizeResponse:
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff\xff"),))
        context.abort(grpc.StatusCode.ABORTED, "stale")
        raise AssertionError("abort returned")

    fake.answers = [answer]
    with pytest.raises(FreeholdError) as caught:
        client.authorize(REQUEST)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.ABORTED, "")
    assert caught.value.message == "stale"


def test_unavailable_is_sent_again_unchanged(fake: FakeServer, client: Client) -> None:
    """After UNAVAILABLE the same request is sent again."""
    fake.answers = [
        refuse(grpc.StatusCode.UNAVAILABLE, "not yet"),
        refuse(grpc.StatusCode.UNAVAILABLE, "not yet"),
        accept,
    ]
    assert client.authorize(REQUEST).authorization.request_id == "r-1"
    assert fake.requests == [REQUEST] * 3


def test_async_unavailable_is_sent_again(fake: FakeServer) -> None:
    """The asynchronous client retries UNAVAILABLE too."""
    fake.answers = [refuse(grpc.StatusCode.UNAVAILABLE, "not yet"), accept]
    ask(fake)
    assert fake.requests == [REQUEST] * 2


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_call_that_the_server_cancelled_is_sent_again(
    fake: FakeServer, client: Client, asynchronous: bool
) -> None:
    """After CANCELLED, which the caller did not ask for, the same request is sent again."""
    fake.answers = [refuse(grpc.StatusCode.CANCELLED, "CANCELLED"), accept]
    answer = ask(fake) if asynchronous else client.authorize(REQUEST)
    assert answer.authorization.request_id == "r-1"
    assert fake.requests == [REQUEST, REQUEST]


def test_a_call_of_a_closed_client_is_not_sent_again(fake: FakeServer) -> None:
    """A call under way ends with CANCELLED when its client is closed, and is not sent again."""
    begun, over = threading.Event(), threading.Event()

    def wait(request: AuthorizeRequest, context: grpc.ServicerContext) -> AuthorizeResponse:
        begun.set()
        over.wait(10)
        return accept(request, context)

    fake.answers = [wait]
    failures: list[FreeholdError] = []
    closed = Client(fake.address, "key-1", plaintext=True)

    def call() -> None:
        with pytest.raises(FreeholdError) as caught:
            closed.authorize(REQUEST)
        failures.append(caught.value)

    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(10)
    closed.close()
    thread.join(10)
    over.set()
    assert [it.code for it in failures] == [grpc.StatusCode.CANCELLED]
    assert fake.requests == [REQUEST]


def test_retries_of_unavailable_end(
    fake: FakeServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stays unavailable is called, more and more rarely, until the deadline."""
    fake.answers = [refuse(grpc.StatusCode.UNAVAILABLE, "gone", ErrorInfo(reason="DRAINING"))]
    pauses: list[float] = []
    # Only the pauses take time, so that a busy machine counts for nothing.
    clock = SimpleNamespace(monotonic=lambda: sum(pauses), sleep=pauses.append)
    monkeypatch.setattr(freehold.client, "time", clock)
    with pytest.raises(FreeholdError) as caught:
        client.authorize(REQUEST, timeout_s=60)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert len(fake.requests) == len(pauses) + 1
    assert 60 - 1.5 * LONGEST_PAUSE_S <= sum(pauses) < 60
    for number, pause_s in enumerate(pauses):
        mean_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**number)
        assert 0.5 * mean_s <= pause_s <= 1.5 * mean_s


def test_a_restart_is_outlived(fake: FakeServer, unused_address: str) -> None:
    """A call that finds no server is answered by the one that starts later at the address."""
    late = grpc.server(ThreadPoolExecutor(1))
    register = authorization_service_pb2_grpc.add_AuthorizationServiceServicer_to_server
    register(fake, late)  # type: ignore[no-untyped-call]
    with (
        Client(unused_address, "key", plaintext=True) as client,
        ThreadPoolExecutor(1) as caller,
    ):
        answer = caller.submit(client.authorize, REQUEST, timeout_s=30)
        time.sleep(0.5)
        assert not answer.done()
        assert late.add_insecure_port(unused_address) > 0
        late.start()
        assert answer.result().authorization.request_id == "r-1"
    late.stop(None)


def test_exhausted_with_retry_info_is_sent_again(fake: FakeServer, client: Client) -> None:
    """RESOURCE_EXHAUSTED is retried after the delay in RetryInfo."""
    fake.answers = [
        refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue full", retry_info(0.2)),
        accept,
    ]
    began = time.monotonic()
    client.authorize(REQUEST)
    assert time.monotonic() - began >= 0.2
    assert fake.requests == [REQUEST] * 2


def test_async_exhausted_with_retry_info(fake: FakeServer) -> None:
    """The asynchronous client retries RESOURCE_EXHAUSTED, and gives up after a bounded number."""
    fake.answers = [refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_info(0.01))]
    with pytest.raises(FreeholdError) as caught:
        ask(fake)
    assert caught.value.retry_delay_s == pytest.approx(0.01)
    assert len(fake.requests) == MAX_ATTEMPTS


def test_exhausted_without_retry_info_is_final(fake: FakeServer, client: Client) -> None:
    """RESOURCE_EXHAUSTED without RetryInfo, such as an exhausted line, is not retried."""
    fake.answers = [
        refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "line", ErrorInfo(reason="LINE_EXHAUSTED"))
    ]
    with pytest.raises(FreeholdError) as caught:
        client.authorize(REQUEST)
    assert caught.value.reason == "LINE_EXHAUSTED"
    assert len(fake.requests) == 1


def test_no_wait_beyond_the_deadline(fake: FakeServer, client: Client) -> None:
    """The client does not wait for a delay that is longer than the deadline."""
    fake.answers = [refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_info(300))]
    began = time.monotonic()
    with pytest.raises(FreeholdError) as caught:
        client.authorize(REQUEST, timeout_s=60)
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert time.monotonic() - began < 60
    assert len(fake.requests) == 1


def test_slow_server_exceeds_the_deadline(fake: FakeServer, client: Client) -> None:
    """A server that does not answer in time gives DEADLINE_EXCEEDED with an empty reason."""

    def answer(request: AuthorizeRequest, context: grpc.ServicerContext) -> AuthorizeResponse:
        time.sleep(0.5)
        return accept(request, context)

    fake.answers = [answer]
    with pytest.raises(FreeholdError) as caught:
        client.authorize(REQUEST, timeout_s=0.1)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "")


def test_no_server(unused_address: str) -> None:
    """Without a server the error is UNAVAILABLE, within the deadline."""
    with (
        Client(unused_address, "key", plaintext=True) as client,
        pytest.raises(FreeholdError) as caught,
    ):
        client.authorize(REQUEST, timeout_s=2)
    assert caught.value.code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )


@pytest.fixture
def unused_address() -> str:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_plaintext_with_credentials_is_refused() -> None:
    """A plaintext channel with credentials is refused as a contradiction."""
    with pytest.raises(ValueError, match="plaintext"):
        Client("127.0.0.1:1", "key", plaintext=True, credentials=grpc.ssl_channel_credentials())


def test_keys_are_sent_encrypted_by_default(fake: FakeServer) -> None:
    """Without plaintext=True a client does not talk to a server without a certificate."""
    with Client(fake.address, "key") as client, pytest.raises(FreeholdError):
        client.authorize(REQUEST, timeout_s=1)
    assert fake.requests == []


def test_every_method_of_the_contract() -> None:
    """The client has every method of every service, with its request and answer types."""
    declared = {
        f"/{service.full_name}/{method.name}": (method.input_type, method.output_type)
        for module in pkgutil.iter_modules(v1.__path__)
        if module.name.endswith("service_pb2")
        for service in import_module(
            f"{v1.__name__}.{module.name}"
        ).DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    offered = {
        member.path: (member.request.DESCRIPTOR, member.response.DESCRIPTOR)
        for member in vars(Methods).values()
        if isinstance(member, Method)
    }
    assert offered == declared


UNAVAILABLE = status_of(grpc.StatusCode.UNAVAILABLE, "away")
BATCH = BatchAuthorizeRequest(
    items=[
        AuthorizeRequest(request_id=f"r-{number}", user_id="u-1", product_id="bike")
        for number in range(5)
    ]
)


def limited(delay_s: float) -> Status:
    return status_of(grpc.StatusCode.RESOURCE_EXHAUSTED, "too fast", retry_info(delay_s))


def sent_by(kind: str, fake: FakeServer, timeout_s: float = 10) -> list[AuthorizeOutcome]:
    """The outcomes that a client of this kind has of the batch."""

    async def talk() -> BatchAuthorizeResponse:
        async with AsyncClient(fake.address, "key-1", plaintext=True, timeout_s=timeout_s) as it:
            return await it.batch_authorize(BATCH)

    if kind == "asynchronous":
        return list(asyncio.run(talk()).outcomes)
    with Client(fake.address, "key-1", plaintext=True, timeout_s=timeout_s) as client:
        return list(client.batch_authorize(BATCH).outcomes)


KINDS = pytest.mark.parametrize("kind", ["blocking", "asynchronous"])


@KINDS
def test_only_the_items_that_may_be_retried_are_sent_again(fake: FakeServer, kind: str) -> None:
    """Of a batch, the client sends those items again that are UNAVAILABLE or have a RetryInfo, with
    the same request ids; each outcome stands at the place of its item."""
    fake.outcomes = {
        "r-1": [UNAVAILABLE, UNAVAILABLE],
        "r-2": [status_of(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", ErrorInfo(reason="FULL"))],
        "r-3": [limited(0.01)],
        "r-4": [status_of(grpc.StatusCode.DEADLINE_EXCEEDED, "late")],
    }
    outcomes = sent_by(kind, fake)
    assert fake.batches == [["r-0", "r-1", "r-2", "r-3", "r-4"], ["r-1", "r-3"], ["r-1"]]
    errors = [failure_of(it) for it in outcomes]
    assert [error and error.code.name for error in errors] == [
        *(None, None, "RESOURCE_EXHAUSTED", None, "DEADLINE_EXCEEDED"),
    ]
    assert errors[2] is not None
    assert (errors[2].reason, errors[2].message) == ("FULL", "full")
    assert [it.response.authorization.request_id for it in outcomes] == [
        *("r-0", "r-1", "", "r-3", ""),
    ]


@KINDS
def test_an_item_that_stays_refused_has_its_last_outcome(fake: FakeServer, kind: str) -> None:
    """If items are still refused at the deadline, or if the calls that send them again fail, the
    batch ends with their last outcomes, and the answers of the others are not lost."""
    fake.outcomes = {"r-1": [UNAVAILABLE] * 100}
    outcomes = sent_by(kind, fake, timeout_s=0.6)
    assert [it.WhichOneof("result") for it in outcomes] == [
        *("response", "error", "response", "response", "response"),
    ]
    fake.batches.clear()
    fake.outcomes = {"r-1": [UNAVAILABLE]}
    denied = refuse(grpc.StatusCode.PERMISSION_DENIED, "no longer")
    fake.answers = [lambda _request, _context: AuthorizeResponse(), denied, accept]
    outcomes = sent_by(kind, fake)
    assert fake.batches[1:] == [["r-1"]]
    error = failure_of(outcomes[1])
    assert error is not None
    assert error.code is grpc.StatusCode.UNAVAILABLE


@KINDS
def test_a_batch_that_was_refused_as_a_whole_is_an_error(fake: FakeServer, kind: str) -> None:
    """If the whole batch is refused, the call raises; after UNAVAILABLE it is sent again first."""
    away = refuse(grpc.StatusCode.UNAVAILABLE, "away")
    fake.answers = [away, refuse(grpc.StatusCode.PERMISSION_DENIED, "no"), accept]
    with pytest.raises(FreeholdError) as refusal:
        sent_by(kind, fake)
    assert refusal.value.code is grpc.StatusCode.PERMISSION_DENIED
    assert len(fake.batches) == 2
