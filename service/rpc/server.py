"""The gRPC server: services, health checks and limits of the transport."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from service.config import Limits
from service.engine.gate import Gate
from service.rpc import health
from service.rpc.connections import cut, stop_listening
from service.rpc.first_messages import FirstMessages
from service.rpc.health import Health, Places
from service.rpc.intake import pause_by
from service.rpc.message_bounds import longest_bytes
from service.rpc.pipeline import Method, Pipeline
from service.rpc.transport import Unread
from service.rpc.unix_socket import UNIX, in_use, owner_only, refusal_of

REFUSALS = {
    errno.EADDRINUSE: "another process listens there",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "this user may not use the port; ports below 1024 need CAP_NET_BIND_SERVICE",
}

LIVENESS = "liveness"
"""The name by which a health check asks whether the process works at all.

Its answer does not follow the database, which a restart would not bring back.
"""


class CannotListen(Exception):
    """The address cannot be bound; the text names it, the reason, and the remedy."""


def why_not(address: str, option: str = "--listen") -> str:
    """The reason why an address cannot be bound; `option` is where it was given.

    Tries to bind it once more, because gRPC gives no reason.
    """
    if address.startswith(UNIX):
        return f"cannot listen on {address}: {refusal_of(address)}; give another {option}"
    host, _, port = address.rpartition(":")
    why = "gRPC could not bind it"
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError):
        found, why = [], "the host is not known"
    for family, kind, protocol, _, place in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
                probe.listen()
        except OSError as error:
            why = REFUSALS.get(error.errno or 0, os.strerror(error.errno or 0))
            break
    return f"cannot listen on {address}: {why}; give another {option}"


async def bound(address: str, bind: Callable[[], Awaitable[int]]) -> int:
    """The port that a transport's `bind` takes; raises CannotListen."""
    if address.startswith(UNIX) and in_use(address):
        why = REFUSALS[errno.EADDRINUSE]
        raise CannotListen(f"cannot listen on {address}: {why}; give another --listen")
    try:
        with owner_only(address):
            port = await bind()
    except (OSError, RuntimeError) as error:
        raise CannotListen(why_not(address)) from error
    if port == 0:
        raise CannotListen(why_not(address))
    return port


class _Door(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Hands each call to the pipeline when its headers have come, before its message is read.

    gRPC reads the message of a unary method by itself, however long it takes to come. So a call
    that the pipeline does not admit is treated as a stream, whose first message is its message.
    """

    def __init__(self, pipeline: Pipeline, services: Mapping[str, list[Method[Any]]]) -> None:
        self._admits = pipeline.admits
        self._admitted: dict[str, grpc.RpcMethodHandler] = {}
        self._unread: dict[str, grpc.RpcMethodHandler] = {}
        for service, methods in services.items():
            for method in methods:
                path = f"/{service}/{method.name}"
                answer, receive = pipeline.answer(method), pipeline.receive(method)
                self._admitted[path] = grpc.unary_unary_rpc_method_handler(answer)
                self._unread[path] = grpc.stream_unary_rpc_method_handler(_first(receive))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a call; None if there is no such method."""
        path = handler_call_details.method
        admitted = self._admitted.get(path)
        if admitted is None or self._admits(handler_call_details.invocation_metadata or ()):
            return admitted
        return self._unread[path]


def _first(
    receive: Callable[[Unread], Awaitable[bytes]],
) -> Callable[[Any, Any], Awaitable[bytes]]:
    async def call(_messages: Any, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        return await receive(context)

    return call


class GrpcServer:
    """A grpc.aio server with Freehold's services on it."""

    def __init__(
        self,
        pipeline: Pipeline,
        services: Mapping[str, list[Method[Any]]],
        limits: Limits,
        gate: Gate,
    ) -> None:
        self._pipeline = pipeline
        self._gate = gate
        self._server = grpc.aio.server(
            options=_options(limits), maximum_concurrent_rpcs=limits.max_calls
        )
        self._services = tuple(services)
        self._messages = FirstMessages(limits)
        self._health = Health(self._messages, Places("watches", limits.max_watches))
        self._last_answers_s = limits.last_answers_s
        self._place: int | str = 0
        self._server.add_generic_rpc_handlers((_Door(pipeline, services),))
        # Registered methods have queues of their own in gRPC's core, so a health check does not
        # wait behind other calls, and is not refused with them.
        self._server.add_registered_method_handlers(health.SERVICE, self._health.handlers())
        names = (*services, health.SERVICE, reflection.SERVICE_NAME)
        places = Places("reflections", limits.max_reflections)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            health.Reflection(names, places, limits.reflection_s), self._server
        )

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Binds and serves, in plaintext without credentials; returns the port.

        Raises CannotListen.

        Only `set_serving` changes the answers to health checks, except that of LIVENESS.
        """
        self._health.set((LIVENESS,), health_pb2.HealthCheckResponse.SERVING)

        async def bind() -> int:
            if credentials is None:
                return int(self._server.add_insecure_port(address))
            return int(self._server.add_secure_port(address, credentials))

        port = await bound(address, bind)
        pause_by(self._gate)
        await self._server.start()
        self._place = address.removeprefix(UNIX) if address.startswith(UNIX) else port
        return port

    def set_serving(self, serving: bool) -> None:
        """Sets the answer to health checks of all services; no effect after `stop`."""
        response = health_pb2.HealthCheckResponse
        status = response.SERVING if serving else response.NOT_SERVING
        self._health.set(("", *self._services), status)

    async def stop(self, grace_s: float, notice_s: float) -> None:
        """Reports NOT_SERVING, refuses new calls, and lets running calls finish.

        New calls are answered UNAVAILABLE for at least `notice_s`, and until no accepted call is
        under way or `grace_s` is over. Then the connections end, so that every other call fails
        with UNAVAILABLE too.
        """
        self._health.end()
        self._gate.end()
        self._messages.close()
        self._pipeline.close()
        notice_s = min(notice_s, grace_s)
        await asyncio.sleep(notice_s)
        await self._pipeline.idle(grace_s - notice_s, self._last_answers_s)
        stop_listening(self._place)
        await asyncio.sleep(self._last_answers_s)
        cut(self._place)
        await self._server.stop(None)


def _options(limits: Limits) -> list[tuple[str, Any]]:
    return [
        # A second server on the same port must fail, not share the calls silently.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", longest_bytes(limits)),
        ("grpc.max_send_message_length", limits.max_bulk_message_bytes),
        # Of the calls that wait to be read, gRPC refuses some above the first number, and all above
        # the second one, with CANCELLED. Its refusals are the only cheap ones.
        ("grpc.server.max_pending_requests", limits.max_pending),
        ("grpc.server.max_pending_requests_hard_limit", limits.max_pending * 3 // 2),
        ("grpc.max_concurrent_streams", limits.max_concurrent_streams),
        ("grpc.keepalive_time_ms", int(limits.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(limits.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        # The message of an unknown key is not asked for; this bounds the bytes that come ahead.
        ("grpc.http2.lookahead_bytes", limits.ahead_bytes),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.max_connection_idle_ms", int(limits.idle_s * 1000)),
        ("grpc.server_handshake_timeout_ms", int(limits.handshake_s * 1000)),
        # gRPC's records of every call would serve nobody: no service here shows them.
        ("grpc.enable_channelz", 0),
        (
            "grpc.http2.min_recv_ping_interval_without_data_ms",
            int(limits.min_ping_interval_s * 1000),
        ),
    ]
