"""The native transport: its bounds on a real connection, and the ends of its calls."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    BatchAuthorizeRequest,
    BatchAuthorizeResponse,
)

from benchmarks.attacks.frames import FrameConnection, message
from benchmarks.attacks.held_streams import AUTHORIZE
from service.app import App
from service.config import MIB, NATIVE, Limits
from service.rpc.frame_bounds import PREFACE
from service.rpc.message_bounds import longest_bytes
from service.rpc.native import NativeServer
from service.rpc.server import CannotListen
from tests.fakes import Served, new_database, serving
from tests.rpc.support import (
    RPCS,
    TIMEOUT_S,
    Caller,
    Desks,
    GatedScorer,
    Refused,
    desks,
    serving_parts,
    until,
)
from tests.rpc.test_unfinished import played, port_of
from tests.rpc.test_unfinished import until as waits

ONLY = (NATIVE,)
code = grpc.StatusCode
LONGEST = longest_bytes(Limits())


def native(served: Served) -> NativeServer:
    server = served.app._server
    assert isinstance(server, NativeServer)
    return server


def ended(served: Served) -> bool:
    """True if nothing of any call is under way or counted."""
    server = native(served)
    assert server._port is not None
    bounds = server._port.occupancy
    return not (server._calls or served.app.pipeline.under_way or bounds.streams or bounds.bytes)


def rental(caller: Caller, user_id: str) -> AuthorizeRequest:
    return AuthorizeRequest(request_id=caller.fresh(), user_id=user_id, product_id="umbrella")


def started(channel: grpc.Channel, caller: Caller, request: Any, **options: Any) -> grpc.Future:
    send = channel.unary_unary(RPCS["Authorize"].path)
    options = {"timeout": TIMEOUT_S, "metadata": caller.metadata} | options
    return send.future(request.SerializeToString(), **options)


def test_a_message_that_is_too_long_leaves_the_connection(desk: Desks) -> None:
    """A message above the transport's limit is refused with RESOURCE_EXHAUSTED; other calls on the
    same connection are answered. One below it gets the refusal of its method."""
    with grpc.insecure_channel(desk.served.address, [("grpc.max_send_message_length", -1)]) as it:
        send = it.unary_unary(RPCS["Authorize"].path)
        calls = [
            send.future(bytes(size), timeout=TIMEOUT_S, metadata=desk.operator.metadata)
            for size in (LONGEST + 1, LONGEST, 0)
        ]
        assert [it.code() for it in calls] == [
            code.RESOURCE_EXHAUSTED, code.INVALID_ARGUMENT, code.INVALID_ARGUMENT,
        ]  # fmt: skip
    until(lambda: ended(desk.served), "all is given back")


def test_compressed_messages_count_with_what_they_become(desk: Desks) -> None:
    """A small compressed message is answered; one that may become longer than the limit is
    refused with RESOURCE_EXHAUSTED before it is unpacked."""
    request = rental(desk.operator, desk.platform.person()).SerializeToString()
    gzip = grpc.Compression.Gzip
    with grpc.insecure_channel(desk.served.address) as it:
        send = it.unary_unary(RPCS["Authorize"].path)
        options: dict[str, Any] = {"metadata": desk.operator.metadata, "compression": gzip}
        padded = request + b"\x92\x7f\x80\x01" + bytes(128)  # an unknown field
        assert send(padded, timeout=TIMEOUT_S, **options)
        bomb = send.future(bytes(64 * MIB), timeout=TIMEOUT_S, **options)
        assert bomb.code() is code.RESOURCE_EXHAUSTED


def test_unfinished_messages_have_a_bound(tmp_path: Path) -> None:
    """The server keeps only as many large messages that do not end as it has memory for, from
    callers without a key too; it resets the others, and answers other callers meanwhile."""

    async def attack(port: int, served: Served, desk: Desks) -> None:
        async with FrameConnection(port) as one, FrameConnection(port) as two:
            body = message(2**20, 2**20 - 1)
            sending = [
                asyncio.create_task(it.send(it.begin(AUTHORIZE), body))
                for it in (one, two)
                for _ in range(20)
            ]
            await asyncio.gather(*sending)
            await waits(lambda: len(one.open) + len(two.open) <= 8)
            told = one.resets + two.resets
            assert set(told) == {"ENHANCE_YOUR_CALM"}
            assert told.total() + len(one.open) + len(two.open) == 40
            await asyncio.get_running_loop().run_in_executor(None, desk.operator.page)

    with serving(tmp_path, limits=Limits(max_in_hand_bytes=8 * MIB)) as served, desks(served) as it:
        played(attack(port_of(served.address), served, it))
        until(lambda: ended(served), "all is given back")


def test_half_open_calls_leave_their_places(tmp_path: Path) -> None:
    """Calls without an end, also without a key, take no place from a caller who is there."""

    async def attack(port: int, desk: Desks) -> None:
        async with FrameConnection(port) as it:
            for _ in range(64):
                it.begin(AUTHORIZE)
            await asyncio.sleep(0.3)
            for _ in range(10):
                await asyncio.get_running_loop().run_in_executor(None, desk.operator.page)

    with serving(tmp_path, limits=Limits(max_calls=64)) as served, desks(served) as desk:
        played(attack(port_of(served.address), desk))


def test_connections_have_bounds(tmp_path: Path) -> None:
    """A connection ends that says nothing, or that is idle too long; a call on it goes to a fresh
    one. A connection above the limit ends at once."""
    limits = Limits(handshake_s=1.0, idle_s=1.0, max_connections=3)
    with serving(tmp_path, limits=limits) as served, desks(served) as desk:
        desk.operator.page()
        place = ("127.0.0.1", port_of(served.address))
        with (
            socket.create_connection(place, TIMEOUT_S) as silent,
            socket.create_connection(place, TIMEOUT_S) as idle,
        ):
            idle.sendall(PREFACE)
            with socket.create_connection(place, TIMEOUT_S) as fourth:
                assert fourth.recv(1) == b""
            began_s = time.monotonic()
            for it in (silent, idle):
                while it.recv(1024):
                    pass
            assert 0.5 < time.monotonic() - began_s < TIMEOUT_S
        desk.operator.page()


def test_a_caller_that_leaves_finds_its_answer_by_a_retry(tmp_path: Path) -> None:
    """A call that is cancelled while it waits for its turn gives its place back at once, and its
    command counts once: a retry gets the answer."""
    scorer = GatedScorer()
    with serving_parts(tmp_path, scorer=scorer) as served, desks(served) as desk:
        first, second = (rental(desk.operator, desk.platform.person()) for _ in range(2))
        scorer.entered.clear()
        scorer.gate.clear()
        with served.channel() as channel:
            busy = started(channel, desk.operator, first)
            assert scorer.entered.wait(TIMEOUT_S)
            left = started(channel, desk.operator, second)
            until(lambda: served.app.committer.waiting == 1, "the command waits")
            left.cancel()
            until(lambda: served.app.pipeline.under_way == 1, "the place is given back")
            late = started(channel, desk.operator, second, timeout=2.0)
            until(lambda: served.app.pipeline.under_way == 2, "the late call waits")
            assert late.code() is code.DEADLINE_EXCEEDED
            until(lambda: served.app.pipeline.under_way == 1, "its place is given back too")
            scorer.gate.set()
            assert busy.result()
            answer = AuthorizeResponse.FromString(started(channel, desk.operator, second).result())
        assert [answer.authorization.name] == [
            it.name for it in desk.operator.page().authorizations
            if it.request_id == second.request_id
        ]  # fmt: skip
        until(lambda: ended(served), "all is given back")
        assert served.app.pipeline.calls.methods["Authorize"].codes["CANCELLED"] == 2


def test_a_writer_that_fails_says_that_the_outcome_is_unknown(tmp_path: Path) -> None:
    """If the writer fails on a batch, each of its calls ends with OUTCOME_UNKNOWN, and the next
    batch is answered."""
    with serving_parts(tmp_path) as served, desks(served) as desk:
        person = desk.platform.person()
        works = served.app.committer._apply

        def fail(_works: Any) -> Any:
            served.app.committer._apply = works
            raise RuntimeError("a defect")

        served.app.committer._apply = fail
        with pytest.raises(Refused) as refused:
            desk.operator.authorize(person)
        assert (refused.value.code, refused.value.reason) == (code.UNAVAILABLE, "OUTCOME_UNKNOWN")
        assert desk.operator.authorize(person).name


def test_calls_beyond_those_that_wait_are_refused(tmp_path: Path) -> None:
    """While an overloaded server reads no calls, one and a half times `max_pending` wait; more are
    refused at once with QUEUE_FULL."""
    from tests.rpc.test_intake import LIMITS, overloaded, start

    scorer = GatedScorer()
    with serving_parts(tmp_path, scorer=scorer, limits=LIMITS) as served, desks(served) as desk:
        people = [desk.platform.person() for _ in range(4)]
        with overloaded(served, scorer, desk.operator, people) as channel:
            more = [start(channel, desk.operator, rental(desk.operator, people[3]))
                    for _ in range(30)]  # fmt: skip
            until(lambda: sum(it.done() for it in more) == 30 - 6, "the rest is refused")
            assert {it.code() for it in more if it.done()} == {code.RESOURCE_EXHAUSTED}
            for call in more:
                call.cancel()
        until(lambda: ended(served), "all is given back")


def test_the_wait_in_the_transport_counts_for_the_deadline(tmp_path: Path) -> None:
    """The time between a call's arrival and its turn on the event loop counts: a call whose
    deadline passed meanwhile is refused before the write."""
    with serving(tmp_path) as served, desks(served) as desk:
        person, server = desk.platform.person(), native(served)
        desk.operator.page()
        take = server._take

        def late(front: Any, events: Any, came_s: float) -> None:
            take(front, events, came_s - 2 * TIMEOUT_S)

        server._take = late  # type: ignore[method-assign]
        refusal = desk.operator.refused("Authorize", rental(desk.operator, person))
        assert (refusal.code, refusal.reason) == (code.DEADLINE_EXCEEDED, "DEADLINE_TOO_NEAR")


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """A server whose address is taken does not start, says so, and leaves nothing behind."""
    with serving(tmp_path) as served:
        other = tmp_path / "other"
        other.mkdir()
        parts = served.app.parts

        async def start() -> None:
            app = App(replace(parts, store=new_database(f"sqlite:///{other / 'freehold.db'}")))
            with pytest.raises(CannotListen, match="another process listens there"):
                await app.start(served.address)
            assert isinstance(app._server, NativeServer)
            assert not Path(app._server._folder.name).exists()

        asyncio.run(start())


def test_many_refused_calls_leave_their_connection(tmp_path: Path) -> None:
    """A connection on which very many calls are begun at once keeps those that have places, and the
    others are refused; it does not end."""

    async def attack(port: int) -> None:
        async with FrameConnection(port) as it:
            send = it._flush
            it._flush = lambda: None  # type: ignore[method-assign]
            for _ in range(200):
                it.begin(AUTHORIZE)
            send()
            it._flush = send  # type: ignore[method-assign]
            await waits(lambda: it.resets.total() >= 190)
            assert set(it.resets) == {"REFUSED_STREAM"}
            await asyncio.sleep(0.3)
            assert not it.goodbye
            assert len(it.open) == 200 - it.resets.total() <= 8
            await it.send(min(it.open), message(0, 0), end=True)
            await waits(lambda: it.answers.total() == 1)
            assert not it.goodbye

    with serving(tmp_path, limits=Limits(max_calls=8, late_s=60)) as served:
        played(attack(port_of(served.address)))
        until(lambda: ended(served), "all is given back")


def test_batches_need_no_coroutine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of a known key is answered without a task for the call."""
    with serving(tmp_path) as served, desks(served) as desk:
        person, server = desk.platform.person(), native(served)
        desk.operator.page()
        monkeypatch.setattr(server, "_answer", None)
        batch = BatchAuthorizeRequest(items=[rental(desk.operator, person) for _ in range(2)])
        answer = BatchAuthorizeResponse.FromString(desk.operator.send("BatchAuthorize", batch))
        assert all(it.response.authorization.name for it in answer.outcomes)
        until(lambda: ended(served), "all is given back")


def test_a_call_that_meets_a_defect_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that meets a defect before its checks is refused with INTERNAL, and the next one is
    answered."""
    with serving(tmp_path) as served, desks(served) as desk:
        person, server = desk.platform.person(), native(served)

        def fail(*_: Any) -> Any:
            monkeypatch.undo()
            raise RuntimeError("a defect")

        desk.operator.page()
        monkeypatch.setattr(server._direct, "begin", fail)
        refusal = desk.operator.refused("Authorize", rental(desk.operator, person))
        assert (refusal.code, refusal.reason) == (code.INTERNAL, "INTERNAL")
        assert desk.operator.authorize(person).name
        assert served.app.pipeline.calls.faults == 1
