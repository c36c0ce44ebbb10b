"""The page of `freehold model impact --html`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from service.cli import impact_page
from tests.cli.test_impact import candidate, impact_of, registered
from tests.cli.test_rail_accounts import city, url
from tests.models.test_page import read

__all__ = ["candidate", "city", "registered", "url"]

SECTIONS = ["warnings", "bands", "effects", "limits", "offers", "segments"]


def test_the_page_tells_the_same_as_the_command(
    url: str, model: Path, candidate: Path, registered: dict[str, Any], tmp_path: Path
) -> None:
    """`--html FILE` writes a page with the impact's ID, its tables and a chart of the bands. It
    loads nothing and runs no script; the same impact gives the same page."""
    page, file = tmp_path / "impact.html", tmp_path / "impact.json"
    words = ("--by", "LIMIT_BAL", "--html", str(page), "--json", str(file))
    done = impact_of(url, model, candidate, *words)
    assert done.exit_code == 0, done.output
    whole = json.loads(file.read_text())
    text = page.read_text("utf-8")
    found = read(text)
    assert list(found.text) == SECTIONS
    assert whole["impact_id"] in text
    assert found.tags.isdisjoint({"script", "link", "img", "iframe"})
    assert not [value for name, value in found.attributes if name in ("src", "href", "onclick")]
    assert text.count("<svg") == 1
    falls = whole["impact"]["everybody"]["limit_down"]["hits"]
    assert f"limit falls{falls:,}" in found.text["effects"]
    assert "AGE (protected)" in found.text["segments"]
    assert "35 to 44" in found.text["segments"]
    assert "SEX is protected" in found.text["segments"]
    assert impact_page.of(whole["impact"]) == text


def test_names_of_groups_are_texts(
    url: str, model: Path, candidate: Path, registered: dict[str, Any], tmp_path: Path
) -> None:
    """A group's name from somebody's features is shown as it is and makes no HTML. Without people,
    the page says so."""
    file = tmp_path / "impact.json"
    assert impact_of(url, model, candidate, "--json", str(file)).exit_code == 0
    document = json.loads(file.read_text())["impact"]
    document["segments"][0]["groups"][0]["group"] = "<script>alert(1)</script>"
    found = read(impact_page.of(document))
    assert "script" not in found.tags
    assert "<script>alert(1)</script>" in found.text["segments"]
    document["population"]["compared"] = 0
    assert "Nobody can be compared" in read(impact_page.of(document)).text["warnings"]
