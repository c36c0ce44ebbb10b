"""The commands for the models that people's features are kept for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from models import fairness_gate, manifest
from models.scorer import ModelScorer
from service.cli.serve import require_fair
from tests.cli.test_commands import invoke, shell
from tests.cli.test_rail_accounts import city, url

__all__ = ["city", "url"]


def test_a_model_is_registered_listed_and_retired(url: str, model: Path) -> None:
    """`model` registers a folder's model, lists it with its features, and retires it once."""
    done = invoke("model", "register", str(model), "--database", url)
    assert done.exit_code == 0, done.output
    (listed,) = json.loads(invoke("model", "list", "--json", "--database", url).output)
    model_id = json.loads((model / "manifest.json").read_text())["model_id"]
    assert f"model {model_id} registered" in done.output
    assert (listed["model"], listed["retired"]) == (model_id, "")
    assert set(listed["features"].values()) == {"number"}
    retire = ("model", "retire", model_id, "--reason", "too old", "--database", url)
    assert invoke(*retire).output == "model retired\n"
    text = invoke("model", "list", "--database", url).output
    assert f"features: {len(listed['features'])}" in text
    assert "reason: too old" in text
    assert "retired already" in str(invoke(*retire).exception)


def judged(model: Path, folder: Path, verdict: str) -> Path:
    """A copy of a model whose fairness gate says this."""
    shutil.copytree(model, folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["fairness"]["gate"]["verdict"] = verdict
    document = json.loads((folder / "manifest.json").read_text())
    document["metrics_sha256"] = manifest.metrics_sha256(metrics)
    document["model_id"] = manifest.model_id(document)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder


def test_a_blocked_model_is_served_once_two_people_accept_it(
    url: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server refuses a model that its fairness gate blocks until two users of the shell have
    accepted it, each with a reason."""
    folder = judged(model, tmp_path / "blocked", fairness_gate.BLOCKED)
    refused = shell("serve", "--model", str(folder), "--database", url)
    assert refused.returncode == 1
    assert "is blocked by its fairness gate" in refused.stderr
    accept = ("model", "accept", str(folder), "--reason", "no better one", "--database", url)
    monkeypatch.setenv("SUDO_USER", "ada")
    assert "another person must accept it too" in invoke(*accept).output
    assert "ada has accepted" in str(invoke(*accept).exception)
    engine, scorer = create_engine(url), ModelScorer.load(folder)
    with pytest.raises(Exception, match="so far, shell/ada accepted it"):
        require_fair(engine, scorer)
    monkeypatch.setenv("SUDO_USER", "bob")
    assert invoke(*accept).output == f"model {scorer.model_id} accepted by shell/ada, shell/bob\n"
    require_fair(engine, scorer)
    engine.dispose()


def test_a_model_of_simulated_outcomes_is_refused_outside_a_sandbox(
    url: str, model: Path, tmp_path: Path
) -> None:
    """`serve` refuses a model whose outcomes were simulated, and names the remedy."""
    folder = tmp_path / "simulated"
    shutil.copytree(model, folder)
    document = json.loads((folder / "manifest.json").read_text())
    document["label"]["simulated"] = True
    document["model_id"] = manifest.model_id(document)
    (folder / "manifest.json").write_text(json.dumps(document))
    refused = shell("serve", "--model", str(folder), "--database", url)
    assert refused.returncode == 1
    assert "has learned from simulated outcomes" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_model_with_a_fine_gate_needs_nobody(url: str, model: Path, tmp_path: Path) -> None:
    """A model with a fine gate, or of a build without one, is served, and there is nothing to
    accept. One that needs two signatures is served with a warning."""
    fine = judged(model, tmp_path / "fine", fairness_gate.FINE)
    done = invoke("model", "accept", str(fine), "--reason", "why", "--database", url)
    assert "nothing is to accept" in done.output
    schema_1 = Path(__file__).parents[1] / "models" / "schema_1"
    assert manifest.read(schema_1).fairness == fairness_gate.FINE
    engine = create_engine(url)
    for verdict in (fairness_gate.FINE, fairness_gate.TWO_SIGNATURES):
        folder = judged(model, tmp_path / verdict.replace(" ", "-") / "model", verdict)
        require_fair(engine, ModelScorer.load(folder))
    engine.dispose()
