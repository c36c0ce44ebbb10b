"""`freehold serve --metrics`: a hostile scraper harms nobody, and other machines are kept out."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
from freehold.v1.credit_service_pb2 import GetCreditProfileRequest

from tests.faults.support import one_line, prepare, run, server
from tests.rpc.support import Caller, until

FLOOD = 200


def scrape(address: str) -> str:
    """The metrics of a server."""
    with urlopen(f"http://{address}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def value(address: str, sample: str) -> float:
    """The value of one sample."""
    (line,) = [it for it in scrape(address).splitlines() if it.startswith(f"{sample} ")]
    return float(line.rpartition(" ")[2])


def test_a_hostile_scraper_harms_no_call(tmp_path: Path, model: Path) -> None:
    """Peers that send nothing, send half a request, or never read their answers are given up.
    Calls are answered meanwhile, Prometheus is answered, memory stays, and the server ends."""
    database = f"sqlite:///{tmp_path / 'freehold.db'}"
    keys = prepare(database)
    with ExitStack() as stack:
        running = stack.enter_context(
            server(database, model, "127.0.0.1:0", "--metrics", "127.0.0.1:0")
        )
        address = str(running.wait_for("metrics")["address"])
        caller = Caller(str(running.wait_for("serving")["address"]), keys[1])
        stack.callback(caller.close)
        unknown = GetCreditProfileRequest(user_id="nobody")
        caller.refused("GetCreditProfile", unknown)
        assert value(address, "freehold_serving") == 1
        memory = value(address, "process_resident_memory_bytes")
        host, _, port = address.rpartition(":")
        for number in range(FLOOD):
            peer = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            with suppress(OSError):
                peer.sendall((b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n")[number % 3])
            if number % 20 == 0:
                assert caller.refused("GetCreditProfile", unknown).reason == "USER_NOT_FOUND"
        before = value(address, 'freehold_calls_total{code="NOT_FOUND",method="GetCreditProfile"}')
        assert before >= 1
        until(
            lambda: (
                value(address, 'freehold_calls_total{code="NOT_FOUND",method="GetCreditProfile"}')
                == 1 + FLOOD / 20
            ),
            "every call is counted",
        )
        assert value(address, "process_resident_memory_bytes") < memory + 32 * 1024 * 1024
        began_s = time.monotonic()
        assert running.terminate() == 0
        assert time.monotonic() - began_s < 30
        assert "fault" not in running.events()


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "[::]:9464", "192.0.2.1:9464"])
def test_other_machines_are_kept_out(address: str, tmp_path: Path, model: Path) -> None:
    """An address that other machines can reach is refused, unless it is allowed explicitly."""
    words = ("serve", "--database", f"sqlite:///{tmp_path / 'x.db'}", "--model", str(model))
    done = run(*words, "--metrics", address)
    assert done.returncode == 1
    assert "give 127.0.0.1:9464, or give metrics_on_network too" in one_line(done.stderr)


def test_an_unknown_host_of_the_metrics_is_refused(tmp_path: Path, model: Path) -> None:
    """An address whose host is not known is refused in one line."""
    words = ("serve", "--database", f"sqlite:///{tmp_path / 'x.db'}", "--model", str(model))
    done = run(*words, "--metrics", "nowhere.invalid:9464")
    assert done.returncode == 1
    assert "the host of nowhere.invalid:9464 is not known" in one_line(done.stderr)


def test_other_machines_may_be_allowed(tmp_path: Path, model: Path) -> None:
    """With --metrics-on-network the server takes any address of its machine."""
    database = f"sqlite:///{tmp_path / 'freehold.db'}"
    prepare(database)
    options = ("--metrics", "0.0.0.0:0", "--metrics-on-network")
    with server(database, model, "127.0.0.1:0", *options) as running:
        port = str(running.wait_for("metrics")["address"]).rpartition(":")[2]
        running.wait_for("serving")
        assert "freehold_serving 1.0" in scrape(f"127.0.0.1:{port}")


def test_a_taken_address_stops_the_start(tmp_path: Path, model: Path) -> None:
    """If another process listens on the address of the metrics, the server does not start, and
    says so in one line."""
    database = f"sqlite:///{tmp_path / 'freehold.db'}"
    prepare(database)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        words = ("serve", "--database", database, "--model", str(model), "--metrics", address)
        done = run(*words, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"Error: cannot listen on {address}: another process listens there; give another --metrics"
    )
