"""Calls that are never finished take nothing from callers with a key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest
from freehold.v1.authorization_service_pb2 import ListAuthorizationsRequest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from benchmarks.attacks.frames import FrameConnection, message
from benchmarks.attacks.held_streams import AUTHORIZE, CHECK, WATCH
from benchmarks.attacks.unfinished_bodies import PUT_USERS
from service.config import Limits
from service.rpc.message_bounds import longest_bytes
from tests.fakes import serving
from tests.rpc.support import TIMEOUT_S, desks

AIO_ONLY = {
    # The native transport reads a message to its end before it looks at the key, within its memory.
    "test_a_call_without_a_key_is_refused_before_its_message",
    "test_a_message_that_never_comes_is_not_awaited_for_ever",
    # It resets such streams, and sends no status.
    "test_messages_that_arrive_have_a_bound_together",
    "test_a_stop_waits_for_no_unfinished_call",
}
LONGEST = longest_bytes(Limits())
INVALID, UNAUTHENTICATED, EXHAUSTED, UNAVAILABLE = "3", "16", "8", "14"


def played(attack: Coroutine[Any, Any, None]) -> None:
    """Runs an attack on an event loop of its own."""
    asyncio.run(asyncio.wait_for(attack, TIMEOUT_S))


async def until(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds; the caller bounds the time."""
    while not condition():
        await asyncio.sleep(0.01)


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_a_call_without_a_key_is_refused_before_its_message(tmp_path: Path) -> None:
    """A call without a valid key is refused although its message has not come, and the server takes
    only a part of a large message."""

    async def attack(port: int) -> None:
        async with FrameConnection(port) as it:
            for key in ("", "made-up"):
                stream = it.begin(AUTHORIZE, key=key)
                await it.send(stream, message(7 * 2**20, 6 * 2**20))
            await until(lambda: it.answers[UNAUTHENTICATED] == 2)
            assert it.sent_bytes < 2**20

    with serving(tmp_path) as served:
        played(attack(port_of(served.address)))


def test_a_message_that_never_comes_is_not_awaited_for_ever(tmp_path: Path) -> None:
    """A call with a valid key that is new to the server is refused if its message is late. If too
    many messages are awaited, the oldest call is refused."""

    async def late(port: int, key: str) -> None:
        async with FrameConnection(port) as it:
            it.begin(AUTHORIZE, key=key)
            await until(lambda: it.answers[INVALID] == 1)

    async def crowded(port: int) -> None:
        async with FrameConnection(port) as it:
            streams = [it.begin(CHECK) for _ in range(3)]
            await until(lambda: it.answers[UNAVAILABLE] == 1)
            assert it.open == set(streams[1:])

    with serving(tmp_path, limits=Limits(body_s=0.05)) as served:
        played(late(port_of(served.address), served.operator_key))
    other = tmp_path / "other"
    other.mkdir()
    with serving(other, limits=Limits(max_arriving_bytes=2 * LONGEST)) as served:
        played(crowded(port_of(served.address)))


@pytest.mark.parametrize(
    ("path", "kept", "told"), [(CHECK, 2, UNAVAILABLE), (PUT_USERS, 4, EXHAUSTED)]
)
def test_messages_that_arrive_have_a_bound_together(
    tmp_path: Path, path: str, kept: int, told: str
) -> None:
    """The server keeps only as many large messages that do not end as it has memory for, also those
    of a key that was valid and those of health checks, which need no key. It refuses the other
    calls, on all connections together, and answers other callers meanwhile."""

    async def attack(port: int, key: str) -> None:
        async with FrameConnection(port) as one, FrameConnection(port) as two:
            body = message(2**20, 2**20 - 1)
            sending = [
                asyncio.create_task(it.send(it.begin(path, key=key), body))
                for it in (one, two)
                for _ in range(10)
            ]
            await until(lambda: one.answers[told] + two.answers[told] == 20 - kept)
            assert len(one.open) + len(two.open) == kept
            for it in sending:
                it.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    limits = Limits(max_arriving_bytes=2 * LONGEST, body_s=600.0)
    with serving(tmp_path, limits=limits) as served, desks(served) as desk:
        for caller in (desk.operator, desk.other):
            caller.page()
        played(attack(port_of(served.address), "" if path == CHECK else served.operator_key))
        desk.other.page()
        desk.operator.page()


def test_watches_and_reflections_have_bounds_of_their_own(tmp_path: Path) -> None:
    """Too many health watches and reflection streams are refused; health checks go on, and so do
    calls with a key."""

    async def watch(port: int, key: str) -> None:
        body = message(0, 0)
        async with FrameConnection(port) as it:
            for _ in range(5):
                await it.send(it.begin(WATCH), body, end=True)
            await until(lambda: it.answers[EXHAUSTED] == 3)
            assert len(it.open) == 2

    async def reflect(channel: grpc.aio.Channel) -> None:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        first = stub.ServerReflectionInfo()
        await first.write(request)
        assert await first.read() is not grpc.aio.EOF
        second = stub.ServerReflectionInfo()
        assert await second.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await first.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def all_of_it(served_at: str, key: str) -> None:
        async with grpc.aio.insecure_channel(served_at) as channel:
            await reflect(channel)
        await watch(port_of(served_at), key)

    limits = Limits(max_watches=2, max_reflections=1, reflection_s=1.0)
    with serving(tmp_path, limits=limits) as served, desks(served) as desk:
        played(all_of_it(served.address, served.operator_key))
        with served.channel() as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S
            )
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert desk.platform.verify().verified


def test_a_stop_waits_for_no_unfinished_call(tmp_path: Path) -> None:
    """A stop ends unfinished calls and watches at once: it does not wait for `drain_s`."""
    limits = Limits(drain_s=3600.0, body_s=600.0)

    async def attack(port: int, key: str, stop: Callable[[], Any]) -> None:
        async with FrameConnection(port) as it:
            it.begin(AUTHORIZE, key=key)
            it.begin(CHECK)
            await it.send(it.begin(WATCH), message(0, 0), end=True)
            await asyncio.sleep(0.2)
            assert len(it.open) == 3
            stopping = asyncio.wrap_future(stop())
            await until(lambda: it.goodbye)
            await stopping
            assert it.answers == {UNAVAILABLE: 2, "0": 1}

    with serving(tmp_path, limits=limits) as served:

        def stop() -> Any:
            return asyncio.run_coroutine_threadsafe(served.app.stop(), served.loop)

        played(attack(port_of(served.address), served.operator_key, stop))


def test_a_stop_cancels_no_call(tmp_path: Path) -> None:
    """While a server stops under load, every call is answered or fails with UNAVAILABLE, so that a
    client may send it again."""
    codes: set[grpc.StatusCode] = set()

    async def load(address: str, key: str, stop: Callable[[], Any]) -> None:
        over = asyncio.Event()
        body = ListAuthorizationsRequest().SerializeToString()
        async with grpc.aio.insecure_channel(address) as channel:
            call = channel.unary_unary("/freehold.v1.AuthorizationService/ListAuthorizations")

            async def caller() -> None:
                while not over.is_set():
                    sent = call(body, metadata=(("authorization", f"Bearer {key}"),))
                    codes.add(await sent.code())

            callers = [asyncio.create_task(caller()) for _ in range(100)]
            await until(lambda: grpc.StatusCode.OK in codes)
            await asyncio.wrap_future(stop())
            over.set()
            await asyncio.gather(*callers)

    with serving(tmp_path) as served:

        def stop() -> Any:
            return asyncio.run_coroutine_threadsafe(served.app.stop(), served.loop)

        played(load(served.address, served.operator_key, stop))
    assert codes == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
