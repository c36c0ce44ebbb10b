"""VerifyBooks is a job: one at a time, in its own process, which ends with its caller."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from freehold.v1.ledger_service_pb2 import VerifyBooksRequest, VerifyBooksResponse
from structlog.testing import capture_logs

from service.bounds import values_of
from service.config import Limits
from service.domain.verification import BookFault, Verification, Witness
from service.engine.verification_job import MAIN, read_verification, write_verification
from tests.fakes import serving
from tests.postgres import Cluster
from tests.rpc.support import TIMEOUT_S, Desks, Refused, desks, until

GIVEN_UP = 10


@pytest.fixture(scope="module", autouse=True)
def jobs() -> None:
    """These processes are started as a server starts them."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Desks]:
    """This test's own server."""
    with serving(tmp_path) as served, desks(served) as callers:
        yield callers


def process_of(own: Desks) -> int:
    """The process of the running verification, once it has been started."""
    job = own.served.app._verifications

    until(lambda: job.running is not None, "a verification runs")
    assert job.running is not None
    return job.running.process.pid


def is_gone(pid: int) -> bool:
    """Whether a process has ended and was collected."""
    return not Path(f"/proc/{pid}").exists()


def threads() -> set[threading.Thread]:
    """The threads, without those that pools, which number them, keep for their next work."""
    return {it for it in threading.enumerate() if not re.search(r"_[0-9]+$", it.name)}


def fault_of(lines: list[MutableMapping[str, Any]]) -> BaseException:
    """The error of the one fault in the log."""
    (fault,) = (it["exc_info"] for it in lines if it["event"] == "fault")
    assert isinstance(fault, BaseException)
    return fault


def verify(own: Desks, timeout: float = TIMEOUT_S) -> VerifyBooksResponse:
    """A call of VerifyBooks; raises Refused."""
    answer = own.platform.send("VerifyBooks", VerifyBooksRequest(), timeout=timeout)
    return VerifyBooksResponse.FromString(answer)


def test_a_given_up_verification_ends_at_once_and_leaves_nothing(own: Desks) -> None:
    """Ten verifications whose callers give up end at once, even if their processes hang. Reads are
    answered meanwhile, and afterwards no process and no thread is left."""
    it = own.operator.authorize(own.platform.person())
    verify(own)
    before = threads()
    pids = []
    with ThreadPoolExecutor(1) as pool:
        for _ in range(GIVEN_UP):
            waiting = pool.submit(verify, own, 1.0)
            pid = process_of(own)
            os.kill(pid, signal.SIGSTOP)
            assert own.operator.get(it.name).name == it.name
            with pytest.raises(Refused) as refused:
                waiting.result()
            assert refused.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
            until(lambda: own.served.app._verifications.running is None, "the job has ended")
            pids.append(pid)
    assert len(set(pids)) == GIVEN_UP
    until(lambda: all(map(is_gone, pids)), "the processes have ended")
    until(lambda: threads() <= before, "the threads have ended")
    assert verify(own).verified


def test_a_second_verification_is_refused_with_the_progress_of_the_first(own: Desks) -> None:
    """While a verification runs, a second one is refused with its progress and a delay; the first
    goes on."""
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(verify, own)
        pid = process_of(own)
        os.kill(pid, signal.SIGSTOP)
        refusal = own.platform.refused("VerifyBooks", VerifyBooksRequest())
        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.reason == "VERIFICATION_RUNNING"
        assert refusal.info.metadata["done_percent"] == "0"
        assert refusal.retry_s is not None
        assert "has read 0% of the entries" in refusal.message
        os.kill(pid, signal.SIGCONT)
        assert first.result().verified
    assert verify(own).verified


def test_the_end_of_the_server_ends_its_verification(tmp_path: Path) -> None:
    """A server that stops ends a hanging verification at once; its caller gets UNAVAILABLE."""
    with ThreadPoolExecutor(1) as pool:
        with serving(tmp_path) as served, desks(served) as own:
            waiting = pool.submit(verify, own)
            pid = process_of(own)
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(Refused) as refused:
            waiting.result()
        assert refused.value.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert is_gone(pid)


def test_a_verification_process_that_dies_is_an_internal_fault(own: Desks) -> None:
    """If the process is killed from outside, the call is INTERNAL, the log tells the signal, and
    the next call works."""
    with ThreadPoolExecutor(1) as pool, capture_logs() as lines:
        waiting = pool.submit(verify, own)
        os.kill(process_of(own), signal.SIGKILL)
        with pytest.raises(Refused) as refused:
            waiting.result()
    assert refused.value.code is grpc.StatusCode.INTERNAL
    assert f"without a result: signal {signal.SIGKILL:d}" in str(fault_of(lines))
    assert verify(own).verified


def test_a_verification_process_that_fails_leaves_its_cause_in_the_log(own: Desks) -> None:
    """If the process fails, the call is INTERNAL, and the log has the exit code and the end of the
    standard error."""
    own.served.app._verifications._job._module = "service.nowhere"
    with capture_logs() as lines, pytest.raises(Refused) as refused:
        verify(own)
    assert refused.value.code is grpc.StatusCode.INTERNAL
    fault = fault_of(lines)
    assert "without a result: exit code 1" in str(fault)
    assert "No module named service.nowhere" in "\n".join(fault.__notes__)


def test_a_verification_ends_with_a_killed_server(cluster: Cluster) -> None:
    """If the server is killed, the input of the process ends, and so does the process: even while
    its database does not answer."""
    name = cluster.fresh()
    with psycopg.connect(cluster.dsn(name)) as blocker:
        blocker.execute("LOCK TABLE lines IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, "-m", MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin is not None
        asked: dict[str, object] = {"url": cluster.url(name), "keys": None, "witnesses": []}
        asked["niceness"] = 3
        asked["limits"] = values_of(Limits())
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        until(lambda: blocker.execute(waiting).fetchone() != (0,), "the process reads")
        nice = os.getpriority(os.PRIO_PROCESS, process.pid) - os.getpriority(os.PRIO_PROCESS, 0)
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == -signal.SIGKILL
        assert nice == 3
    with suppress(psycopg.Error):
        cluster.drop(name)


def test_an_unavailable_database_is_told(own: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the process cannot read the database, the call is UNAVAILABLE, and the log tells why."""
    monkeypatch.setattr(own.served.app._verifications, "_url", "sqlite:////nowhere/freehold.db")
    with capture_logs() as lines:
        refusal = own.platform.refused("VerifyBooks", VerifyBooksRequest())
    assert "unable to open database file" in "\n".join(fault_of(lines).__notes__)
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "STORAGE_UNAVAILABLE",
    )


@pytest.mark.parametrize(
    "found",
    [
        Verification(1, 2, 3, None),
        Verification(1, 2, 3, BookFault("RULE", "lines/ann/CNY", "1, not 2"), 4, 5),
        Verification(1, 2, 3, None, 4, 5, Witness(9, b"\0" * 31 + b"\xff"), ("one", "two")),
    ],
)
def test_a_result_passes_between_the_processes_unchanged(found: Verification) -> None:
    """A verification is the same after it was written as JSON and read again."""
    assert read_verification(json.loads(json.dumps(write_verification(found)))) == found
