"""A bare gRPC server with the messages of Authorize, Settle and Reverse: the ceiling of a unary
call in Python. It speaks grpc.aio on asyncio's own loop, or grpc.aio on uvloop, or pygrpc-native.

The server parses each request and serialises an answer with the size and fields of a real answer,
by the generated code. It does nothing else: no key, checks, score, ledger or disk.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import grpc
import uvloop
from freehold.v1 import authorization_pb2, types_pb2
from freehold.v1 import authorization_service_pb2 as pb
from freehold.v1.authorization_service_pb2_grpc import (
    AuthorizationServiceServicer,
    add_AuthorizationServiceServicer_to_server,
)

from benchmarks.load import AUTHORIZE, METHODS

ASYNCIO, UVLOOP, NATIVE = WIRES = ("asyncio", "uvloop", "native")
"""The kinds of echo."""


def canned_answer() -> pb.AuthorizeResponse:
    """An answer with the fields of an ACTIVE authorization, for use without a recorded one."""
    deposit = types_pb2.Money(currency_code="CNY", amount_minor=19_900)
    nothing = types_pb2.Money(currency_code="CNY", amount_minor=0)
    answer = authorization_pb2.Authorization(
        name="users/12345/authorizations/0123456789abcdefghij",
        request_id="00000000-0000-4000-8000-000000000000",
        product_id="bike",
        asset_id="asset-00000000",
        state=authorization_pb2.Authorization.STATE_ACTIVE,
        custody=authorization_pb2.Authorization.CUSTODY_OUT,
        collection=authorization_pb2.Authorization.COLLECTION_NONE,
        offer=types_pb2.OFFER_ZERO,
        score_band=types_pb2.SCORE_BAND_B,
        deposit_asked=nothing,
        held=deposit,
        held_credit=deposit,
        held_cash=nothing,
        captured=nothing,
        due=nothing,
        refund_payable=nothing,
        decision_id="0123456789abcdefghij",
        model_id="0123456789abcdef",
        policy_revision=1,
        version=1,
    )
    answer.create_time.FromNanoseconds(1_700_000_000_123_456_000)
    answer.start_time.FromNanoseconds(1_700_000_000_123_456_000)
    return pb.AuthorizeResponse(authorization=answer)


class Answers(NamedTuple):
    """The answer to each call of a method."""

    authorized: pb.AuthorizeResponse
    settled: pb.SettleAuthorizationResponse
    reversed: pb.ReverseAuthorizationResponse


def answers_with(recorded: bytes | None, method: str) -> Answers:
    """The answers with a recorded one to `method`, or None; those to other methods are canned."""
    canned = canned_answer()
    answers = Answers(
        canned,
        pb.SettleAuthorizationResponse(authorization=canned.authorization),
        pb.ReverseAuthorizationResponse(authorization=canned.authorization),
    )
    if recorded is not None:
        answer = answers[METHODS.index(method)]
        answer.Clear()
        answer.MergeFromString(recorded)
    return answers


class _Echo(AuthorizationServiceServicer):
    def __init__(self, answers: Answers) -> None:
        self._authorized, self._settled, self._reversed = answers

    async def Authorize(self, request: pb.AuthorizeRequest, context: Any) -> pb.AuthorizeResponse:
        return self._authorized

    async def SettleAuthorization(
        self, request: pb.SettleAuthorizationRequest, context: Any
    ) -> pb.SettleAuthorizationResponse:
        return self._settled

    async def ReverseAuthorization(
        self, request: pb.ReverseAuthorizationRequest, context: Any
    ) -> pb.ReverseAuthorizationResponse:
        return self._reversed


async def serve(
    listen: str, answers: Answers, credentials: grpc.ServerCredentials | None = None
) -> None:
    """Answer until SIGTERM, in plaintext without credentials.

    Logs ``serving`` and ``stopped`` to stderr like the real server."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = grpc.aio.server()
    add_AuthorizationServiceServicer_to_server(_Echo(answers), server)  # type: ignore[no-untyped-call]
    if credentials is None:
        server.add_insecure_port(listen)
    else:
        server.add_secure_port(listen, credentials)
    await server.start()
    _log("serving")
    await stop.wait()
    await server.stop(1.0)
    _log("stopped")


def serve_native(listen: str, answers: Answers) -> None:
    """Answers by the batches of pygrpc-native until SIGTERM; otherwise as `serve`."""
    from pygrpc_native import EVENT_CALL, NativeGrpcFront

    service = "/freehold.v1.AuthorizationService"
    methods: tuple[tuple[str, Any, Any], ...] = (
        ("Authorize", pb.AuthorizeRequest, answers.authorized),
        ("SettleAuthorization", pb.SettleAuthorizationRequest, answers.settled),
        ("ReverseAuthorization", pb.ReverseAuthorizationRequest, answers.reversed),
    )
    front = NativeGrpcFront(
        listen, [(f"{service}/{name}", False) for name, _, _ in methods], call_details=True
    )
    signal.signal(signal.SIGTERM, lambda *_: front.close())
    front.start()
    _log("serving")
    # Without a timeout no signal would be heard.
    while (events := front.recv_batch_details(256, 100)) is not None:
        for kind, call_id, method_id, body, _, _ in events:
            if kind == EVENT_CALL:
                _, request, response = methods[method_id]
                request.FromString(body)
                front.respond(call_id, response.SerializeToString())
    _log("stopped")


def _log(event: str) -> None:
    print(json.dumps({"event": event}), file=sys.stderr, flush=True)


@click.command()
@click.option("--listen", required=True, help="HOST:PORT to listen on.")
@click.option(
    "--answer",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A recorded answer to --method, serialised.",
)
@click.option("--method", default=AUTHORIZE, show_default=True, type=click.Choice(METHODS))
@click.option(
    "--tls-certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file with a certificate; needs --tls-key.",
)
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file with its key.",
)
@click.option(
    "--wire",
    default=ASYNCIO,
    show_default=True,
    type=click.Choice(WIRES),
    help="The library that speaks gRPC, and its loop.",
)
def main(
    listen: str,
    answer: Path | None,
    method: str,
    tls_certificate: Path | None,
    tls_key: Path | None,
    wire: str,
) -> None:
    """Serve the echo until SIGTERM."""
    answers = answers_with(None if answer is None else answer.read_bytes(), method)
    credentials = None
    if tls_certificate is not None and tls_key is not None:
        pair = (tls_key.read_bytes(), tls_certificate.read_bytes())
        credentials = grpc.ssl_server_credentials([pair])
    if wire == NATIVE:
        serve_native(listen, answers)
        return
    run: Callable[[Any], None] = uvloop.run if wire == UVLOOP else asyncio.run
    run(serve(listen, answers, credentials))


if __name__ == "__main__":
    main()
