"""Health checks and reflection, which need no key, with bounds of their own.

A flood of them takes nothing from other calls, and a watcher that reads nothing delays nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection

from service.domain.errors import Exhausted, FreeholdError, Unavailable
from service.rpc.first_messages import FirstMessages, Late
from service.rpc.pipeline import refuse

SERVICE = "grpc.health.v1.Health"

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Status = int
"""A value of the enum HealthCheckResponse.ServingStatus."""


class Places:
    """A bounded number of places for one kind of long call; a context manager takes one."""

    def __init__(self, kind: str, most: int) -> None:
        """`kind` names the calls in the plural, for refusals."""
        self._kind = kind
        self._left = most

    def __enter__(self) -> None:
        if self._left <= 0:
            reason = f"TOO_MANY_{self._kind.upper()}"
            raise Exhausted(reason, f"too many {self._kind} are open", 1_000)
        self._left -= 1

    def __exit__(self, *_: object) -> None:
        self._left += 1


class Health:
    """The standard health service."""

    def __init__(self, messages: FirstMessages, watches: Places) -> None:
        self._messages = messages
        self._watches = watches
        self._statuses: dict[str, Status] = {"": health_pb2.HealthCheckResponse.NOT_SERVING}
        self._changed = asyncio.Event()
        self._final = False

    def set(self, services: tuple[str, ...], status: Status) -> None:
        """Sets the answer for these services; no effect after `end`."""
        if not self._final:
            self._statuses.update(dict.fromkeys(services, status))
            self._changed.set()
            self._changed = asyncio.Event()

    def end(self) -> None:
        """Answers NOT_SERVING for all services from now on, and ends all watches after that."""
        self.set(tuple(self._statuses), health_pb2.HealthCheckResponse.NOT_SERVING)
        self._final = True

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """The handlers of the service. Its methods read a stream, so that no message is received
        before they ask for it."""
        return {
            "Check": grpc.stream_unary_rpc_method_handler(self._check),
            "Watch": grpc.stream_stream_rpc_method_handler(self._watch),
        }

    async def _check(self, _messages: object, context: Context) -> bytes:
        service = await self._asked(context)
        if service not in self._statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service is named {service!r}")
        return _answer(self._statuses[service])

    async def _watch(self, _messages: object, context: Context) -> None:
        try:
            with self._watches:
                service = await self._asked(context)
                told = None
                while True:
                    changed, final = self._changed, self._final
                    status = self._statuses.get(
                        service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
                    )
                    if status != told:
                        await context.write(_answer(status))
                        told = status
                    if final:
                        return
                    await changed.wait()
        except FreeholdError as error:
            await refuse(context, error)

    async def _asked(self, context: Context) -> str:
        """The name of the service that a call asks for."""
        try:
            body = await self._messages.receive(context.read())
            service: str = health_pb2.HealthCheckRequest.FromString(body).service
        except Late:
            text = "the message did not arrive in time; send the call again"
            await refuse(context, Unavailable("MESSAGE_LATE", text))
        except FreeholdError as error:
            await refuse(context, error)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message is malformed")
        return service


def _answer(status: Status) -> bytes:
    answer: bytes = health_pb2.HealthCheckResponse(status=status).SerializeToString()
    return answer


class Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """The standard reflection service; each of its streams is bounded in time."""

    def __init__(self, services: tuple[str, ...], places: Places, most_s: float) -> None:
        super().__init__(services)
        self._places = places
        self._most_s = most_s

    async def ServerReflectionInfo(self, requests: AsyncIterator[Any], context: Context) -> Any:
        """Answers each question of a stream."""
        try:
            with self._places:
                async with asyncio.timeout(self._most_s):
                    async for answer in super().ServerReflectionInfo(requests, context):
                        yield answer
        except FreeholdError as error:
            await refuse(context, error)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the stream was open too long")
