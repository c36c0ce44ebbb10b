"""The benchmark of latencies at a share of the peak: both servers, and bounds that can fail."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from freehold.v1.authorization_service_pb2 import AuthorizeRequest

from benchmarks import latency
from benchmarks.__main__ import main
from benchmarks.harness import BenchmarkError
from benchmarks.latency import figures_of, round_of
from benchmarks.open_loop import Generator, Job, Report

REPORT = Report(
    acknowledged=100, offered_per_s=50.0, ok_per_s=50.0, answers={"OK": 100}, latency_ms_p50=4.0,
    latency_ms_p99=8.0, other_ms_p50=None, other_ms_p99=None, refusal_ms_p50=None,
    refusal_ms_p99=None, health_ms_p50=1.0, health_ms_p99=1.0, health_ms_max=1.0, late_ms_p99=0.5,
    load_cpu_share=0.1, server_cpu_share=0.5,
)  # fmt: skip
ECHO = replace(REPORT, latency_ms_p50=1.0, latency_ms_p99=2.5)
FSYNCS_MS = [3.0] * 99 + [4.0]


def measured(echo: Report = ECHO, **changes: Any) -> dict[str, Any]:
    """The figures of one round."""
    return figures_of([round_of(REPORT, echo, replace(REPORT, **changes), FSYNCS_MS)])


@pytest.mark.parametrize("skew", ["none", "operator"])
def test_a_run_measures_both_servers(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, skew: str
) -> None:
    """A run offers half of the measured peak to Freehold and to the echo; a skewed one tells the
    latency of the other calls apart, and has other operators only under their skew."""
    monkeypatch.setattr(latency, "_PEOPLE_A_SECOND", 2_500)
    made: list[int] = []
    operators = latency._operators

    def counted(prepared: Any) -> tuple[str, ...]:
        keys = operators(prepared)
        made.append(len(keys))
        return keys

    monkeypatch.setattr(latency, "_operators", counted)
    monkeypatch.setattr(latency, "OTHERS", 2)
    out = tmp_path / "latency.json"
    words = ["latency", "--rounds", "1", "--seconds", "0.5", "--skew", skew, "--share", "0.2"]
    places = ["--folder", str(tmp_path), "--model", str(model), "--json", str(out)]
    result = CliRunner().invoke(main, [*words, *places])
    # A small run says nothing of speed, so the exit code may be either.
    assert out.exists(), result.output
    found = json.loads(out.read_text())
    assert result.exit_code == (0 if found["passed"] else 1)
    (only,) = found["each_round"]
    assert only["echo"]["answers"]["OK"] > 0
    assert only["freehold"]["answers"]["OK"] > 0
    assert only["peak"]["ok_per_s"] > only["freehold"]["offered_per_s"] > 0
    assert only["fsync_ms_p50"] > 0
    assert (only["freehold"]["other_ms_p50"] is None) == (skew == "none")
    assert made == ([2] if skew == "operator" else [])


def test_half_of_the_calls_are_hot() -> None:
    """Under a skew about half of the calls are hot, the same ones in each run: under that of a
    person they are this person's, and the others are of one person each."""
    job = Job(
        port=1, server_pid=1, key="k", product_id="bike", users=tuple(f"u{n}" for n in range(400)),
        seed=7, connections=1, a_second=1.0, in_flight=1, warm_up_s=0.0, seconds=1.0,
        deadline_s=1.0, skew="user",
    )  # fmt: skip
    found = [Generator(job), Generator(job)]
    assert found[0]._hot == found[1]._hot
    users = Counter(AuthorizeRequest.FromString(it).user_id for it in found[0]._messages)
    ((person, calls), (_, next_most), *_) = users.most_common()
    assert (person, next_most) == ("u0", 1)
    assert 150 < calls < 250
    even = Generator(replace(job, skew="none"))
    assert not any(even._hot)
    keys = Generator(replace(job, skew="operator", others=("a", "b")))
    hot = [keys._calls_of(n) is keys._calls for n in range(400)]
    assert hot == keys._hot
    assert {id(keys._calls_of(n)) for n in range(400)} == set(map(id, [keys._calls, *keys._others]))


def test_a_round_is_compared_with_the_echo_and_an_fsync() -> None:
    """The p50 is compared with the sum of the echo's and an fsync's; the p99 without an fsync's is
    divided by the echo's."""
    figures = measured()
    assert figures["p50_above_ms"]["median"] == pytest.approx(4.0 - 1.0 - 3.0)
    assert figures["p99_ratio"]["median"] == pytest.approx((8.0 - 3.0) / 2.5)
    assert latency.failures(figures, skewed=False) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"latency_ms_p50": 4.6}, "the p50 is 0.60 ms above"),
        ({"latency_ms_p99": 11.0}, "the p99 without an fsync is 3.20 times"),
        ({"answers": {"OK": 98, "CANCELLED_LATE": 2}}, "only 98.0% of the calls"),
        ({"load_cpu_share": 0.9}, "the generator used 90% of a core"),
        ({"late_ms_p99": 6.0}, "the generator began calls 6.0 ms late"),
    ],
)
def test_a_bound_that_does_not_hold_is_named(changes: dict[str, Any], words: str) -> None:
    """Each bound that does not hold is named; those of latencies do not bind a skewed load."""
    (found,) = latency.failures(measured(**changes), skewed=False)
    assert found.startswith(words)
    skewed = latency.failures(measured(**changes), skewed=True)
    assert skewed == ([] if "latency_ms_p50" in changes or "latency_ms_p99" in changes else [found])


def test_a_server_that_answers_nothing_has_no_figures() -> None:
    """A round in which a server answered no call with OK is an error."""
    silent = replace(REPORT, latency_ms_p50=None, latency_ms_p99=None, answers={"UNAVAILABLE": 3})
    with pytest.raises(BenchmarkError, match="no call was answered with OK"):
        round_of(REPORT, silent, REPORT, FSYNCS_MS)
