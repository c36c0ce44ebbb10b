"""The benchmark of previews: its figures, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import preview as benchmark
from benchmarks.harness import BenchmarkError
from service.preview.report import Preview
from service.preview.run import preview


def test_a_preview_is_measured_against_its_decisions(tmp_path: Path) -> None:
    """Every draft is previewed over all decisions; the headline is the median of the rounds' times
    of the slowest preview without rules over those of the batches."""
    file = tmp_path / "preview.json"
    words = ["--decisions", "256", "--people", "60", "--rounds", "3", "--json", str(file)]
    done = CliRunner().invoke(benchmark.previews, words)
    assert done.exit_code == 0, done.output
    content = json.loads(file.read_text())
    assert content["decisions"] == 256
    ratios = []
    for run in content["runs"]:
        previews_s = run["previews_s"]
        assert previews_s.keys() == (benchmark.DRAFTS | benchmark.RULED).keys()
        assert run["changed"]["higher cut-offs"] > 0, run
        ratios.append(max(previews_s[name] for name in benchmark.DRAFTS) / run["make_s"])
    assert content["ratio"] == sorted(ratios)[1]


def test_a_preview_without_all_decisions_gives_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The benchmark refuses a preview that repeats other decisions than were made."""

    def shorter(database: object, asked: object) -> Preview:
        found = preview(database, asked)  # type: ignore[arg-type]
        return found._replace(whole=found.whole._replace(repeated=1))

    monkeypatch.setattr(benchmark, "preview", shorter)
    with pytest.raises(BenchmarkError, match="1 of 64 decisions repeated"):
        benchmark.measure(tmp_path, 64, 10, 1)
