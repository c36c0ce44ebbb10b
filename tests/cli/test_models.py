"""The commands for the models that people's features are kept for."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_commands import invoke
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
