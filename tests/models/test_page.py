from __future__ import annotations

import copy
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from models import fairness_gate, manifest, page, report
from tests.models.small_tables import A, B, table, trained

SECTIONS = [
    "warnings", "verdict", "rows", "roc", "ks", "calibration", "gains", "bands", "importance",
    "fairness", "card",
]  # fmt: skip
VOID = {"meta"}
MODEL_ID = "a" * 64


class Reader(HTMLParser):
    """Collects the sections with their texts, and checks that elements close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: dict[str, str] = {}
        self._section = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag == "section":
            self._section = dict(attrs)["id"] or ""
            self.text[self._section] = ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._section:
            self.text[self._section] += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def metrics(small_directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((small_directory / "metrics.json").read_text())
    return found


def test_a_report_has_every_section_with_its_rows(metrics: dict[str, Any]) -> None:
    """A report is well-formed, and each section names its number of rows and, where it has
    figures of the model, whether they are out of time."""
    text = read(page.of(metrics, MODEL_ID)).text
    assert list(text) == SECTIONS
    scored = metrics["holdout"]["n"]
    for name, words in text.items():
        if name == "card":
            continue
        assert re.search(r"n = [\d,]+", words), name
        if name != "rows":
            assert "out of time" in words, name
    for name in ("roc", "ks", "calibration", "gains", "bands"):
        assert f"n = {scored:,}," in text[name]
    assert f"n = {metrics['rows'] + metrics['dropped']:,}" in text["rows"]
    assert metrics["verdict"]["sentence"] in text["verdict"]
    assert "of 5 refits with other seeds" in text["verdict"]
    assert f"{metrics['holdout']['ece_noise_95']:.4f}" in text["calibration"]


def test_a_report_loads_nothing(metrics: dict[str, Any]) -> None:
    """A report has no script and no address, so it loads nothing from elsewhere."""
    written = page.of(metrics, MODEL_ID)
    reader = read(written)
    assert "://" not in written
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert not {name for name, _ in reader.attributes} & {"src", "href", "xlink:href"}
    assert not re.search(r"@import|url\(", written)


def test_a_report_is_the_same_for_the_same_figures(
    metrics: dict[str, Any], small_directory: Path
) -> None:
    """The report in a model's folder is the one that its figures and its id give, to the byte."""
    model_id = manifest.read(small_directory).model_id
    written = (small_directory / page.NAME).read_text(encoding="utf-8")
    assert page.of(metrics, model_id) == written


def test_texts_of_users_are_escaped(metrics: dict[str, Any]) -> None:
    """Names and texts from the spec and the table are shown as they are and never as elements."""
    figures = copy.deepcopy(metrics)
    evil = "<script>alert('债')</script>&"
    figures["outcome"] = figures["horizon"] = figures["population"] = evil
    figures["verdict"]["sentence"] = evil
    figures["warnings"] = [evil]
    figures["excluded"] = [{"reason": evil, "rows": 3}]
    figures["importance"]["columns"][0] |= {"column": evil, "reason_group": evil}
    for found in (figures["fairness"], figures["fairness"]["all_rows"]):
        attribute = found["attributes"][0]
        attribute["attribute"] = attribute["compared_with"] = attribute["groups"][0]["group"] = evil
    reader = read(page.of(figures, MODEL_ID))
    assert "script" not in reader.tags
    for name in ("warnings", "verdict", "rows", "importance", "fairness"):
        assert evil in reader.text[name], name


def test_a_report_names_the_recipe_that_was_chosen(metrics: dict[str, Any]) -> None:
    """The verdict of a nested choice names the served recipe and those of the folds; that of a
    pinned recipe does not."""
    figures = copy.deepcopy(metrics)
    assert "Chosen in folds" not in read(page.of(figures, MODEL_ID)).text["verdict"]
    figures["choice"] |= {"nested": True, "served": "medium", "served_trees": 1_135}
    figures["choice"]["chosen_in_folds"] = {"deep": 1, "medium": 13, "scorecard": 1}
    told = read(page.of(figures, MODEL_ID)).text["verdict"]
    assert "Served: medium with 1,135 trees." in told
    assert "Chosen in folds: medium 13, deep 1, scorecard 1." in told


def test_scorecards_of_all_folds_have_no_gain_over_themselves(metrics: dict[str, Any]) -> None:
    """The verdict tells the gain over the scorecard only where a fold chose another recipe."""
    figures = copy.deepcopy(metrics)
    figures["choice"] |= {"chosen_in_folds": {"deep": 1, "scorecard": 4}}
    assert "Gain over the scorecard: " in read(page.of(figures, MODEL_ID)).text["verdict"]
    figures["choice"] |= {"chosen_in_folds": {"scorecard": 5}}
    assert "Gain over the scorecard: " not in read(page.of(figures, MODEL_ID)).text["verdict"]


def test_a_warnings_command_is_shown_as_code(metrics: dict[str, Any]) -> None:
    """A command between back quotes is code in the report; a single back quote stays as it is."""
    figures = copy.deepcopy(metrics)
    figures["warnings"] = ["do `freehold <x>` now", "a column named `"]
    written = page.of(figures, MODEL_ID)
    assert "do <code>freehold &lt;x&gt;</code> now." in written
    assert "a column named `." in read(written).text["warnings"]


def test_an_option_stays_in_one_piece(metrics: dict[str, Any]) -> None:
    """A narrow page does not part an option of a command after its hyphens."""
    figures = copy.deepcopy(metrics)
    figures["warnings"] = ["do `freehold model accept --reason TEXT -q`, not a --reason"]
    written = page.of(figures, MODEL_ID)
    whole = '<span class="whole">{}</span>'
    assert (
        f"accept {whole.format('--reason')} TEXT {whole.format('-q')}</code>, not a --" in written
    )


def test_a_difference_of_nothing_has_no_sign(metrics: dict[str, Any]) -> None:
    """A gap that rounds to 0 is shown as 0.00, also if it is a little below; so is a gain."""
    figures = copy.deepcopy(metrics)
    figures["gain"] |= {"auc_mean": -0.00001, "interval": [-0.01, -0.00002]}
    assert "+0.0000 AUC [-0.0100, +0.0000]" in report.gain(figures)
    group = figures["fairness"]["attributes"][0]["groups"][0]
    group["gap_of_good"] = {"value": -0.001, "interval": [-0.02, 0.004]}
    assert "0.00 [-0.02, 0.00]" in read(page.of(figures, MODEL_ID)).text["fairness"]
    assert "-0.00" not in read(page.of(figures, MODEL_ID)).text["fairness"]


def test_a_model_is_read_without_its_report(tmp_path: Path) -> None:
    """A model whose column is named like an element trains; without its report, or with another
    one, the model is the same."""
    features = [{**A, "name": "<script>", "column": "a"}, B]
    metrics = trained(tmp_path, table(), features).metrics
    report = tmp_path / "model" / page.NAME
    text = report.read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    report.write_text("changed")
    assert manifest.read(tmp_path / "model").model_id == metrics["model_id"]
    report.unlink()
    assert manifest.read(tmp_path / "model").model_id == metrics["model_id"]


def test_a_study_without_protected_attributes_is_not_judged(metrics: dict[str, Any]) -> None:
    """Without a protected attribute, and where only the largest group is not small, the report and
    the console say that fairness was not judged, and why."""
    figures = copy.deepcopy(metrics)
    for attribute in figures["fairness"]["all_rows"]["attributes"]:
        for group in attribute["groups"]:
            group["small"] = group["group"] != attribute["compared_with"]
    _not_judged(figures, "each group but the one that it is compared with is small")
    figures["fairness"]["attributes"] = figures["fairness"]["all_rows"]["attributes"] = []
    _not_judged(figures, "no protected column has groups")


def _not_judged(figures: dict[str, Any], why: str) -> None:
    assert f"Not judged: {why}." in read(page.of(figures, MODEL_ID)).text["fairness"]
    printed = io.StringIO()
    report.print_metrics(figures, Console(file=printed, width=200))
    assert f"Fairness, out of fold on all rows: not judged: {why}." in printed.getvalue()


def _group(
    name: str,
    ratio: tuple[float, float] | None,
    gap: tuple[float, float] | None,
    *,
    approved: float = 0.5,
    small: bool = False,
) -> dict[str, Any]:
    """A group with a ratio and its upper bound, and a gap and its lower bound."""
    return {
        "group": name,
        "small": small,
        "approval": {"value": approved, "interval": [approved, approved + 0.02]},
        "ratio": ratio and {"value": ratio[0], "interval": [0.0, ratio[1]]},
        "gap_of_good": gap and {"value": gap[0], "interval": [gap[1], 1.0]},
    }


@pytest.mark.parametrize(
    ("group", "verdict"),
    [
        (_group("x", (0.74, 0.79), (0.0, 0.0)), "blocked"),
        (_group("x", (0.74, 0.80), (0.0, 0.0)), "two signatures"),
        (_group("x", (0.75, 0.79), (0.0, 0.0)), "two signatures"),
        (_group("x", (0.80, 0.90), (0.05, 0.0)), "fine"),
        (_group("x", (0.90, 1.00), (0.06, 0.0)), "two signatures"),
        (_group("x", (0.90, 1.00), (0.16, 0.11)), "blocked"),
        (_group("x", (0.90, 1.00), (0.16, 0.10)), "two signatures"),
        (_group("x", (0.90, 1.00), (0.15, 0.11)), "two signatures"),
        (_group("x", (0.10, 0.20), (0.90, 0.80), small=True), "fine"),
        (_group("x", None, None, approved=0.0), "blocked"),
        (_group("x", None, None), "fine"),
    ],
)
def test_the_gate_of_fairness(group: dict[str, Any], verdict: str) -> None:
    """A ratio below 0.75 with its upper bound below 0.80, or a gap above 0.15 with its lower bound
    above 0.10, blocks; a ratio below 0.80 or a gap above 0.05 needs two signatures; a small group
    is not judged, and one of which nobody is approved is."""
    largest = _group("most", (1.0, 1.1), (0.0, -0.1))
    attribute = {"attribute": "AGE", "compared_with": "most", "groups": [largest, group]}
    found = fairness_gate.judge([attribute])
    assert found["verdict"] == verdict
    assert [g["group"] for g in found["groups"]] == ([] if verdict == "fine" else ["x"])
    assert bool(fairness_gate.warning(found)) is (verdict != "fine")
