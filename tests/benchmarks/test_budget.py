"""The benchmark of the steps of an Authorize."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import budget as benchmark
from benchmarks.budget_server import Meter
from benchmarks.rules import CONDITIONS, NONE, VELOCITY


def _spin(times: int) -> int:
    return sum(range(times))


def test_a_step_is_charged_without_the_steps_within_it() -> None:
    """The time of an inner step is not part of the outer one, and each call counts once."""
    meter = Meter()
    inner = meter.timed("inner", lambda: _spin(300_000))

    def around() -> None:
        inner()
        inner()

    meter.timed("outer", around)()
    sums = meter.sums()
    assert sums["calls"] == {"inner": 2, "outer": 1}
    assert sums["steps"]["inner"] > 10 * sums["steps"]["outer"]
    assert sums["process_s"] >= sum(sums["steps"].values())


def test_a_step_that_fails_is_charged_too() -> None:
    """An error passes through the meter, and the step around goes on to be measured."""
    meter = Meter()

    def fail() -> None:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        meter.timed("outer", meter.timed("inner", fail))()
    assert meter.sums()["calls"] == {"inner": 1, "outer": 1}


def test_each_step_of_an_authorize_has_its_time(tmp_path: Path, model: Path) -> None:
    """Every statement and every step has a figure at each level, with and without rules, and the
    steps add up to the process."""
    file = tmp_path / "budget.json"
    words = ["--in-flight", "4", "--rounds", "1", "--calls", "64", "--json", str(file)]
    words += ["--model", str(model), "--unscored"]
    for rules in (NONE, VELOCITY, CONDITIONS):
        words += ["--rules", rules]
    done = CliRunner().invoke(benchmark.budget, words)
    assert done.exit_code == 0, done.output
    variants: list[dict[str, Any]] = json.loads(file.read_text())["variants"]
    assert [it["rules"] for it in variants] == [NONE, VELOCITY, CONDITIONS]
    for it in variants:
        steps = it["steps_us"]
        for name in ("parse and check the message", "score: model", "decide", "commit"):
            assert steps[name] > 0, name
        for table in ("lines", "authorizations", "decisions", "entries", "requests", "outbox"):
            assert steps[f"SQLite writes {table}"] > 0, table
        assert sum(steps.values()) == pytest.approx(it["process_us"])
        assert (it["engine_over_none"] is None) == (it["rules"] == NONE)
    assert variants[1]["steps_us"]["SQLite reads open_of_users"] > 0
    assert "SQLite reads open_of_users" not in variants[0]["steps_us"]


def test_a_stored_score_costs_no_time_of_the_model(tmp_path: Path, model: Path) -> None:
    """The model is not asked about people whose scores PutUsers stored; by the native transport,
    the steps of its wire are apart."""
    file = tmp_path / "budget.json"
    words = ["--in-flight", "4", "--rounds", "1", "--calls", "64", "--json", str(file)]
    words += ["--transport", "native"]
    done = CliRunner().invoke(benchmark.budget, [*words, "--model", str(model)])
    assert done.exit_code == 0, done.output
    (variant,) = json.loads(file.read_text())["variants"]
    assert variant["steps_us"]["score: assessments"] > 0
    assert variant["steps_us"].get("score: model", 0) == 0
    for name in ("pass frames to the transport", "pass frames to the client", "send the answer"):
        assert variant["steps_us"][name] > 0, name
