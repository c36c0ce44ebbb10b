"""Restarts under load: every call is cured by a retry, and the benchmark notices if one is not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
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
