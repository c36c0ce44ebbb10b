"""The soak benchmark drives real days, and its bounds can fail."""

from __future__ import annotations

import io
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from benchmarks import soak
from benchmarks.__main__ import main
from benchmarks.harness import BenchmarkError

_MB = 1_000_000


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, model: Path) -> dict[str, Any]:
    """The JSON document of a small run."""
    folder = tmp_path_factory.mktemp("soak")
    out = folder / "soak.json"
    words = ["soak", "--minutes", "0.05", "--rentals", "40", "--people", "30"]
    places = ["--folder", str(folder), "--model", str(model), "--json", str(out)]
    result = CliRunner().invoke(main, [*words, *places])
    # A small run says nothing of speed, so the exit code may be either.
    assert out.exists(), result.output
    content: dict[str, Any] = json.loads(out.read_text())
    assert result.exit_code == (0 if content["passed"] else 1)
    return content


def test_whole_days_reach_the_server(results: dict[str, Any]) -> None:
    """The measured days have the demo's kinds of calls, and each quarter has a p99."""
    assert results["days"] >= 1
    assert results["methods"]["Authorize"] == 40 * results["days"]
    assert results["methods"]["SettleAuthorization"] > 0
    assert sum(results["methods"].values()) == results["calls"]
    assert len(results["p99_ms"]) == 4
    assert min(size for _, size in results["memory"]) > 0


def test_the_result_has_its_bounds_beside_it(results: dict[str, Any]) -> None:
    """`passed` is true only if no bound failed, and the bounds are beside it."""
    assert results["passed"] == (not results["failed"])
    assert results["failed"] == soak.failures(results)
    assert results["bounds"] == soak.BOUNDS


def test_the_first_quarter_does_not_count_for_the_slope() -> None:
    """Memory that grows only in the first quarter of the time has no slope."""
    grows_first = [(float(at), 100 * _MB + min(at, 25) * _MB) for at in range(101)]
    figures = soak.figures_of(grows_first, [10.0, 10.0, 10.0, 15.0])
    assert figures["memory_mb_in_10_minutes"] == pytest.approx(0.0, abs=1e-6)
    assert soak.failures(figures) == []


def test_memory_that_grows_fails_the_run() -> None:
    """A leak of 1 MB in 10 minutes fails the run, although single samples vary."""
    leak = [(float(at), 100 * _MB + int(_MB * at / 600) + at % 2) for at in range(0, 1800, 5)]
    figures = soak.figures_of(leak, [10.0, 10.0, 10.0, 10.0])
    assert figures["memory_mb_in_10_minutes"] == pytest.approx(1.0, rel=1e-3)
    assert "memory grew by 1.0 MB" in soak.failures(figures | {"memory_mb_in_10_minutes": 1.0})[0]


def test_a_server_that_becomes_slower_fails_the_run() -> None:
    """A p99 of more than 1.5 times the first quarter's fails the run."""
    flat = [(float(at), 100 * _MB) for at in range(10)]
    (failed,) = soak.failures(soak.figures_of(flat, [10.0, 11.0, 12.0, 15.1]))
    assert "the p99 of the last quarter is 1.51 times" in failed


def test_a_run_without_samples_has_no_figures() -> None:
    """A run that was too short for a slope is refused, and does not pass."""
    with pytest.raises(BenchmarkError, match="give more --minutes"):
        soak.figures_of([(0.0, _MB)], [1.0, 1.0, 1.0, 1.0])


def test_a_soak_prints_its_progress() -> None:
    """While a soak runs, the time and the server's memory are printed now and then."""
    said = io.StringIO()
    with soak.progress(Console(file=said), os.getpid(), every_s=0.05):
        time.sleep(0.5)
    lines = said.getvalue().splitlines()
    assert len(lines) > 1
    assert all(re.fullmatch(r"after \d+ s: [1-9]\d* MB of memory", line) for line in lines)
