"""Asks a server for its health, as a load balancer or a supervisor does."""

from __future__ import annotations

import time

import grpc
from freehold.tls import TlsFiles as TlsFiles  # the command passes it on
from freehold.tls import credentials_of
from grpc_health.v1 import health_pb2, health_pb2_grpc

ANSWER_S = 5.0
"""The longest wait for one answer, in seconds."""
PAUSE_S = 0.1
"""The pause before the next health check of a server that does not serve yet, in seconds."""
# By default gRPC waits at least a second before it tries an address again.
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class NotServing(Exception):
    """The server does not serve. The text is the server's status, or gRPC's code if the server did
    not answer."""


def require_serving(address: str, wait_s: float = 0.0, tls: TlsFiles | None = None) -> None:
    """Returns when the server at an address reports SERVING by gRPC's health check.

    Repeats the check for up to `wait_s` seconds. Without `tls` it asks in plaintext. Raises
    NotServing with the last answer, and ValueError if the files of TLS cannot be used.
    """
    end = time.monotonic() + wait_s
    with _channel(address, tls) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            said = _said(stub)
            if said == "SERVING":
                return
            if time.monotonic() >= end:
                raise NotServing(said)
            time.sleep(PAUSE_S)


def _channel(address: str, tls: TlsFiles | None) -> grpc.Channel:
    if tls is None:
        return grpc.insecure_channel(address, _OPTIONS)
    options = [*_OPTIONS, *tls.options()]
    return grpc.secure_channel(address, credentials_of(tls.read()), options)


def _said(stub: health_pb2_grpc.HealthStub) -> str:
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=ANSWER_S)
    except grpc.RpcError as error:
        return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
