"""The attacks benchmark reaches a real server with every attack, and judges the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.attacks import siege
from benchmarks.attacks.command import ATTACKS

NAMES = [it.name for it in ATTACKS]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, model: Path) -> dict[str, Any]:
    """The JSON document of a quick run of every attack."""
    folder = tmp_path_factory.mktemp("attacks")
    out = folder / "attacks.json"
    words = ["attacks", "--quick", "--folder", str(folder), "--model", str(model)]
    result = CliRunner().invoke(main, [*words, "--json", str(out)])
    # Small attacks say nothing of speed, so the exit code may be either.
    assert out.exists(), result.output
    content: dict[str, Any] = json.loads(out.read_text())
    assert result.exit_code == (0 if content["survived"] else 1)
    return content


@pytest.mark.parametrize("name", NAMES)
def test_every_attack_reaches_the_server(results: dict[str, Any], name: str) -> None:
    """Each attack begins calls, or gets answers, while a good caller is served."""
    (found,) = (it for it in results["attacks"] if it["name"] == name)
    facts = found["attack"]["ended"]
    assert facts.get("begun") or sum(facts["answers"].values())
    assert found["p50_ms_without"] > 0
    assert found["memory_mib_most"] >= found["memory_mib_before"] > 0
    assert found["survived"] == (not found["failed"])


def test_the_run_survives_only_if_every_attack_is_survived(results: dict[str, Any]) -> None:
    """`survived` is true only if the server survived every attack; its meaning is beside it."""
    assert [it["name"] for it in results["attacks"]] == NAMES
    assert results["survived"] == all(it["survived"] for it in results["attacks"])
    assert f"{siege.STOP_LIMIT_S:g} s" in results["survived_means"]
    assert results["quick"]
