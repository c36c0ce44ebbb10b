"""The transports that a server can listen by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import grpc

from service.config import NATIVE, Limits
from service.engine.group_commit import Committer
from service.rpc.pipeline import Method, Pipeline
from service.rpc.server import GrpcServer


class TransportMissing(Exception):
    """The package of a transport is not installed; the text says what to do."""


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
    fail: Callable[[str, BaseException], None],
) -> Listener:
    """The server of a transport; `fail` is called with a part's name if no call can follow.

    Raises TransportMissing, and CannotListen if it has no folder for its files.
    """
    if transport == NATIVE:
        try:
            from service.rpc.native import NativeServer
        except ImportError as error:
            if error.name != "pygrpc_native":
                raise
            text = "the native transport is not installed: pip install 'freehold[native]'"
            raise TransportMissing(text) from error
        return NativeServer(pipeline, services, limits, committer, fail)
    return GrpcServer(pipeline, services, limits, committer.gate)
