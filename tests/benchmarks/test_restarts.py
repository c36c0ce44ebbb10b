"""Restarts under load: every call is cured by a retry, and the benchmark notices if one is not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.harness import BenchmarkError
from benchmarks.processes import End, Server
from benchmarks.restarts import Outcome, shortcomings


def test_every_call_outlives_restarts(tmp_path: Path, model: Path) -> None:
    """The shipped client cures every call by itself; a bare client sees only UNAVAILABLE; every
    request id has one authorization."""
    out = tmp_path / "restarts.json"
    words = ["restarts", "--count", "2", "--in-flight", "8", "--folder", str(tmp_path)]
    result = CliRunner().invoke(main, [*words, "--model", str(model), "--json", str(out)])
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    assert content["cured_by_every_retry"]
    assert content["restarts"] == 2
    assert content["answered"] == content["authorizations"] > 0
    assert content["bare"].keys() == {"UNAVAILABLE"}
    assert content["failed"] == []


def ended(folder: Path, at_sigterm: str, limit_s: float) -> tuple[End, str]:
    """The end of a process that serves, and what it logged; `at_sigterm` is its handler's code."""
    code = (
        "import os, signal\n"
        "def end(*_):\n"
        f"    {at_sigterm}\n"
        "signal.signal(signal.SIGTERM, end)\n"
        'print(\'{"event": "serving"}\', flush=True)\n'
        "while True: signal.pause()\n"
    )
    server = Server(["-c", code], core=None, port=0, log=folder / "server.log")
    server.launch()
    server.wait_serving()
    return server.stop_within(limit_s), server.tail


def test_a_server_that_fails_at_its_end_is_told_from_one_that_does_not_end(tmp_path: Path) -> None:
    """A server that ends with exit code 1 after SIGTERM is not called one that did not end."""
    end, log = ended(tmp_path, "print('books differ', flush=True); os._exit(1)", 300.0)
    assert end.fault == "the server ended with exit code 1"
    assert log.endswith("books differ")
    end, _ = ended(tmp_path, "pass", 0.1)
    assert end.fault == "SIGTERM did not end the server within 0.1 s"
    end, _ = ended(tmp_path, "os._exit(0)", 300.0)
    assert end.fault == ""


def test_a_server_that_ends_before_it_serves_is_reported_at_once(tmp_path: Path) -> None:
    """A start that fails is reported with its exit code and its last lines."""
    server = Server(
        ["-c", "print('no such model'); exit(3)"], core=None, port=0, log=tmp_path / "server.log"
    )
    server.launch()
    with pytest.raises(BenchmarkError, match="ended with exit code 3:\nno such model"):
        server.wait_serving()


@pytest.mark.parametrize(
    ("outcome", "rows", "said"),
    [
        (Outcome(failed=["gone"], bare=Counter(UNAVAILABLE=1)), {}, "failed 1 times: gone"),
        (Outcome(bare=Counter(CANCELLED=3)), {}, "'CANCELLED': 3"),
        (Outcome(), {}, "no restart met a call"),
        (Outcome(answered={"a": "x"}, bare=Counter(UNAVAILABLE=1)), {}, "1 answered calls"),
        (Outcome(bare=Counter(UNAVAILABLE=1)), {"a": 2}, "1 request ids have several"),
    ],
)
def test_each_fault_is_reported(outcome: Outcome, rows: dict[str, int], said: str) -> None:
    """A failed, cancelled, lost or doubled call fails the benchmark, and so does a run whose
    restarts met no call."""
    (found,) = shortcomings(outcome, Counter(rows))
    assert said in found
