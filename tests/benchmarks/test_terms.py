"""The benchmark of changed terms: its figures, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import terms as benchmark
from benchmarks.harness import BenchmarkError
from service.engine.terms import Terms


def test_a_change_of_terms_is_measured(tmp_path: Path) -> None:
    """For each number of operators every figure is above zero. The headline is the time of a load
    beside the writer, divided by the time of a read of all terms."""
    file = tmp_path / "terms.json"
    words = ["--operators", "2,3", "--rounds", "2", "--json", str(file)]
    done = CliRunner().invoke(benchmark.terms, words)
    assert done.exit_code == 0, done.output
    content = json.loads(file.read_text())
    assert [level["operators"] for level in content["levels"]] == [2, 3]
    for level in content["levels"]:
        for name in ("whole", "look", "load", "stall", "learn"):
            assert level[name]["median"] > 0, name
    last = content["levels"][-1]
    assert content["ratio"] == last["load"]["median"] / last["whole"]["median"]
    assert CliRunner().invoke(benchmark.terms, ["--operators", "x"]).exit_code == 2


def test_terms_that_are_not_loaded_give_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The benchmark refuses to measure when a change is not loaded."""
    monkeypatch.setattr(Terms, "follow", lambda _terms: False)
    with pytest.raises(BenchmarkError, match="was not loaded"):
        benchmark.measure(tmp_path, 2, 1)
