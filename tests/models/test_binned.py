"""The scorecard, and its way into a model's text."""

from __future__ import annotations

import json
import math
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import binned, encoding, evaluate, explain, step_trees, tables
from models.scorer import ModelScorer, Scored
from models.scratch import Memory
from models.spec_columns import Derived
from tests.models.small_tables import A, fitted, row, table

NAN = math.nan
SCHEMA_2 = Path(__file__).parent / "schema_2"
NUMBER = st.floats(-1e9, 1e9, allow_subnormal=False)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(NUMBER, st.sampled_from([0.0, 1e-35, -1e-35])), max_size=30, unique=True),
    st.lists(st.floats(-5, 5), min_size=33, max_size=33),
    st.booleans(),
)
def test_a_step_function_of_any_width_is_the_sum_of_its_trees(
    cuts: list[float], values: list[float], lacks: bool
) -> None:
    """Each value, each threshold and its neighbours, and a missing value have the weight of their
    bin, by LightGBM and by the tables to the same bit; trees have at most seven splits."""
    thresholds = tuple(np.unique([step_trees.threshold(c) for c in cuts]).tolist())
    if not thresholds and not lacks:
        return
    count = len(thresholds) + 1
    steps = step_trees.Steps(
        0, thresholds, tuple(values[:count]), (3,) * count, values[32] if lacks else None, 5 * lacks
    )
    x = np.array([-1.0, *thresholds, 1.0])[:, None]
    text = step_trees.text(["c0"], [steps], 0.25, step_trees.ends(x), x.shape[0])
    trees = tables.parse(text)
    assert tables.hold(trees)
    points = [-2e9, 2e9, *thresholds]
    points += [math.nextafter(t, s) for t in thresholds for s in (-math.inf, math.inf)]
    asked = np.array([*points, *([NAN] if lacks else [])])[:, None]
    booster = lightgbm.Booster(model_str=text)
    expected = booster.predict(asked, raw_score=True)
    index = tables.Patterns(trees, Memory()).index(asked)
    margin = tables.Margins(trees, Memory()).margin(index)[: asked.shape[0]]
    assert margin.tobytes() == np.asarray(expected).tobytes()
    # LightGBM reads a value this close to zero as zero.
    read = np.where(np.abs(asked[:, 0]) <= tables.ZERO, 0.0, asked[:, 0])
    weights = np.array(values[:count])[np.searchsorted(thresholds, read, side="left") % count]
    if lacks:
        weights[-1] = values[32]
    np.testing.assert_allclose(margin, 0.25 + weights, atol=1e-12)
    assert (tables.blind_columns(trees) == set()) == lacks


def test_the_scorecard_finds_a_curve_and_keeps_a_direction() -> None:
    """A U is found that a straight line misses; a column with a direction never turns; NaN has a
    bin of its own."""
    generator = np.random.default_rng(4)
    x = np.round(generator.normal(size=(4_000, 3)), 2)
    x[::9, 2] = NAN
    odds = x[:, 0] ** 2 + 0.3 * x[:, 1] - 1.5 + 2.0 * np.isnan(x[:, 2])
    label = (generator.random(4_000) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    columns = [Derived(name, sign, name) for name, sign in (("u", 0), ("up", 1), ("gap", 0))]
    card = binned.fit(binned.cut(x[:3_000], [None] * 3), label[:3_000], columns, ["c0", "c1", "c2"])
    booster = lightgbm.Booster(model_str=card.text)
    assert evaluate.auc(label[3_000:], np.asarray(booster.predict(x[3_000:]))) > 0.72
    sweep = np.zeros((200, 3))
    sweep[:, 1] = np.linspace(-4, 4, 200)
    assert (np.diff(booster.predict(sweep, raw_score=True)) >= 0).all()
    gap = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, NAN]])
    assert np.diff(booster.predict(gap, raw_score=True))[0] > 1.0
    # Against the declared direction, a column says nothing.
    down = [Derived("up", -1, "up")]
    flat = binned.fit(binned.cut(x[:, 1:2], [None]), label, down, ["c0"]).text
    swept = lightgbm.Booster(model_str=flat).predict(sweep[:, 1:2], raw_score=True)
    assert np.ptp(swept) < 1e-6


def test_reasons_are_points_away_from_the_mean() -> None:
    """A column's contribution is its weight less the mean weight of the training rows."""
    generator = np.random.default_rng(1)
    x = np.column_stack((generator.integers(0, 25, 3_000), generator.integers(0, 3, 3_000))).astype(
        np.float64
    )
    label = (generator.random(3_000) < 0.1 + 0.02 * x[:, 0]).astype(np.int8)
    columns = [Derived("a", 0, "A"), Derived("b", 0, "B")]
    text = binned.fit(binned.cut(x, [None, None]), label, columns, ["c0", "c1"]).text
    trees = tables.parse(text)
    index = tables.Patterns(trees, Memory()).index(x)
    found = explain.Explainer(trees, ["A", "B"], Memory()).contributions(index)[:3_000]
    margin = tables.Margins(trees, Memory()).margin(index)[:3_000]
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), margin - margin.mean(), atol=1e-12)


def test_the_pull_does_not_see_labels_in_the_order_of_levels() -> None:
    """The strength of the pull is chosen on rows whose labels did not order the levels: levels that
    say nothing are pulled harder than if they had been ordered by all labels."""
    generator = np.random.default_rng(3)
    level, other = generator.integers(0, 60, 3_000), generator.normal(size=3_000).round(2)
    label = (generator.random(3_000) < 1 / (1 + np.exp(1.5 - 0.5 * other))).astype(np.int8)
    places = encoding.places(level.astype(float), label, tuple(map(float, range(60))))
    x = np.column_stack((np.array(places, dtype=np.float64)[level], other))
    columns, names = [Derived("l", 0, "L"), Derived("o", 0, "O")], ["c0", "c1"]
    ordered = binned.fit(binned.cut(x, [float(places[-1]), None]), label, columns, names)
    assert ordered.penalty < binned.fit(binned.cut(x, [None, None]), label, columns, names).penalty


def test_the_pull_is_chosen_on_other_groups() -> None:
    """Rows of one person are on one side of the split that chooses the pull, so a person's own rows
    do not speak for a weaker one."""
    generator = np.random.default_rng(0)
    person = np.repeat(np.arange(150), 5)
    x = np.round(generator.normal(size=(150, 3)), 2)[person]
    label = (generator.random(150) < 0.3).astype(np.int8)[person]
    columns, names = [Derived(n, 0, n) for n in "abc"], ["c0", "c1", "c2"]
    alone = binned.fit(binned.cut(x, [None] * 3), label, columns, names)
    together = binned.fit(binned.cut(x, [None] * 3), label, columns, names, group=person)
    assert together.penalty < alone.penalty


def test_rare_levels_have_a_bin_of_their_own() -> None:
    """The place of the rare levels is cut off on both sides, however few its rows are."""
    values = np.repeat(np.arange(20.0), 100)
    values = np.concatenate((values, np.full(3, 7.5)))
    cuts = binned.bins_of(values, 7.5).thresholds
    assert {7.25, 7.75} <= set(cuts.tolist())
    assert not {7.25, 7.75} <= set(binned.bins_of(values, None).thresholds.tolist())


def test_a_scorecard_is_trained_written_and_served(scorecard_folder: Path) -> None:
    """A pinned scorecard has a manifest of its kind, tables, golden rows, and reasons for everyone
    with a score, a blank included."""
    scorer = ModelScorer.load(scorecard_folder / "model")
    assert scorer.manifest.kind == "scorecard"
    assert scorer.reasons_from == "tables"
    answers = scorer.score_with_reasons([row(0.5, b) for b in (0.0, 2.0, NAN)], 951)
    assert all(isinstance(answer, Scored) and reasons for answer, reasons in answers[1:])
    verdict = json.loads((scorecard_folder / "model" / "metrics.json").read_text())["verdict"]
    assert verdict["kind"] == "scorecard"
    assert "pinned, not nested" in verdict["sentence"]


def test_a_scorecard_needs_a_column_that_varies() -> None:
    """Without any column that varies there is no scorecard, and the error says so."""
    with pytest.raises(Exception, match="varies"):
        fitted(np.ones((600, 1)), table().y, [A], kind="scorecard")


def test_a_model_directory_of_schema_2_scores_to_the_bit() -> None:
    """A directory of an earlier build loads, and gives the margins, scores, reasons and refusals
    that the earlier build gave."""
    scorer = ModelScorer.load(SCHEMA_2)
    assert scorer.manifest.kind == "trees"
    asked = json.loads((SCHEMA_2 / "answers.json").read_text())
    rows = [row(*map(float.fromhex, each["raw"])) for each in asked]
    answers = scorer.score_with_reasons(rows, 951)
    for each, (answer, reasons) in zip(asked, answers, strict=True):
        if not isinstance(answer, Scored):
            assert list(answer) == each["refused"]
            continue
        assert answer.margin.hex() == each["margin"]
        assert answer.score == each["score"]
        assert list(answer.extrapolated) == each["extrapolated"]
        assert list(reasons) == each["reasons"]
