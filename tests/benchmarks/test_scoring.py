"""The benchmark of scores and reasons."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks import scoring as benchmark


def test_each_way_to_score_has_its_time_and_its_exactness(tmp_path: Path, model: Path) -> None:
    """Every way has a time for one row and for 64, and all margins have LightGBM's bits."""
    file = tmp_path / "scoring.json"
    words = ["--rounds", "2", "--rows", "128", "--model", str(model), "--json", str(file)]
    done = CliRunner().invoke(benchmark.scoring, words)
    assert done.exit_code == 0, done.output
    told = json.loads(file.read_text())
    for size in ("1", "64"):
        assert all(it["min"] > 0 for it in told["us_a_row"][size].values())
    assert told["us_a_row"]["1"].keys() == told["us_a_row"]["64"].keys()
    assert set(told["exactness"]["equal"].values()) == {told["exactness"]["rows"]} == {128}
    assert told["exactness"]["reasons_differ_by"] < 1e-9
    headline = told["ratios"]["one row, tables / Booster.predict, one thread"]
    assert told["ratio"] == headline["median"] > 0
