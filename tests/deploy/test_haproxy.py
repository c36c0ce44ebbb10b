"""The shipped configuration of HAProxy: calls pass, and attacks end at the proxy."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from freehold.client import Client, FreeholdError
from freehold.v1.authorization_service_pb2 import GetAuthorizationRequest
from freehold.v1.ledger_service_pb2 import VerifyBooksRequest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import service
from benchmarks.attacks.frames import FrameConnection, message
from benchmarks.attacks.held_streams import AUTHORIZE, CHECK, WATCH
from benchmarks.processes import free_port
from tests.fakes import Served, serving
from tests.rpc.support import TIMEOUT_S, desks

HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONFIGURATION = Path(service.__file__).parent / "deploy" / "haproxy.cfg"
MOST_STREAMS, MOST_CONNECTIONS = 128, 64
PLACES, BUSY = 768 + 256, "8"
DENIED, UNAUTHENTICATED = "7", "16"

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed")


@contextmanager
def proxied(upstream: str, folder: Path) -> Iterator[int]:
    """HAProxy with the shipped configuration in front of a server's address; its port."""
    port = free_port()
    log = folder / "haproxy.log"
    with log.open("wb") as sink:
        child = subprocess.Popen(
            [str(HAPROXY), "-db", "-f", str(CONFIGURATION)],
            env=os.environ
            | {"FREEHOLD_PROXY": f"127.0.0.1:{port}", "FREEHOLD_UPSTREAM": upstream},
            stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
        )  # fmt: skip
    try:
        end = time.monotonic() + TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert child.poll() is None, log.read_text()
                assert time.monotonic() < end
                time.sleep(0.05)
        yield port
    finally:
        child.kill()
        child.wait()


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, int]]:
    """A server, and the port of the proxy in front of it."""
    folder = tmp_path_factory.mktemp("haproxy")
    with serving(folder) as served, proxied(served.address, folder) as port:
        yield served, port


def played(attack: Coroutine[Any, Any, None]) -> None:
    """Runs an attack on an event loop of its own."""
    asyncio.run(asyncio.wait_for(attack, TIMEOUT_S))


async def until(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds; the caller bounds the time."""
    while not condition():
        await asyncio.sleep(0.01)


def test_calls_pass_with_their_details(behind: tuple[Served, int]) -> None:
    """Calls, refusals with their details, and health checks pass the proxy unchanged."""
    served, port = behind
    with desks(served) as desk:
        name = desk.operator.authorize(desk.platform.person(), "umbrella").name
    with Client(f"127.0.0.1:{port}", served.operator_key, plaintext=True) as client:
        assert (
            client.get_authorization(GetAuthorizationRequest(name=name)).authorization.name == name
        )
        with pytest.raises(FreeholdError) as refused:
            client.verify_books(VerifyBooksRequest())
        assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED
        assert refused.value.reason
    with Client(f"127.0.0.1:{port}", "made-up", plaintext=True) as stranger:
        with pytest.raises(FreeholdError) as refused:
            stranger.get_authorization(GetAuthorizationRequest(name=name))
        assert refused.value.reason == "KEY_UNKNOWN"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S
        )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_strangers_are_refused_by_the_proxy(behind: tuple[Served, int]) -> None:
    """A call without a key, and a health watch, are refused before the server hears of them."""

    async def attack(port: int) -> None:
        async with FrameConnection(port) as it:
            it.begin(AUTHORIZE)
            await until(lambda: it.answers[UNAUTHENTICATED] == 1)
            await it.send(it.begin(WATCH), message(0, 0), end=True)
            await until(lambda: it.answers[DENIED] == 1)

    port = behind[1]
    played(attack(port))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(AUTHORIZE)(b"", timeout=TIMEOUT_S)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_half_open_calls_end_at_the_proxy(behind: tuple[Served, int]) -> None:
    """A call whose message does not come is ended by the proxy, and one connection has a bounded
    number of calls. A good caller is answered meanwhile."""
    served, port = behind

    async def attack() -> None:
        async with FrameConnection(port) as it:
            assert it.room == MOST_STREAMS
            for _ in range(MOST_STREAMS):
                it.begin(CHECK)
            with Client(f"127.0.0.1:{port}", served.platform_key, plaintext=True) as client:
                assert client.verify_books(VerifyBooksRequest()).verified
            await until(lambda: not it.open)

    played(attack())


def test_connections_of_one_address_are_bounded(behind: tuple[Served, int]) -> None:
    """The proxy closes further connections of an address that has many."""

    async def refused(over: asyncio.Event) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", behind[1])
        except ConnectionError:
            return True
        try:
            return await asyncio.wait_for(reader.read(), 1.0) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        finally:
            await over.wait()
            writer.close()

    async def attack() -> None:
        over, wanted = asyncio.Event(), MOST_CONNECTIONS + 10
        asyncio.get_running_loop().call_later(2.0, over.set)
        told = await asyncio.gather(*(refused(over) for _ in range(wanted)))
        assert 10 <= sum(told) < wanted

    played(attack())


def test_calls_beyond_what_the_server_answers_are_refused(tmp_path: Path) -> None:
    """When the server has many calls in progress and many wait, a further call is refused at once
    with RESOURCE_EXHAUSTED; a health check is not, because it has places of its own."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass
        writer.close()

    async def attack(port: int) -> None:
        async with AsyncExitStack() as stack:
            crowd = [
                await stack.enter_async_context(FrameConnection(port))
                for _ in range(2 * PLACES // MOST_STREAMS)
            ]
            probe = await stack.enter_async_context(FrameConnection(port))
            # Calls that wait end after a second, so a slow machine begins them again.
            while not sum(it.answers[BUSY] for it in crowd):
                for it in crowd:
                    for _ in range(min(it.room, 8)):
                        await it.send(it.begin(AUTHORIZE, key="k"), message(0, 0), end=True)
                    await asyncio.sleep(0)
            await probe.send(probe.begin(CHECK), message(0, 0), end=True)
            await asyncio.sleep(0.2)
            assert len(probe.open) == 1

    async def play() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            port = await loop.run_in_executor(None, stack.enter_context, proxied(address, tmp_path))
            await attack(port)
        server.close()

    played(play())
