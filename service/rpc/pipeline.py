"""The pipeline of every call: authentication, scope, deadline, input rules, handler, status.

Methods take and return bytes. So this module itself refuses a message that cannot be parsed, with
INVALID_ARGUMENT, and sends a stored answer unchanged.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

import grpc
import structlog
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.access import Principal, Scope
from service.domain.errors import (
    DeadlineTooNear,
    Exhausted,
    FreeholdError,
    InternalFault,
    InvalidInput,
    InvariantBroken,
    PermissionDenied,
    Unavailable,
    Violation,
)
from service.engine.ports import StorageFailed
from service.engine.records.requests import Replayed
from service.rpc.keys import KeyRing
from service.rpc.status import DETAILS_KEY, code_of, details_of, text_of
from service.rpc.validation import MALFORMED_MESSAGE, parse

M = TypeVar("M", bound=Message)

REPLAYED_KEY = "freehold-replayed"
"""The trailing metadata of a replayed answer: the RFC 3339 time of the first answer."""

log = structlog.get_logger("freehold.rpc")


@dataclass(slots=True)
class Call(Generic[M]):
    """One call: the message, its bytes, the caller and the deadline."""

    message: M
    body: bytes
    principal: Principal
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Method(Generic[M]):
    """A method of a service: its request, the scope that it needs, and its handler."""

    name: str
    kind: type[M]
    scope: Scope
    handle: Callable[[Call[M]], Awaitable[bytes]]
    max_bytes: int
    first_answer: Callable[[Call[M]], Awaitable[bytes | None]] | None = None
    """A function that returns the stored answer of a retry; called if the input is refused."""


class Pipeline:
    """Wraps methods for gRPC."""

    def __init__(self, keys: KeyRing, *, min_time_left_s: float, max_calls: int) -> None:
        self._keys = keys
        self._max_calls = max_calls
        self._under_way: Counter[str | None] = Counter()
        self._min_time_left_s = min_time_left_s
        self._closing = False

    def close(self) -> None:
        """Refuses every new call as UNAVAILABLE from now on."""
        self._closing = True

    def handlers(self, service: str, methods: list[Method[Any]]) -> grpc.GenericRpcHandler:
        """The gRPC handlers of one service."""
        return grpc.method_handlers_generic_handler(
            service,
            {
                method.name: grpc.unary_unary_rpc_method_handler(self._wrap(method))
                for method in methods
            },
        )

    def _wrap(self, method: Method[Any]) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def call(body: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            try:
                if self._closing:
                    raise Unavailable("SHUTTING_DOWN", "the server is shutting down")
                metadata = context.invocation_metadata() or ()
                principal = self._keys.known(metadata)
                if principal is None:
                    principal = await self._keys.principal(metadata)
                if method.scope not in principal.scopes:
                    raise PermissionDenied(method.scope)
                if len(body) > method.max_bytes:
                    raise _too_large(len(body), method.max_bytes)
                left_s = context.time_remaining()
                if left_s is not None and left_s < self._min_time_left_s:
                    raise DeadlineTooNear
                deadline = None if left_s is None else time.monotonic() + left_s
                caller = principal.operator_id
                if self._under_way[caller] >= self._max_calls:
                    raise Exhausted("TOO_MANY_CALLS", "too many calls are under way", 100)
                self._under_way[caller] += 1
                try:
                    message = parse(method.kind, body)
                    answer = await method.handle(Call(message, body, principal, deadline))
                except InvalidInput as error:
                    first = await _first_answer(method, body, principal, error)
                    if first is None:
                        raise
                    answer = first
                finally:
                    self._under_way[caller] -= 1
                return _told(answer, context) if isinstance(answer, Replayed) else answer
            except StorageFailed as error:
                _fault(method.name, error)
                refusal: FreeholdError = Unavailable(
                    "STORAGE_UNAVAILABLE", "the database is unavailable; retry"
                )
            except InvariantBroken as error:
                refusal = _fault(method.name, error)
            except FreeholdError as error:
                refusal = error
            except Exception as error:
                refusal = _fault(method.name, error)
            return await _refuse(context, refusal)

        return call


async def _first_answer(
    method: Method[Any], body: bytes, principal: Principal, refusal: InvalidInput
) -> bytes | None:
    """The stored answer of a refused call that was accepted under earlier input rules, or None."""
    if method.first_answer is None or refusal.reason == MALFORMED_MESSAGE:
        return None
    # Parsed again, because a handler may have changed the message.
    message = method.kind.FromString(body)
    return await method.first_answer(Call(message, body, principal, None))


def _told(answer: Replayed, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
    """The answer's plain bytes, after the trailing metadata was given the first answer's time."""
    context.set_trailing_metadata((_since(answer.since_us),))
    # gRPC accepts no subclass of bytes.
    return bytes(answer)


def _since(since_us: int) -> tuple[str, str]:
    """The trailing metadata of an answer or a refusal that was first given at this time."""
    since = Timestamp()
    since.FromMicroseconds(since_us)
    return REPLAYED_KEY, since.ToJsonString()


def _too_large(size: int, most: int) -> InvalidInput:
    # It is the request that is wrong: no retry and no other moment would help.
    wrong = Violation(
        "message", "message.max_bytes", f"must have at most {most} bytes, but has {size}"
    )
    return InvalidInput([wrong], reason="MESSAGE_TOO_LARGE")


def _fault(method: str, error: Exception) -> InternalFault:
    fault_id = secrets.token_hex(8)
    with suppress(Exception):  # a log that cannot be written must not stop the calls
        log.error("fault", fault_id=fault_id, method=method, exc_info=error)
    return InternalFault(fault_id)


async def _refuse(context: grpc.aio.ServicerContext[Any, Any], error: FreeholdError) -> NoReturn:
    trailing: list[tuple[str, str | bytes]] = [(DETAILS_KEY, details_of(error))]
    if error.since_us is not None:
        trailing.append(_since(error.since_us))
    await context.abort(code_of(error), text_of(error), trailing_metadata=tuple(trailing))
    raise error  # abort does not return; this says so to the reader and the type checker
