"""The overload benchmark reaches a real server, and its bounds can fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hpack import Encoder

from benchmarks import light_client, overload
from benchmarks.__main__ import main
from benchmarks.open_loop import Report

_REPORT = Report(
    acknowledged=100, offered_per_s=300.0, ok_per_s=90.0, answers={"OK": 90}, latency_ms_p50=20.0,
    latency_ms_p99=900.0, other_ms_p50=None, other_ms_p99=None, refusal_ms_p50=5.0,
    refusal_ms_p99=150.0, health_ms_p50=5.0, health_ms_p99=80.0, health_ms_max=100.0,
    late_ms_p99=2.0, load_cpu_share=0.3, server_cpu_share=1.0,
)  # fmt: skip


def _round(ratio: float = 0.9, **changes: Any) -> overload.Round:
    peak = replace(_REPORT, ok_per_s=100.0)
    return overload.Round(ratio, peak, replace(_REPORT, **changes), {"QUEUE_FULL": 3}, {})


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, model: Path) -> dict[str, Any]:
    """The JSON document of a small run."""
    folder = tmp_path_factory.mktemp("overload")
    out = folder / "overload.json"
    size = ["--rounds", "1", "--seconds", "1", "--connections", "8", "--idle", "20"]
    words = ["overload", *size, "--slow-readers", "2", "--people", "20000"]
    places = ["--folder", str(folder), "--model", str(model), "--json", str(out)]
    result = CliRunner().invoke(main, [*words, *places])
    # A small run says nothing of speed, so the exit code may be either.
    assert out.exists(), result.output
    content: dict[str, Any] = json.loads(out.read_text())
    assert result.exit_code == (0 if content["passed"] else 1)
    return content


def test_the_load_reaches_the_server(results: dict[str, Any]) -> None:
    """The peak, the open loop, the health checks and the crowd all reach the server."""
    (only,) = results["each_round"]
    assert only["peak"]["answers"]["OK"] > 0
    assert only["overload"]["offered_per_s"] > only["peak"]["ok_per_s"]
    assert only["overload"]["answers"]
    assert only["overload"]["health_ms_p50"] > 0
    assert only["crowd"]["begun"]["idle"] == only["crowd"]["ended"]["idle"] == 20
    assert only["crowd"]["ended"]["unread"] == only["crowd"]["begun"]["begun"] == 32


def test_the_result_has_its_bounds_beside_it(results: dict[str, Any]) -> None:
    """`passed` is true only if no bound failed, and the bounds are beside it."""
    assert results["passed"] == (not results["failed"])
    assert results["failed"] == overload.failures(results)
    assert results["bounds"] == overload.BOUNDS
    assert results["ratio"] == results["goodput_ratio"]


def test_a_run_within_all_bounds_passes() -> None:
    """A run passes if goodput, refusals, health and generator are within their bounds."""
    assert overload.failures(overload.figures_of([_round()])) == []


@pytest.mark.parametrize(
    ("rounds", "words"),
    [
        ([_round(0.79)], "goodput is 0.79 of the peak"),
        ([_round(refusal_ms_p99=201.0)], "the p99 of refusals is 201 ms"),
        ([_round(), _round(health_ms_max=1001.0)], "the slowest health check is 1001 ms"),
        ([_round(load_cpu_share=0.9)], "the generator used 90% of a core"),
        ([_round(late_ms_p99=60.0)], "the generator began calls 60 ms late"),
    ],
)
def test_each_bound_can_fail(rounds: list[overload.Round], words: str) -> None:
    """A figure beyond its bound fails the run, and the failure names it."""
    (failed,) = overload.failures(overload.figures_of(rounds))
    assert words in failed


def test_figures_are_medians_of_rounds_and_refusals_are_summed() -> None:
    """The figures are medians over the rounds; the refusals of all rounds are summed."""
    figures = overload.figures_of([_round(0.5), _round(0.9), _round(1.0)])
    assert figures["goodput_ratio"] == 0.9
    assert figures["refusals"] == {"QUEUE_FULL": 9}
    assert overload.figures_of([_round(refusal_ms_p99=None)])["refusal_ms_p99"] is None


@pytest.mark.parametrize("huffman", [False, True])
def test_the_light_client_reads_the_status_of_an_answer(huffman: bool) -> None:
    """The status is read from headers with and without the Huffman code, and "" means none."""
    headers = [("content-type", "application/grpc"), ("grpc-status", "8"), ("grpc-message", "no")]
    encoder = Encoder()
    encoder.header_table_size = 0
    assert light_client.status_of(encoder.encode(headers, huffman=huffman)) == "8"
    assert light_client.status_of(encoder.encode(headers[:1], huffman=huffman)) == ""
