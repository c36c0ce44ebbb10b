"""The transports that a server can listen by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import grpc

from service.config import NATIVE, Limits
from service.engine.group_commit import Committer
from service.rpc.pipeline import Method, Pipeline
from service.rpc.server import GrpcServer


class Listener(Protocol):
    """A server on one address; see `GrpcServer`."""

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Binds and serves; returns the port. Raises CannotListen."""

    def set_serving(self, serving: bool) -> None:
        """Sets the answer to health checks."""

    async def stop(self, grace_s: float, notice_s: float) -> None:
        """Refuses new calls, lets running calls finish, and ends the connections."""


def listener(
    transport: str,
    pipeline: Pipeline,
    services: Mapping[str, list[Method[Any]]],
    limits: Limits,
    committer: Committer,
) -> Listener:
    """The server of a transport. Raises ImportError without the package of the native one."""
    if transport == NATIVE:
        # Here, because the package is an extra.
        from service.rpc.native import NativeServer

        return NativeServer(pipeline, services, limits, committer)
    return GrpcServer(pipeline, services, limits, committer.gate)
