"""Shared by the tests over the wire: raw calls by name, refusals taken apart, rentals."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import pkgutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import grpc
from freehold import v1
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    ConfirmAuthorizationRequest,
    ConfirmAuthorizationResponse,
    GetAuthorizationRequest,
    GetAuthorizationResponse,
    ListAuthorizationsRequest,
    ListAuthorizationsResponse,
    ReverseAuthorizationRequest,
    ReverseAuthorizationResponse,
    SettleAuthorizationRequest,
    SettleAuthorizationResponse,
    StartRentalRequest,
    StartRentalResponse,
)
from freehold.v1.credit_service_pb2 import (
    CreditProfile,
    GetCreditProfileRequest,
    GetCreditProfileResponse,
    PutUsersRequest,
    PutUsersResponse,
    RecordPaymentRequest,
    RecordPaymentResponse,
    User,
)
from freehold.v1.ledger_service_pb2 import VerifyBooksRequest, VerifyBooksResponse
from freehold.v1.sandbox_service_pb2 import AdvanceClockRequest, AdvanceClockResponse
from freehold.v1.types_pb2 import Money
from google.protobuf import message_factory
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from sqlalchemy import Engine

from service.app import App
from service.clock import SandboxClock
from service.config import Limits
from service.domain.access import PLATFORM, new_key, possible_scopes
from service.engine.records.administration import NewKey
from service.parts import Parts
from service.storage import admin, persons
from service.storage.store import SqlStore
from tests.fakes import (
    DEFAULT,
    OPERATOR,
    OTHER_OPERATOR,
    START_US,
    CountingIds,
    FakeScored,
    FakeScorer,
    FakeUnscorable,
    Served,
    new_database,
)
from tests.rpc.receipts import without_receipt

T = TypeVar("T")

START_S = START_US // 1_000_000
TIMEOUT_S = 30.0
"""The longest wait of a test; reached only when something is wrong."""
NOWHERE = f"users/nobody/authorizations/{'0' * 20}"
NO_CASE = f"{NOWHERE}/cases/{'0' * 20}"
BIKE_MINOR = 19_900
UMBRELLA_MINOR = 5_900


class Rpc(NamedTuple):
    """One method of the contract, from its descriptor."""

    service: str
    name: str
    request: type[Message]
    response: type[Message]

    @property
    def path(self) -> str:
        """The HTTP/2 path."""
        return f"/{self.service}/{self.name}"


def _rpcs() -> Iterator[Rpc]:
    names = [it.name for it in pkgutil.iter_modules(v1.__path__) if it.name.endswith("service_pb2")]
    modules = [importlib.import_module(f"{v1.__name__}.{name}") for name in names]
    for module in modules:
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield Rpc(
                    service.full_name,
                    method.name,
                    message_factory.GetMessageClass(method.input_type),
                    message_factory.GetMessageClass(method.output_type),
                )


RPCS = {rpc.name: rpc for rpc in _rpcs()}
OF_CASES = tuple(it.name for it in RPCS.values() if it.service == "freehold.v1.CaseService")
OF_OPERATORS = tuple(f"freehold.v1.{it}Service" for it in ("Authorization", "Pass"))
OPERATOR_RPCS = OF_CASES + tuple(it.name for it in RPCS.values() if it.service in OF_OPERATORS)
PLATFORM_RPCS = tuple(name for name in RPCS if name not in OPERATOR_RPCS)
ADMINISTRATION = tuple(f"freehold.v1.{it}Service" for it in ("Admin", "Admission", "Terms"))
ADMIN_RPCS = tuple(it.name for it in RPCS.values() if it.service in ADMINISTRATION)
"""Methods on keys, persons, approvals and listings."""
SHARED_RPCS = ("ClaimReturn", *OF_CASES, *ADMIN_RPCS)
"""Methods of both operators and the platform."""
MUTATIONS = tuple(
    name
    for name, rpc in RPCS.items()
    if "request_id" in rpc.request.DESCRIPTOR.fields_by_name and name not in ADMIN_RPCS
)
"""Methods that change something in the books or for a user."""
BATCHED = {"BatchAuthorize": "Authorize", "BatchSettle": "SettleAuthorization"}
"""Methods with requests of another method as their items; each item is checked by itself."""
FOLLOWING = tuple(
    name for name in MUTATIONS if "expected_version" in RPCS[name].request.DESCRIPTOR.fields_by_name
)
"""Methods that change an authorization; each names it in `name`, RecordPayment in
`authorization`."""


EVERY = sorted(RPCS)
OPERATORS_FOLLOWING = tuple(name for name in FOLLOWING if name in OPERATOR_RPCS)
"""The operators' methods among those that change an authorization."""


class Refused(Exception):
    """The status of a call that did not end with OK, taken apart."""

    def __init__(self, error: Any) -> None:
        super().__init__(f"{error.code()}: {error.details()}")
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details()
        self.trailers = [
            (name, value if isinstance(value, bytes) else value.encode())
            for name, value in error.trailing_metadata() or ()
        ]
        self.raw = next((v for name, v in self.trailers if name == "grpc-status-details-bin"), None)
        self.status = Status.FromString(self.raw or b"")

    def _detail(self, kind: type[Any]) -> Any:
        found = [detail for detail in self.status.details if detail.Is(kind.DESCRIPTOR)]
        if not found:
            return None
        assert len(found) == 1
        unpacked = kind()
        found[0].Unpack(unpacked)
        return unpacked

    @property
    def info(self) -> ErrorInfo:
        """The ErrorInfo that every refusal of Freehold has; its form is checked."""
        info: ErrorInfo | None = self._detail(ErrorInfo)
        assert info is not None, f"no ErrorInfo: {self}"
        assert info.domain == "freehold"
        assert info.reason
        assert info.reason == info.reason.upper()
        assert self.status.code == self.code.value[0]
        assert self.status.message == self.message
        return info

    @property
    def reason(self) -> str:
        """The stable reason."""
        return str(self.info.reason)

    @property
    def fields(self) -> set[str]:
        """Paths of the fields in the violations."""
        bad: BadRequest | None = self._detail(BadRequest)
        assert bad is not None, f"no BadRequest: {self}"
        assert all(it.reason and it.description for it in bad.field_violations)
        return {it.field for it in bad.field_violations}

    @property
    def retry_s(self) -> float | None:
        """The delay after which a retry may help; None if the error has no delay."""
        retry: RetryInfo | None = self._detail(RetryInfo)
        return None if retry is None else retry.retry_delay.ToNanoseconds() / 1e9


class Caller:
    """A client with a key (or without one) and a connection."""

    _numbers = itertools.count(1)

    def __init__(
        self, address: str, key: str | None, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self._channel = (
            grpc.insecure_channel(address, options)
            if credentials is None
            else grpc.secure_channel(address, credentials, options)
        )
        self.metadata: tuple[tuple[str, str], ...] = (
            () if key is None else (("authorization", f"Bearer {key}"),)
        )

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def send(
        self,
        name: str,
        request: Message | bytes,
        *,
        timeout: float = TIMEOUT_S,
        metadata: Sequence[tuple[str, str]] | None = None,
    ) -> bytes:
        """The answer's bytes; raises Refused."""
        body = request if isinstance(request, bytes) else request.SerializeToString()
        call = self._channel.unary_unary(RPCS[name].path)
        sent = self.metadata if metadata is None else metadata
        try:
            answer: bytes = call(body, timeout=timeout, metadata=sent)
        except grpc.RpcError as error:
            raise Refused(error) from error
        return answer

    def refused(self, name: str, request: Message | bytes, **options: Any) -> Refused:
        """The refusal of a call that must be refused."""
        try:
            self.send(name, request, **options)
        except Refused as error:
            return error
        raise AssertionError(f"{name} was not refused: {request!r}")

    def call(self, method: str, /, **parts: Any) -> Any:
        """The response of a method; its request is made from fields, with a fresh request id."""
        request: Any = RPCS[method].request(**parts)
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            request.request_id = request.request_id or self.fresh()
        return RPCS[method].response.FromString(self.send(method, request))

    def fresh(self, prefix: str = "r") -> str:
        """An id that no test used before."""
        return f"{prefix}-{next(self._numbers)}"

    # -- the calls, with defaults for the fields that a test ignores -------------------------

    def authorize(
        self, user_id: str, product_id: str = "bike", *, request_id: str = "", **parts: Any
    ) -> Authorization:
        """An Authorize; the other fields by keyword."""
        request = AuthorizeRequest(
            request_id=request_id or self.fresh(), user_id=user_id, product_id=product_id, **parts
        )
        return AuthorizeResponse.FromString(self.send("Authorize", request)).authorization

    def confirm(
        self, name: str, paid_minor: int, *, reference: str = "", request_id: str = ""
    ) -> Authorization:
        """A ConfirmAuthorization in yuan."""
        request = ConfirmAuthorizationRequest(
            request_id=request_id or self.fresh(),
            name=name,
            payment_reference=reference or self.fresh("pay"),
            paid=yuan(paid_minor),
        )
        answer = self.send("ConfirmAuthorization", request)
        return ConfirmAuthorizationResponse.FromString(answer).authorization

    def start(self, name: str, asset_id: str = "", *, request_id: str = "") -> Authorization:
        """A StartRental."""
        request = StartRentalRequest(
            request_id=request_id or self.fresh(), name=name, asset_id=asset_id
        )
        return StartRentalResponse.FromString(self.send("StartRental", request)).authorization

    def get(self, name: str) -> Authorization:
        """A GetAuthorization."""
        answer = self.send("GetAuthorization", GetAuthorizationRequest(name=name))
        return GetAuthorizationResponse.FromString(answer).authorization

    def page(self, **parts: Any) -> ListAuthorizationsResponse:
        """A ListAuthorizations."""
        answer = self.send("ListAuthorizations", ListAuthorizationsRequest(**parts))
        return ListAuthorizationsResponse.FromString(answer)

    def settle(
        self, name: str, amount_minor: int, *, request_id: str = "", **parts: Any
    ) -> Authorization:
        """A SettleAuthorization in yuan; the authorization without its receipt."""
        request = SettleAuthorizationRequest(
            request_id=request_id or self.fresh(), name=name, amount=yuan(amount_minor), **parts
        )
        answer = self.send("SettleAuthorization", request)
        return without_receipt(SettleAuthorizationResponse.FromString(answer).authorization)

    def reverse(self, name: str, *, request_id: str = "", **parts: Any) -> Authorization:
        """A ReverseAuthorization by name."""
        request = ReverseAuthorizationRequest(
            request_id=request_id or self.fresh(), name=name, **parts
        )
        answer = self.send("ReverseAuthorization", request)
        return ReverseAuthorizationResponse.FromString(answer).authorization

    def put(self, *users: User, request_id: str = "") -> list[CreditProfile]:
        """A PutUsers."""
        request = PutUsersRequest(request_id=request_id or self.fresh("put"), users=users)
        return list(PutUsersResponse.FromString(self.send("PutUsers", request)).profiles)

    def person(self, score: float = 620.0, **parts: Any) -> str:
        """A fresh person with this score; the id."""
        user = user_with(self.fresh("person"), score, **parts)
        self.put(user)
        return user.user_id

    def profile(self, user_id: str) -> CreditProfile:
        """A GetCreditProfile."""
        answer = self.send("GetCreditProfile", GetCreditProfileRequest(user_id=user_id))
        return GetCreditProfileResponse.FromString(answer).profile

    def pay(
        self, authorization: str, amount_minor: int, *, reference: str = "", request_id: str = ""
    ) -> Authorization:
        """A RecordPayment in yuan."""
        request = RecordPaymentRequest(
            request_id=request_id or self.fresh(),
            authorization=authorization,
            payment_reference=reference or self.fresh("pay"),
            amount=yuan(amount_minor),
        )
        return RecordPaymentResponse.FromString(self.send("RecordPayment", request)).authorization

    def verify(self) -> VerifyBooksResponse:
        """A VerifyBooks."""
        return VerifyBooksResponse.FromString(self.send("VerifyBooks", VerifyBooksRequest()))


class Desks(NamedTuple):
    """A server with its callers: two operators, and three people of the platform.

    `admin` administers keys.
    """

    served: Served
    operator: Caller
    other: Caller
    platform: Caller
    colleague: Caller
    admin: Caller

    def caller_for(self, name: str) -> Caller:
        """The caller with the scope for a method."""
        if name in ADMIN_RPCS:
            return self.admin
        return self.operator if name in OPERATOR_RPCS else self.platform


def add_person(engine: Engine, person_id: str, owner: str = PLATFORM) -> None:
    """Adds a person, as the command does."""
    asked = admin.by_shell("add_person", [owner, person_id], "", "tester")
    persons.add_person(engine, asked, owner, person_id, person_id.title(), START_US, lambda _: b"")


@contextmanager
def desks(served: Served) -> Iterator[Desks]:
    """Callers for each of the server's keys."""
    engine, colleagues_key, admins_key = served.store.engine, new_key(), new_key()
    admin.add_key(engine, colleagues_key, None, START_US)
    add_person(engine, "root")
    scopes = frozenset(map(str, possible_scopes(None)))
    wanted = NewKey(None, "root", scopes=scopes)
    admin.add_key(engine, admins_key, None, START_US, wanted=wanted)
    keys = (
        *(served.operator_key, served.other_operator_key),
        *(served.platform_key, colleagues_key, admins_key),
    )
    callers = [Caller(served.address, key) for key in keys]
    try:
        yield Desks(served, *callers)
    finally:
        for caller in callers:
            caller.close()


def advance(desk: Desks, seconds: float) -> AdvanceClockResponse:
    """Moves the clock of a sandbox server by this many seconds."""
    request = AdvanceClockRequest()
    request.now.FromMicroseconds(desk.served.clock.now_us() + round(seconds * 1_000_000))
    return AdvanceClockResponse.FromString(desk.platform.send("AdvanceClock", request))


def set_name(method: str, request: Any, name: str) -> None:
    """Names an authorization in a request."""
    setattr(request, "authorization" if method == "RecordPayment" else "name", name)


def violated(caller: Caller, method: str, request: Message | bytes) -> set[str]:
    """The fields in the violations of a refused call."""
    refusal = caller.refused(method, request)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "INVALID_INPUT"
    return refusal.fields


def yuan(amount_minor: int) -> Money:
    """An amount in fen."""
    return Money(currency_code="CNY", amount_minor=amount_minor)


def user_with(user_id: str, score: float, *, consent: bool = True, as_of_s: int = START_S) -> User:
    """A person with this score from the fake model."""
    user = User(user_id=user_id, features={"score": score}, scoring_consent=consent)
    user.as_of.seconds = as_of_s
    return user


def together(tasks: Sequence[Callable[[], T]]) -> list[T | Refused]:
    """Each task's result or refusal; all start at one barrier, each in a thread."""
    barrier = threading.Barrier(len(tasks))
    results: list[T | Refused | BaseException] = [AssertionError("never ran")] * len(tasks)

    def run(place: int, task: Callable[[], T]) -> None:
        try:
            barrier.wait(TIMEOUT_S)
            results[place] = task()
        except BaseException as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(place, task)) for place, task in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * TIMEOUT_S)
    answers: list[T | Refused] = []
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Refused):
            raise result
        answers.append(result)
    return answers


def outcome(call: Callable[[], T]) -> T | Refused:
    """A call's result or its refusal."""
    try:
        return call()
    except Refused as error:
        return error


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition; fails when it stays false."""
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.005)


class GatedScorer(FakeScorer):
    """A scorer that waits while its gate is closed, and so keeps the writer busy. It reports when
    it waits."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def scored(self, margin: float, extrapolated: tuple[str, ...]) -> FakeScored:
        """A score that was kept."""
        self._wait()
        return super().scored(margin, extrapolated)

    def _one(self, value: float) -> FakeScored | FakeUnscorable:
        self._wait()
        return super()._one(value)

    def _wait(self) -> None:
        self.entered.set()
        assert self.gate.wait(TIMEOUT_S)


@contextmanager
def serving_parts(
    folder: Path,
    *,
    scorer: FakeScorer | None = None,
    limits: Limits | None = None,
    store_of: Callable[[SqlStore], SqlStore] = lambda store: store,
) -> Iterator[Served]:
    """Like `fakes.serving`, with the test's own scorer and store."""
    store = store_of(new_database(f"sqlite:///{folder / 'freehold.db'}"))
    keys = [new_key() for _ in range(3)]
    for key, owner in zip(keys, (OPERATOR, OTHER_OPERATOR, None), strict=True):
        admin.add_key(store.engine, key, owner, START_US)
    clock = SandboxClock(START_US)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="server")
    thread.start()

    async def make() -> tuple[App, int]:
        parts = Parts(
            store,
            scorer or FakeScorer(),
            clock,
            CountingIds(),
            limits or Limits(),
            transport=DEFAULT.transport,
        )
        app = App(parts)
        return app, await app.start("127.0.0.1:0")

    try:
        app, port = asyncio.run_coroutine_threadsafe(make(), loop).result(TIMEOUT_S)
        try:
            yield Served(f"127.0.0.1:{port}", keys[0], keys[1], keys[2], store, clock, app, loop)
        finally:
            asyncio.run_coroutine_threadsafe(app.stop(), loop).result(TIMEOUT_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT_S)
        loop.close()
