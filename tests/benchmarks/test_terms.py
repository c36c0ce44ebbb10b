"""The benchmark of changed terms: its figures, and its refusals."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
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


@pytest.mark.parametrize("late", [False, True])
def test_a_pause_counts_wherever_it_ends(monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    """The longest pause of another thread counts if the action is over before that thread looks
    for the first time, and if it is over at the end of the pause."""

    class Slow(Future[int]):
        """An action that ends while the other thread pauses for 20 ms."""

        looks = 0

        def done(self) -> bool:
            self.looks += 1
            if self.looks == 1 + late:
                time.sleep(0.02)
            return self.looks > late

    class Pool:
        """Runs an action at once."""

        def __init__(self, _threads: int) -> None: ...

        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_: object) -> None: ...

        def submit(self, action: Callable[[], int]) -> Future[int]:
            slow = Slow()
            slow.set_result(action())
            return slow

    monkeypatch.setattr(benchmark, "ThreadPoolExecutor", Pool)
    stall_ms, result = benchmark._stalled_by(lambda: 7)
    assert stall_ms >= 20
    assert result == 7


def test_terms_that_are_not_loaded_give_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The benchmark refuses to measure when a change is not loaded."""
    monkeypatch.setattr(Terms, "follow", lambda _terms: False)
    with pytest.raises(BenchmarkError, match="was not loaded"):
        benchmark.measure(tmp_path, 2, 1)
