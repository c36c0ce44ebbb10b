"""`freehold health` reports to probes and scripts whether a server serves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer

import grpc
import pytest
from click.testing import CliRunner, Result
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from benchmarks.processes import free_port
from service.cli import cli
from tests.fakes import serving


def ask(*words: str, **given: str) -> Result:
    """Runs the command in this process."""
    return CliRunner(env=given).invoke(cli, ["health", *words])


@pytest.fixture
def servicer() -> health.HealthServicer:
    """A health check that answers NOT_SERVING until a test changes it."""
    made = health.HealthServicer()
    made.set("", HealthCheckResponse.NOT_SERVING)
    return made


@pytest.fixture
def address(servicer: health.HealthServicer) -> Iterator[str]:
    """A server with only the health check."""
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_a_server_that_serves(tmp_path: Path) -> None:
    """The exit code is 0 for a server that serves; its address may stand in the environment."""
    with serving(tmp_path) as served:
        for done in (ask(served.address), ask(FREEHOLD_ADDRESS=served.address)):
            assert (done.exit_code, done.output) == (0, "SERVING\n")


def test_no_server() -> None:
    """Without a server the exit code is 1, with one line that says so."""
    address = f"127.0.0.1:{free_port()}"
    done = ask(address)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"Error: {address} does not serve: UNAVAILABLE\n"


def test_a_server_that_does_not_serve(address: str) -> None:
    """The exit code is 1 for a server that does not serve, after the requested wait."""
    started = time.monotonic()
    done = ask(address, "--wait", "0.3")
    assert done.stderr == f"Error: {address} does not serve: NOT_SERVING\n"
    assert done.exit_code == 1
    assert time.monotonic() - started >= 0.3


def test_a_server_that_begins_to_serve(address: str, servicer: health.HealthServicer) -> None:
    """The wait ends as soon as the server serves."""
    timer = Timer(0.4, servicer.set, ("", HealthCheckResponse.SERVING))
    timer.start()
    started = time.monotonic()
    done = ask(address, "--wait", "60")
    assert (done.exit_code, done.output) == (0, "SERVING\n")
    assert 0.4 <= time.monotonic() - started < 30
    timer.join()


@pytest.mark.parametrize("words", [("127.0.0.1",), (":80",), ("localhost:x",), ()])
def test_an_invalid_address(words: tuple[str, ...]) -> None:
    """An address that is not HOST:PORT is refused before any call."""
    done = ask(*words)
    assert done.exit_code == 2
    assert "ADDRESS" in done.stderr
