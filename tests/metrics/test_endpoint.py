"""The metrics' endpoint answers Prometheus, and bounds every other peer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from typing import Any

import pytest

from service.config import MetricsLimits
from service.metrics.endpoint import Endpoint
from service.rpc.server import CannotListen

LONG_S = 30.0
"""The longest wait of a test; reached only when something is wrong."""
PATIENT = MetricsLimits(answer_s=600)


class Source:
    """Makes a text, and counts how often."""

    def __init__(self, text: bytes = b"freehold_serving 1.0\n") -> None:
        self.made = 0
        self.text = text
        self.faults: list[BaseException] = []

    def __call__(self) -> bytes:
        self.made += 1
        return self.text

    def log_fault(self, fault_id: str, error: BaseException, about: Any = None) -> None:
        self.faults.append(error)


@contextmanager
def served(source: Source, limits: MetricsLimits) -> Iterator[int]:
    """An endpoint on a free port."""
    endpoint = Endpoint(source, limits, source.log_fault)
    port = endpoint.start("127.0.0.1:0")
    try:
        yield port
    finally:
        endpoint.stop()


def ask(port: int, method: str = "GET", path: str = "/metrics") -> tuple[int, dict[str, str], str]:
    """The status, the headers and the body of an answer."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=LONG_S)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()


def opened(port: int, sent: bytes = b"") -> socket.socket:
    """A connection that has sent some bytes."""
    peer = socket.create_connection(("127.0.0.1", port), timeout=LONG_S)
    peer.sendall(sent)
    return peer


def ended(peer: socket.socket) -> bytes:
    """The bytes that a peer gets until the endpoint ends the connection."""
    got = b""
    try:
        while part := peer.recv(65_536):
            got += part
    except ConnectionResetError:
        pass
    return got


def test_the_metrics_are_text() -> None:
    """GET /metrics gives the metrics in Prometheus's text format; the connection then ends."""
    with served(Source(), MetricsLimits()) as port:
        status, headers, body = ask(port)
        assert (status, body) == (200, "freehold_serving 1.0\n")
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert headers["Connection"] == "close"
        assert ask(port, path="/metrics?name=freehold_serving")[0] == 200
        assert ask(port, "HEAD")[::2] == (200, "")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/metricsx", 404), ("POST", "/metrics", 405), ("GET", "*", 404)],
)
def test_other_requests_are_refused(method: str, path: str, status: int) -> None:
    """Another path is 404, and another method is 405; both name the path of the metrics."""
    source = Source()
    with served(source, MetricsLimits()) as port:
        told = ask(port, method, path)
    assert told[0] == status
    assert "/metrics" in told[2]
    assert source.made == 0


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01 hello\r\n\r\n", b"GET /metrics\r\n\r\n", b"\r\n\r\n"]
)
def test_what_is_no_http_is_refused(sent: bytes) -> None:
    """Bytes that are no HTTP/1 request are answered 400."""
    with served(Source(), MetricsLimits()) as port, opened(port, sent) as peer:
        assert ended(peer).startswith(b"HTTP/1.1 400 ")


def test_a_long_request_is_refused() -> None:
    """A request above its bound is answered 400, however it goes on."""
    with served(Source(), MetricsLimits(max_request_bytes=256)) as port:
        with opened(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 600) as peer:
            assert ended(peer)[:13] in (b"HTTP/1.1 400 ", b"")
        assert ask(port)[0] == 200


def test_an_idle_connection_ends() -> None:
    """A connection ends after its time, whether its peer sends nothing, or a byte now and then."""
    stop = threading.Event()

    def drip(peer: socket.socket) -> None:
        with suppress(OSError):
            while not stop.wait(0.05):
                peer.sendall(b"x")

    with (
        served(Source(), MetricsLimits(answer_s=0.3)) as port,
        opened(port) as silent,
        opened(port, b"GET") as slow,
    ):
        began_s = time.monotonic()
        dripping = threading.Thread(target=drip, args=(slow,))
        dripping.start()
        assert (ended(silent), ended(slow)) == (b"", b"")
        assert time.monotonic() - began_s > 0.2
        stop.set()
        dripping.join()


def test_a_peer_that_does_not_read_ends() -> None:
    """A peer that reads nothing of a large answer is given up after its time."""
    source = Source(b"x" * 64_000_000)
    with (
        served(source, MetricsLimits(answer_s=0.5)) as port,
        opened(port, b"GET /metrics HTTP/1.1\r\n\r\n") as peer,
    ):
        deadline = time.monotonic() + LONG_S
        while source.made == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(1.0)
        assert len(ended(peer)) < len(source.text)


def test_a_flood_of_connections_does_not_keep_prometheus_out() -> None:
    """A connection beyond the bound ends the oldest one, so a scraper is always answered."""
    limits = MetricsLimits(max_connections=4, answer_s=600)
    with served(Source(), limits) as port, ExitStack() as stack:
        flood = [stack.enter_context(closing(opened(port, b"GET /metrics HT"))) for _ in range(64)]
        assert ask(port)[0] == 200
        assert all(ended(peer) == b"" for peer in flood[:60])


def test_many_requests_cost_no_more_than_one() -> None:
    """Within its fresh time an answer is made once; after that it is made again."""
    source = Source()
    with served(source, MetricsLimits(fresh_s=3600)) as port:
        assert {ask(port)[0] for _ in range(50)} == {200}
        assert source.made == 1
    source = Source()
    with served(source, MetricsLimits(fresh_s=0)) as port:
        assert [ask(port)[0] for _ in range(3)] == [200] * 3
        assert source.made == 3


def test_a_defect_is_told_and_logged() -> None:
    """If the metrics cannot be made, the answer is 500, and the fault is logged."""
    source = Source()

    def fail() -> bytes:
        raise RuntimeError("a defect")

    endpoint = Endpoint(fail, MetricsLimits(), source.log_fault)
    port = endpoint.start("127.0.0.1:0")
    try:
        status, _, body = ask(port)
    finally:
        endpoint.stop()
    assert status == 500
    assert "defect" not in body
    assert [str(it) for it in source.faults] == ["a defect"]


def test_a_taken_address_is_refused() -> None:
    """An address in use is refused with the option that gave it."""
    with served(Source(), PATIENT) as port:
        endpoint = Endpoint(Source(), PATIENT, Source().log_fault)
        with pytest.raises(CannotListen, match="another process listens there; give another --met"):
            endpoint.start(f"127.0.0.1:{port}")
        assert ask(port)[0] == 200


def test_an_end_waits_for_nobody() -> None:
    """The endpoint ends at once, even if peers are idle."""
    endpoint = Endpoint(Source(), PATIENT, Source().log_fault)
    port = endpoint.start("127.0.0.1:0")
    with opened(port), opened(port, b"GET /metr"):
        stopping = threading.Thread(target=endpoint.stop, daemon=True)
        stopping.start()
        stopping.join(LONG_S)
        assert not stopping.is_alive()
