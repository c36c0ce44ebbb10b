"""A typed client of Freehold for rental operators and for the platform.

    from freehold.client import Client
    from freehold.v1.authorization_service_pb2 import AuthorizeRequest

    with Client("freehold.example:443", key) as client:
        answer = client.authorize(
            AuthorizeRequest(request_id="r-1", user_id="u-1", product_id="bike")
        )

`Client` blocks, `AsyncClient` is awaited. Both take their methods from `Methods`, which is
generated from the contract.

A call that changes something carries a `request_id`, so that sending the same request again is
always safe. The client does so by itself. After UNAVAILABLE, as while a server restarts, it sends
the request again until the call's deadline, at growing intervals. It does the same after CANCELLED,
by which the server's gRPC refuses calls when too many wait. After RESOURCE_EXHAUSTED it sends the
request again if the server's google.rpc.RetryInfo says when, at most `MAX_ATTEMPTS` times in all.
Any other failure is a `FreeholdError`.

A request that was answered before gets the same answer again, however old. To recognise a replayed
answer, pass `on_replay`, a function that gets the time of the first answer:

    client.authorize(request, on_replay=lambda first: print("first answered at", first))

A batch (`batch_authorize`, `batch_settle`) has an outcome for each of its items. In the same cases
only the items concerned are sent again, with the same request ids, so an item may be done after a
later one. The answer has the last outcome of each item, in the order of the items. `failure_of`
gives the `FreeholdError` of an outcome, or None if it is an answer:

    for outcome in client.batch_authorize(BatchAuthorizeRequest(items=requests)).outcomes:
        print(failure_of(outcome) or outcome.response.authorization.name)

A call that a second person has approved names the proposal:

    client.record_payment(request, approval=proposal.number)
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from freehold.method import Method, OnReplay
from freehold.methods import Methods
from freehold.tls import Link, Links, TlsContent, TlsFiles, credentials_of

DEFAULT_TIMEOUT_S = 10.0
"""Deadline of a call with all of its retries, in seconds."""

MAX_ATTEMPTS = 4
"""The largest number of times that one request is sent because of RESOURCE_EXHAUSTED."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0
"""The mean pause after the first UNAVAILABLE or CANCELLED, which doubles each time; its bound."""

_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

_OPTIONS: tuple[tuple[str, str | int], ...] = (
    # The client sends again by itself, on a new connection if the old one has ended.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", int(1_000 * LONGEST_PAUSE_S)),
)
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_DOUBLINGS = 10
_DETAILS_KEY = "grpc-status-details-bin"
_REPLAYED_KEY = "freehold-replayed"
_APPROVAL_KEY = "freehold-approval"


@dataclass(frozen=True)
class FieldViolation:
    """One field that the server refused: its path in the request, and the reason."""

    field: str
    description: str


class FreeholdError(Exception):
    """A call that failed.

    code              the gRPC status code
    reason            stable, upper snake case, from google.rpc.ErrorInfo; empty if the failure
                      did not come from Freehold itself (no server, deadline exceeded)
    message           for people; may change
    metadata          of the ErrorInfo, such as the state that forbade the call
    field_violations  of google.rpc.BadRequest, for INVALID_ARGUMENT
    retry_delay_s     of google.rpc.RetryInfo, in seconds; None if a retry does not help
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        metadata: Mapping[str, str],
        field_violations: Sequence[FieldViolation],
        retry_delay_s: float | None = None,
    ) -> None:
        super().__init__(code, reason, message)
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata)
        self.field_violations = tuple(field_violations)
        self.retry_delay_s = retry_delay_s

    def __str__(self) -> str:
        head = f"{self.code.name} {self.reason}".rstrip()
        fields = "".join(f"; {v.field}: {v.description}" for v in self.field_violations)
        return f"{head}: {self.message}{fields}"


def parse_error(error: grpc.RpcError) -> FreeholdError:
    """The typed form of an error of gRPC.

    Absent or damaged details leave code and message; they never raise another exception.
    """
    code: grpc.StatusCode = error.code() or grpc.StatusCode.UNKNOWN
    return _typed(code, _status(error.trailing_metadata()), error.details() or "")


def failure_of(outcome: Any) -> FreeholdError | None:
    """The error of one outcome of a batch, or None if the outcome is an answer."""
    if outcome.WhichOneof("result") == "response":
        return None
    status = Status.FromString(outcome.error.SerializeToString())
    return _typed(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), status, "")


def _typed(code: grpc.StatusCode, status: Status, text: str) -> FreeholdError:
    """The error of a status with its details; `text` replaces an empty message."""
    info, bad_request, retry = ErrorInfo(), BadRequest(), None
    for detail in status.details:
        try:
            if detail.Is(ErrorInfo.DESCRIPTOR):
                detail.Unpack(info)
            elif detail.Is(BadRequest.DESCRIPTOR):
                detail.Unpack(bad_request)
            elif detail.Is(RetryInfo.DESCRIPTOR):
                retry = RetryInfo()
                detail.Unpack(retry)
        except DecodeError:
            continue
    delay = retry.retry_delay if retry is not None else None
    return FreeholdError(
        code,
        info.reason,
        status.message or text,
        info.metadata,
        [FieldViolation(v.field, v.description) for v in bad_request.field_violations],
        delay.seconds + delay.nanos / 1e9 if delay is not None else None,
    )


def _status(metadata: Any) -> Status:
    """The Status in the trailing metadata; an empty one if it is absent or damaged."""
    for key, value in metadata or ():
        if key == _DETAILS_KEY:
            try:
                return Status.FromString(value)
            except (DecodeError, TypeError):
                break
    return Status()


def _tell(on_replay: OnReplay, metadata: Any) -> None:
    """Passes on the time of the first answer, if the trailing metadata has it."""
    for key, value in metadata or ():
        if key == _REPLAYED_KEY:
            on_replay(datetime.fromisoformat(value))


class _Calls(Methods):
    """The calls of one client, each made once."""

    def __init__(self, key: str, timeout_s: float) -> None:
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._timeout_s = timeout_s
        self._calls: dict[str, Any] = {}
        self._closed = False

    def _sent(self, approval: int | None) -> tuple[tuple[str, str], ...]:
        """The metadata of a call."""
        if approval is None:
            return self._metadata
        return (*self._metadata, (_APPROVAL_KEY, str(approval)))

    def _bound(self, method: Method[Any, Any]) -> Any:
        """The call for this client, made once per method."""
        call = self._calls.get(method.path)
        if call is None:
            call = self._calls[method.path] = self._make(method)
        return call

    def _make(self, method: Method[Any, Any]) -> Any:
        raise NotImplementedError


class _Pauses:
    """The pauses between the attempts of one call."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._unavailable = self._exhausted = 0

    def after(self, error: FreeholdError) -> float | None:
        """Seconds to wait before sending again; None if a retry does not help."""
        pause_s: float | None = None
        if error.code in _AGAIN:
            mean_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._unavailable)
            # Random, so that the clients of a server that restarts do not come back all at once.
            pause_s = max(mean_s * random.uniform(0.5, 1.5), error.retry_delay_s or 0.0)
            self._unavailable = min(self._unavailable + 1, _DOUBLINGS)
        elif error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            self._exhausted += 1
            pause_s = error.retry_delay_s if self._exhausted < MAX_ATTEMPTS else None
        if pause_s is None or time.monotonic() + pause_s >= self._deadline:
            return None
        return pause_s


class _Sending:
    """A request that is sent until it is answered.

    The items of a batch are answered one by one: `request` has those that are to be sent again.
    """

    def __init__(self, method: Method[Any, Any], request: Any) -> None:
        self.request = request
        self._batched = method.batched
        self._answer: Any = None
        self._left: list[int] = []
        """The places of the items in `request`; empty before the first answer."""

    def answered(self, answer: Any) -> FreeholdError | None:
        """Takes an answer; returns the error after which some items are to be sent again."""
        if not self._batched:
            self._answer = answer
            return None
        if self._answer is None:
            self._answer, self._left = answer, list(range(len(answer.outcomes)))
        items, again = self.request.items, []
        for place, item, outcome in zip(self._left, items, answer.outcomes, strict=True):
            self._answer.outcomes[place].CopyFrom(outcome)
            error = failure_of(outcome)
            if error is not None and _may_help(error):
                again.append((place, item, error))
        if not again:
            return None
        self._left = [place for place, _, _ in again]
        self.request = type(self.request)(items=[item for _, item, _ in again])
        # The longest delay that was asked for.
        return max((error for _, _, error in again), key=lambda it: it.retry_delay_s or 0.0)

    def end(self, error: FreeholdError | None) -> Message:
        """The answer so far; raises the error if there is none."""
        if self._answer is None and error is not None:
            raise error
        answer: Message = self._answer
        return answer


def _may_help(error: FreeholdError) -> bool:
    """True if the server may answer otherwise when the same request is sent again."""
    exhausted = error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    return error.code in _AGAIN or (exhausted and error.retry_delay_s is not None)


class Client(_Calls):
    """Blocking client of one server with one key; threads may share it.

    The channel is encrypted, because the key travels on it: with the files of `tls`, with
    `credentials`, or with gRPC's own roots. `plaintext=True` is for servers on the same host.

    The files of `tls` may be renewed at any time: later calls use a new channel, and calls under
    way end on theirs. Wrong or half-written files are refused with ValueError at the start, and
    ignored afterwards.
    """

    def __init__(
        self,
        target: str,
        key: str,
        *,
        tls: TlsFiles | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        super().__init__(key, timeout_s)
        secrets = _secrets(tls, credentials, plaintext)
        options = _options(tls)

        def connect(content: TlsContent | None) -> grpc.Channel:
            used = secrets(content)
            if used is None:
                return grpc.insecure_channel(target, options=options)
            return grpc.secure_channel(target, used, options=options)

        self._links = Links(tls, connect)

    def _make(self, method: Method[Any, Any]) -> Callable[..., Message]:
        def call(
            request: Message,
            *,
            timeout_s: float | None = None,
            on_replay: OnReplay | None = None,
            approval: int | None = None,
        ) -> Message:
            deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
            pauses, sending = _Pauses(deadline), _Sending(method, request)
            while True:
                link = self._links.take()
                try:
                    answer, ended = _sender(link, method).with_call(
                        sending.request,
                        timeout=max(0.0, deadline - time.monotonic()),
                        metadata=self._sent(approval),
                    )
                    if on_replay is not None:
                        _tell(on_replay, ended.trailing_metadata())
                    error = sending.answered(answer)
                except grpc.RpcError as raised:
                    error = parse_error(raised)
                finally:
                    for older in self._links.give(link):
                        older.close()
                # A call that ended because the client was closed is CANCELLED too.
                pause_s = None if self._closed or error is None else pauses.after(error)
                if pause_s is None:
                    return sending.end(error)
                time.sleep(pause_s)

        return call

    def close(self) -> None:
        """Close the client's channels; calls under way are cancelled."""
        self._closed = True
        for channel in self._links.channels():
            channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(_Calls):
    """Awaited client of one server with one key; belongs to the event loop that made it.

    Arguments as for `Client`.
    """

    def __init__(
        self,
        target: str,
        key: str,
        *,
        tls: TlsFiles | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        super().__init__(key, timeout_s)
        secrets = _secrets(tls, credentials, plaintext)
        options = _options(tls)

        def connect(content: TlsContent | None) -> grpc.aio.Channel:
            used = secrets(content)
            if used is None:
                return grpc.aio.insecure_channel(target, options=options)
            return grpc.aio.secure_channel(target, used, options=options)

        self._links = Links(tls, connect)

    def _make(self, method: Method[Any, Any]) -> Callable[..., Awaitable[Message]]:
        async def call(
            request: Message,
            *,
            timeout_s: float | None = None,
            on_replay: OnReplay | None = None,
            approval: int | None = None,
        ) -> Message:
            deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
            pauses, sending = _Pauses(deadline), _Sending(method, request)
            while True:
                link = self._links.take()
                try:
                    sent = _sender(link, method)(
                        sending.request,
                        timeout=max(0.0, deadline - time.monotonic()),
                        metadata=self._sent(approval),
                    )
                    answer = await sent
                    if on_replay is not None:
                        _tell(on_replay, await sent.trailing_metadata())
                    error = sending.answered(answer)
                except grpc.RpcError as raised:
                    error = parse_error(raised)
                finally:
                    for older in self._links.give(link):
                        await older.close()
                # A call that ended because the client was closed is CANCELLED too.
                pause_s = None if self._closed or error is None else pauses.after(error)
                if pause_s is None:
                    return sending.end(error)
                await asyncio.sleep(pause_s)

        return call

    async def close(self) -> None:
        """Close the client's channels; calls under way are cancelled."""
        self._closed = True
        for channel in self._links.channels():
            await channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _sender(link: Link[Any], method: Method[Any, Any]) -> Any:
    """The method's call on a link, made once."""
    send = link.calls.get(method.path)
    if send is None:
        send = link.calls[method.path] = link.channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
    return send


def _options(tls: TlsFiles | None) -> tuple[tuple[str, str | int], ...]:
    return _OPTIONS if tls is None else (*_OPTIONS, *tls.options())


def _secrets(
    tls: TlsFiles | None, credentials: grpc.ChannelCredentials | None, plaintext: bool
) -> Callable[[TlsContent | None], grpc.ChannelCredentials | None]:
    """A function that gives a channel's credentials for the files' content; None for plaintext."""
    if (tls is not None) + (credentials is not None) + plaintext > 1:
        raise ValueError("give only one of tls, credentials and plaintext")

    def secrets(content: TlsContent | None) -> grpc.ChannelCredentials | None:
        if content is not None:
            return credentials_of(content)
        if plaintext:
            return None
        return grpc.ssl_channel_credentials() if credentials is None else credentials

    return secrets
