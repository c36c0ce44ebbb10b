"""The commands for findings on models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from models import fairness_gate
from service.cli.serve import warn_of_findings
from service.storage import schema as t
from service.storage.compatibility import FINDINGS_BUILD
from service.storage.database import open_database
from service.storage.figures import figures
from service.storage.findings import CLOSED
from tests.cli.test_commands import invoke, shell
from tests.cli.test_models import judged
from tests.cli.test_rail_accounts import city, url
from tests.fakes import START_US

__all__ = ["city", "url"]


@pytest.fixture
def blocked(url: str, model: Path, tmp_path: Path) -> tuple[Path, str]:
    """A registered model that its fairness gate blocks, and its id."""
    folder = judged(model, tmp_path / "blocked", fairness_gate.BLOCKED)
    assert invoke("model", "register", str(folder), "--database", url).exit_code == 0
    return folder, json.loads((folder / "manifest.json").read_text())["model_id"]


def finding(url: str, *words: str) -> Any:
    return invoke("model", "finding", *words, "--database", url)


def test_a_finding_is_closed_by_another_person(
    url: str, blocked: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finding has a severity, a text, its author and its time; another person closes it, once,
    with a text, and it is kept. The books verify."""
    _, model_id = blocked
    monkeypatch.setenv("SUDO_USER", "ada")
    for severity, text in (("high", "scores the blank best"), ("low", "no unit of income")):
        done = finding(url, "open", model_id, "--severity", severity, "--text", text)
        assert done.exit_code == 0, done.output
    assert done.output == "finding 2 opened\n"
    engine = open_database(url)
    with engine.connect() as connection:
        oldest = connection.scalar(select(func.max(t.compatibility.c.oldest_build)))
    engine.dispose()
    assert oldest == FINDINGS_BUILD
    close = ("close", model_id, "1", "--text", "trained again")
    assert "another person must close it" in str(finding(url, *close).exception)
    monkeypatch.setenv("SUDO_USER", "bob")
    assert finding(url, *close).output == "finding closed\n"
    assert "was closed by shell/bob" in str(finding(url, *close).exception)
    first, second = json.loads(finding(url, "list", model_id, "--json").output)
    assert (first["severity"], first["text"], first["opened_by"]) == (
        "high", "scores the blank best", "shell/ada",
    )  # fmt: skip
    assert (first["closed_by"], first["close_text"]) == ("shell/bob", "trained again")
    assert first["closed"] >= first["opened"]
    assert (second["finding"], second["closed"], second["closed_by"]) == ("2", "", "")
    assert "text: no unit of income" in " ".join(finding(url, "list").output.split())
    assert invoke("verify", "--database", url).exit_code == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"details": '{"finding": 3, "severity": "low", "text": "x"}'},
        {"details": '{"finding": 2, "severity": "worst", "text": "x"}'},
        {"act": CLOSED, "details": '{"finding": 1, "text": "x"}'},
    ],
)
def test_the_books_compare_findings(
    url: str, model: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str]
) -> None:
    """A finding whose number or severity is wrong, or that its own author closed, is a fault of the
    books."""
    monkeypatch.setenv("SUDO_USER", "ada")
    invoke("model", "register", str(model), "--database", url)
    model_id = json.loads((model / "manifest.json").read_text())["model_id"]
    for text in ("x", "y"):
        finding(url, "open", model_id, "--severity", "low", "--text", text)
    engine = open_database(url)
    with engine.begin() as connection:
        kept = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
        triggers = connection.exec_driver_sql(kept).all()
        for trigger in triggers:
            connection.exec_driver_sql(f"DROP TRIGGER {trigger.name}")
        last = t.audit.c.details.contains('"y"')
        connection.execute(update(t.audit).where(last).values(**changed))
        for trigger in triggers:
            connection.exec_driver_sql(trigger.sql)
    engine.dispose()
    done = invoke("verify", "--database", url)
    assert done.exit_code == 1
    assert "does not fit the acts before" in done.stderr


def test_an_open_high_finding_blocks_the_acceptance(
    url: str, blocked: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model with an open finding of high severity is named by the list, and accepted only with
    --despite-findings, or once the finding is closed."""
    folder, model_id = blocked
    monkeypatch.setenv("SUDO_USER", "ada")
    accept = ("model", "accept", str(folder), "--reason", "no better one", "--database", url)
    for severity in ("medium", "high"):
        finding(url, "open", model_id, "--severity", severity, "--text", "see the report")
    (listed,) = json.loads(invoke("model", "list", "--json", "--database", url).output)
    assert listed["open_high_findings"] == ["2"]
    assert "open findings of high severity (2)" in str(invoke(*accept).exception)
    words = (*accept[:4], "fine (impact 12ab)", *accept[5:])
    assert "must not have (impact" in invoke(*words).output
    assert "accepted by shell/ada" in invoke(*accept, "--despite-findings").output
    monkeypatch.setenv("SUDO_USER", "bob")
    assert invoke(*accept).exception is not None
    finding(url, "close", model_id, "2", "--text", "a misreading")
    assert "accepted by shell/ada, shell/bob" in invoke(*accept).output
    (listed,) = json.loads(invoke("model", "list", "--json", "--database", url).output)
    assert listed["open_high_findings"] == []


def test_open_high_findings_on_the_served_model_are_told(
    url: str, blocked: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that starts with a model with an open finding of high severity warns of it, and its
    figures count it, until the finding is closed; other findings are not told."""
    _, model_id = blocked
    monkeypatch.setenv("SUDO_USER", "ada")
    finding(url, "open", model_id, "--severity", "medium", "--text", "x")
    engine = open_database(url)

    def told() -> tuple[list[Any], dict[str, int]]:
        with capture_logs() as lines:
            warn_of_findings(engine, model_id)
            warn_of_findings(engine, "another model")
        return lines, dict(figures(engine, START_US, 0).high_findings)

    assert told() == ([], {})
    finding(url, "open", model_id, "--severity", "high", "--text", "x")
    (line,), counted = told()
    assert (line["log_level"], line["model_id"]) == ("warning", model_id)
    assert "open findings of high severity (2)" in line["why"]
    assert counted == {model_id: 1}
    monkeypatch.setenv("SUDO_USER", "bob")
    finding(url, "close", model_id, "2", "--text", "trained again")
    assert told() == ([], {})
    engine.dispose()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("open", "0" * 64, "--severity", "low", "--text", "x"), "model not found"),
        (("close", "0" * 64, "1", "--text", "x"), "finding not found"),
    ],
)
def test_what_does_not_exist(url: str, words: tuple[str, ...], said: str) -> None:
    """A finding on an unknown model, or an unknown finding, is refused."""
    assert said in str(finding(url, *words).exception)


def test_a_text_is_needed(url: str, blocked: tuple[Path, str]) -> None:
    """A finding without a text, or with an unknown severity, is refused."""
    _, model_id = blocked
    done = finding(url, "open", model_id, "--severity", "low", "--text", "")
    assert "text" in str(done.exception)
    done = finding(url, "open", model_id, "--severity", "worst", "--text", "x")
    assert done.exit_code == 2
    assert finding(url, "list").output == "no findings\n"


def test_a_text_of_2000_characters_is_whole(url: str, blocked: tuple[Path, str]) -> None:
    """A finding's text has up to 2,000 characters; a longer one is refused with the limit."""
    _, model_id = blocked
    opened = ("open", model_id, "--severity", "low", "--database", url, "--text")
    assert finding(url, *opened[:4], "--text", "长" * 2_000).exit_code == 0
    (listed,) = json.loads(finding(url, "list", "--json").output)
    assert listed["text"] == "长" * 2_000
    refused = shell("model", "finding", *opened, "x" * 2_001)
    assert refused.returncode == 1
    assert refused.stderr == (
        "Error: invalid input: text: must have 1 to 2,000 characters, and no control characters\n"
    )
    assert invoke("verify", "--database", url).exit_code == 0
