"""A3: the log's reader stops. No part of the server waits for the reader."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from freehold.client import Client
from freehold.v1.credit_service_pb2 import PutUsersRequest, SetCreditLimitRequest, User
from freehold.v1.types_pb2 import Money
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.config import LogLimits
from service.logs import LogStream
from tests.faults.support import environment, people, prepare, run

pytestmark = pytest.mark.skipif(
    not hasattr(fcntl, "F_SETPIPE_SZ"), reason="only Linux sets a pipe's size"
)

AS_OF_S = 1_704_067_200
PIPE_BYTES = 4_096
HANG_S = 60.0
CALL_S = 30.0

# A server that seals all the time and whose log buffers few lines beside the pipe.
LIMITS = {"FREEHOLD_LIMITS_SEAL_INTERVAL_S": "0.01", "FREEHOLD_LIMITS_LOG_MOST_WAITING": "4000"}


@contextmanager
def small_pipe() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe of 4 KiB. A test that closes an end replaces the end's number by
    -1."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        yield ends
    finally:
        for end in ends:
            with suppress(OSError):
                os.close(end)


def fill(write_end: int) -> None:
    """Fills a pipe to the last byte, as behind a reader that has stopped.

    It uses its own open file, because blocking is a property of the open file.
    """
    own = os.open(f"/proc/self/fd/{write_end}", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(own, b"\n")
    os.close(own)


def read_until(read_end: int, event: str) -> list[dict[str, Any]]:
    """The lines of a log up to one with this event."""
    data, end = b"", time.monotonic() + HANG_S
    while event.encode() not in data or not data.endswith(b"\n"):
        assert select.select([read_end], [], [], end - time.monotonic())[0], data
        data += os.read(read_end, 65_536)
    return [json.loads(line) for line in data.splitlines() if line]


# -- the stream ------------------------------------------------------------------------------


def test_a3_a_full_pipe_delays_no_writer() -> None:
    """A3: while the reader is stopped, lines are accepted at once. When the reader continues, the
    buffered lines come in order, and one line has the number of dropped lines."""
    with small_pipe() as (reader, writer):
        stream = LogStream(writer, LogLimits(most_waiting=2_000))
        fill(writer)
        began = time.monotonic()
        for number in range(1_000):
            stream.write(json.dumps({"event": "line", "number": number}) + "\n")
        assert time.monotonic() - began < CALL_S
        *kept, dropped = read_until(reader, "log_lines_dropped")
        assert stream.finish(HANG_S)
    assert [line["number"] for line in kept] == list(range(len(kept)))
    assert 10 < len(kept) < 1_000
    assert dropped["lines"] == 1_000 - len(kept)
    assert dropped["level"] == "warning"


def test_a3_the_count_comes_at_the_gap() -> None:
    """A3: after a gap, the log continues with the number of dropped lines and then the later lines,
    without waiting for another line."""
    with small_pipe() as (reader, writer):
        stream = LogStream(writer, LogLimits(most_waiting=100))
        fill(writer)
        for number in range(20):
            stream.write(f'{{"event": "early", "number": {number}}}\n')
        early = [line["event"] for line in read_until(reader, "log_lines_dropped")]
        stream.write('{"event": "late"}\n')
        (late,) = read_until(reader, "late")
        assert stream.finish(HANG_S)
    assert early == [*["early"] * (len(early) - 1), "log_lines_dropped"]
    assert len(early) > 1
    assert late == {"event": "late"}


def test_a3_the_end_is_bounded() -> None:
    """A3: the end waits for the reader for the given time, and returns whether all was written."""
    with small_pipe() as (reader, writer):
        stream = LogStream(writer, LogLimits(most_waiting=2_000))
        fill(writer)
        stream.write("words\n")
        began = time.monotonic()
        assert not stream.finish(0.2)
        assert time.monotonic() - began < CALL_S
        os.read(reader, 65_536)  # so that the thread ends with the test
        stream._thread.join(HANG_S)


def test_a3_lines_stay_whole() -> None:
    """A3: pieces of a line reach the log as one line, also when the last one has no end."""
    with small_pipe() as (reader, writer):
        stream = LogStream(writer, LogLimits(most_waiting=2_000))
        print("one", "two", file=stream)
        stream.write("thr")
        stream.write("ee\nfo")
        stream.write("ur")
        assert stream.finish(HANG_S)
        os.close(writer)
        assert os.read(reader, 65_536) == b"one two\nthree\nfour\n"


def test_a3_a_closed_log_stops_no_process() -> None:
    """A3: when the reader has closed the pipe, lines are lost and no error is raised."""
    with small_pipe() as (reader, writer):
        stream = LogStream(writer, LogLimits(most_waiting=2_000))
        os.close(reader)
        for _ in range(10):
            stream.write("words\n")
        assert stream.finish(HANG_S)


def test_a3_an_interpreter_ends_with_a_full_pipe() -> None:
    """A3: if the log, warnings, prints and failing threads of a process write into a full pipe, the
    process still ends within seconds, with its own exit code."""
    words = """
import sys, threading, warnings
from service.config import LogLimits
from service.logs import configure_logs
configure_logs(LogLimits())
import logging, structlog
for number in range(200):
    structlog.get_logger("own").error("fault", number=number)
    logging.getLogger("library").error("fault %d", number)
    warnings.warn(f"warning {number}", stacklevel=1)
    print("words", number)
    print("words", number, file=sys.stderr)
failing = threading.Thread(target=lambda: 1 / 0)
failing.start()
failing.join()
raise SystemExit("Error: last words")
"""
    with small_pipe() as (_reader, writer):
        process = subprocess.Popen(
            [sys.executable, "-c", words], stdout=writer, stderr=writer, env=environment()
        )
        try:
            assert process.wait(HANG_S) == 1
        finally:
            process.kill()
            process.wait()


# -- the server ------------------------------------------------------------------------------


def test_a3_a_server_with_a_full_log_pipe(tmp_path: Path, model: Path) -> None:
    """A3: if its log is a full pipe, a server still answers calls and the health check. When the
    reader continues, a line has the number of dropped lines. If the pipe is full again, SIGTERM
    ends the server within a few seconds."""
    url = f"sqlite:///{tmp_path / 'freehold.db'}"
    _, platform_key = prepare(url)
    assert run("create-seal-key", str(tmp_path / "seal")).returncode == 0
    words = ("serve", "--listen", "127.0.0.1:0", "--database", url, "--model", str(model))
    with small_pipe() as (reader, writer):
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", *words, "--seal-key", str(tmp_path / "seal")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=writer,
            env={**environment(), **LIMITS},
        )
        try:
            address = read_until(reader, "serving")[0]["address"]
            fill(writer)
            with (
                grpc.insecure_channel(address) as channel,
                Client(address, platform_key, plaintext=True, timeout_s=CALL_S) as platform,
            ):
                health = health_pb2_grpc.HealthStub(channel)
                user = User(user_id="ann", features=people(model, 1)[0], scoring_consent=True)
                user.as_of.seconds = AS_OF_S
                platform.put_users(PutUsersRequest(request_id="p", users=[user]))

                def calls(first: int, last: int) -> None:
                    for number in range(first, last):
                        limit = Money(currency_code="CNY", amount_minor=number + 1)
                        request = SetCreditLimitRequest(
                            request_id=f"l-{number}", user_id="ann", limit=limit
                        )
                        platform.set_credit_limit(request)
                        time.sleep(0.03)  # long enough for a seal, which logs a line
                    said = health.Check(health_pb2.HealthCheckRequest(), timeout=CALL_S)
                    assert said.status == health_pb2.HealthCheckResponse.SERVING

                calls(0, 80)
                *lines, dropped = read_until(reader, "log_lines_dropped")
                assert dropped["lines"] > 0
                assert {line["event"] for line in lines} <= {"seal", "database_checked"}
                fill(writer)
                calls(80, 100)
            process.send_signal(signal.SIGTERM)
            assert process.wait(HANG_S) == 0
        finally:
            process.kill()
            process.wait()
