"""The people that the fairness gate judges."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models import checking, fits, metrics, recipes
from models.dataset import Dataset
from models.reading import Findings
from models.samples import State
from tests.models.reading_tables import X, spec_of
from tests.models.small_tables import A, table
from tests.models.small_tables import spec_of as small_spec


def test_the_gate_judges_the_kind_that_is_served() -> None:
    """If the verdict serves the scorecard, its scores out of fold are judged, and not those of
    the trees that some folds chose."""
    it = table()
    protected = {
        "name": "b", "role": "protected", "type": "integer",
        "groups": [1], "group_names": ["zero", "more"],
    }  # fmt: skip
    the_spec = small_spec([A, protected])
    rows = np.arange(600)
    state = State(it.a[:, None], it.y, the_spec, rows[:0], rows)
    data = Dataset(the_spec, (), rows, state.raw, it.y, "", protected={"b": it.b})
    fold = state.folds(0)
    of_kind = {"fold": it.a, "scorecard": it.a + 3.0 * (it.b > 0.0)}
    recipe = {"fold": recipes.MEDIUM, "scorecard": recipes.SCORECARD}
    results = {
        fits.Task(kind, 0, k): fits.Outcome(margin[fold == k], recipe[kind], [])
        for kind, margin in of_kind.items()
        for k in range(3)
    }
    ratio = {}
    for kind in of_kind:
        (attribute,) = metrics._fairness_all_rows(state, data, results, kind)["attributes"]
        ratio[kind] = {g["group"]: g["approval"]["value"] for g in attribute["groups"]}
    assert abs(ratio["fold"]["more"] - ratio["fold"]["zero"]) < 0.1
    assert ratio["scorecard"]["more"] < ratio["scorecard"]["zero"] - 0.2


def test_scorecards_of_all_folds_have_the_figures_of_the_scorecard() -> None:
    """If every fold chose the scorecard, the model's figures are the scorecard's, without the
    calibration inside each fold; where one chose trees, that calibration counts."""
    it = table()
    rows = np.arange(600)
    state = State(it.a[:, None], it.y, small_spec([A]), rows[:0], rows)
    data = Dataset(state.spec, (), rows, state.raw, it.y, "")
    fold = state.folds(0)
    results = {
        fits.Task(kind, 0, k): fits.Outcome(it.a[fold == k], recipes.SCORECARD, [])
        for kind in ("scorecard", "plain", "fold")
        for k in range(3)
    }
    for k in range(3):
        calibrated = it.a[fold == k] * (1.0 + k) - k
        results[fits.Task("fold", 0, k)] = fits.Outcome(calibrated, recipes.SCORECARD, [])
    figures = metrics.validation(state, data, results, (0,))
    assert figures["model"] == figures["scorecard"]
    first = fits.Task("fold", 0, 0)
    results[first] = results[first]._replace(recipe=recipes.MEDIUM)
    mixed = metrics.validation(state, data, results, (0,))
    assert mixed["scorecard"] == figures["scorecard"]
    assert mixed["model"]["auc"] == figures["model"]["auc"]
    assert mixed["model"]["log_loss"] != figures["model"]["log_loss"]


def test_a_protected_column_without_groups_is_a_warning(tmp_path: Path) -> None:
    """A protected number without groups compares nobody, and the check says so."""
    text = "x,age,bad\n" + "".join(f"{i % 7},{20 + i % 40},{i % 3 // 2}\n" for i in range(300))
    age = {"name": "age", "type": "integer", "role": "protected"}
    said = []
    for groups in ({}, {"groups": [35], "group_names": ["young", "old"]}):
        findings = Findings()
        the_spec = spec_of(tmp_path, text, feature=[X, {**age, **groups}])
        checking.check(the_spec, None, findings)
        assert not findings.errors
        said.append([w for w in findings.warnings if w.startswith("age: ")])
    (warning,) = said[0]
    assert "no groups, so fairness by it is not judged" in warning
    assert said[1] == []
