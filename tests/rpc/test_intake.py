"""Overload on the bare port: the server stops reading calls, and gRPC refuses what waits too long
a queue."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
from freehold.client import Client
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from grpc_health.v1 import health_pb2

from service.config import Limits
from service.engine.group_commit import CommitLimits
from tests.fakes import Served
from tests.rpc.support import (
    RPCS,
    TIMEOUT_S,
    Caller,
    GatedScorer,
    desks,
    serving_parts,
    until,
)

AIO_ONLY = {"test_grpc_refuses_calls_beyond_its_queue"}
# A queue of two is full, and shows an overload at once. A pause does not end by itself.
QUEUE = CommitLimits(max_queue=2, max_batch=1, overload_batches=1, longest_pause_s=2 * TIMEOUT_S)
LIMITS = Limits(commit=QUEUE, max_pending=4)


def rental(caller: Caller, user_id: str) -> AuthorizeRequest:
    return AuthorizeRequest(request_id=caller.fresh(), user_id=user_id, product_id="umbrella")


def start(channel: grpc.Channel, caller: Caller, request: AuthorizeRequest) -> grpc.Future:
    send = channel.unary_unary(RPCS["Authorize"].path)
    return send.future(request.SerializeToString(), timeout=TIMEOUT_S, metadata=caller.metadata)


@contextmanager
def overloaded(
    served: Served, scorer: GatedScorer, caller: Caller, people: list[str]
) -> Iterator[grpc.Channel]:
    """A server whose queue is full and which has refused a call; its writer goes on after the
    block."""
    scorer.entered.clear()
    scorer.gate.clear()
    with served.channel() as channel:
        try:
            calls = [start(channel, caller, rental(caller, people[0]))]
            assert scorer.entered.wait(TIMEOUT_S)
            calls += [start(channel, caller, rental(caller, it)) for it in people[1:3]]
            until(lambda: served.app.committer.waiting == 2, "the queue is full")
            refused = start(channel, caller, rental(caller, people[3]))
            assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            until(lambda: served.app.committer.gate.closed, "the gate is closed")
            yield channel
        finally:
            scorer.gate.set()
        for call in calls:
            assert call.result()


def test_calls_wait_unread_while_the_server_is_overloaded(tmp_path: Path) -> None:
    """After a refusal for a full queue the server reads no call until a batch is answered; the
    calls that waited in gRPC are read then."""
    scorer = GatedScorer()
    with serving_parts(tmp_path, scorer=scorer, limits=LIMITS) as served, desks(served) as desk:
        people = [desk.platform.person() for _ in range(4)]
        with overloaded(served, scorer, desk.operator, people) as channel:
            # The call that the server had asked for before is still taken.
            reads = [
                channel.unary_unary(RPCS["GetAuthorization"].path).future(
                    b"", timeout=TIMEOUT_S, metadata=desk.operator.metadata
                )
                for _ in range(3)
            ]
            time.sleep(0.2)
            assert sum(it.done() for it in reads) <= 1
            scorer.gate.set()
            # The empty message names no authorization.
            assert {it.code() for it in reads} == {grpc.StatusCode.INVALID_ARGUMENT}


def test_grpc_refuses_calls_beyond_its_queue(tmp_path: Path) -> None:
    """While the server reads nothing, gRPC ends the calls beyond one and a half times `max_pending`
    at once with CANCELLED; health checks have a queue of their own and are answered."""
    scorer = GatedScorer()
    with serving_parts(tmp_path, scorer=scorer, limits=LIMITS) as served, desks(served) as desk:
        people = [desk.platform.person() for _ in range(4)]
        with overloaded(served, scorer, desk.operator, people) as channel:
            more = [start(channel, desk.operator, rental(desk.operator, people[3]))
                    for _ in range(30)]  # fmt: skip
            refused = 30 - LIMITS.max_pending * 3 // 2 - 1
            until(lambda: sum(it.done() for it in more) >= refused, "gRPC refuses")
            codes = Counter(it.code() for it in more if it.done())
            # One call may be taken, because the server had asked for it before.
            assert codes.pop(grpc.StatusCode.RESOURCE_EXHAUSTED, 0) <= 1
            assert set(codes) == {grpc.StatusCode.CANCELLED}
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            answer = check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            for call in more:
                call.cancel()


def test_the_client_sends_a_refused_call_again(tmp_path: Path) -> None:
    """The shipped client sends a call that gRPC refused again, and gets the answer when the
    overload is over."""
    scorer = GatedScorer()
    with serving_parts(tmp_path, scorer=scorer, limits=LIMITS) as served, desks(served) as desk:
        people = [desk.platform.person() for _ in range(5)]
        with (
            Client(served.address, served.operator_key, plaintext=True, timeout_s=TIMEOUT_S) as it,
            ThreadPoolExecutor(1) as thread,
        ):
            with overloaded(served, scorer, desk.operator, people) as channel:
                more = [start(channel, desk.operator, rental(desk.operator, people[3]))
                        for _ in range(30)]  # fmt: skip
                until(lambda: sum(call.done() for call in more) > 20, "gRPC refuses")
                answer = thread.submit(it.authorize, rental(desk.operator, people[4]))
                # It was refused at least once, as everything else.
                time.sleep(0.2)
                assert not answer.done()
                for call in more:
                    call.cancel()
            assert answer.result(TIMEOUT_S).authorization.name
