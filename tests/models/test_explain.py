from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pytest

from models import dataset, explain, importance, manifest, tables
from models.data import taiwan
from models.scorer import ModelScorer, Unscorable
from models.scratch import Memory
from models.spec_columns import Derived


def test_contributions_equal_treeshap(small_directory: Path, shipped_data: dataset.Dataset) -> None:
    """Group contributions equal the summed columns of LightGBM's own SHAP values to 1e-9."""
    read = manifest.read(small_directory)
    trees = tables.parse(read.model_text)
    groups = [d.reason_group for d in read.derived]
    explainer = explain.Explainer(trees, groups, Memory())
    x = taiwan.derive(shipped_data.raw[:300])
    booster = lightgbm.Booster(model_str=read.model_text)
    by_column = np.asarray(booster.predict(x, pred_contrib=True, num_threads=1))[:, :-1]
    found = explainer.contributions(tables.Patterns(trees, Memory()).index(x))
    for j, name in enumerate(explainer.groups):
        expected = by_column[:, [g == name for g in groups]].sum(axis=1)
        np.testing.assert_allclose(found[:, j], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("leaves", [2, 4, 8])
def test_contributions_hold_for_any_shape_of_tree(leaves: int) -> None:
    """Paths that split twice on one column, and columns without a group, are exact too."""
    generator = np.random.default_rng(leaves)
    x = generator.normal(size=(2_000, 3))
    y = (np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] > 0).astype(int)
    parameters = {"objective": "binary", "num_leaves": leaves, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, y), 30)
    trees = tables.parse(booster.model_to_string())
    by_column = np.asarray(booster.predict(x[:200], pred_contrib=True))
    index = tables.Patterns(trees, Memory()).index(x[:200])
    explainer = explain.Explainer(trees, ["B", None, "A"], Memory())
    assert explainer.groups == ("A", "B")
    found = explainer.contributions(index)
    np.testing.assert_allclose(found, by_column[:, [2, 0]], rtol=0, atol=1e-9)
    lonely = explain.Explainer(trees, [None, "A", None], Memory())
    assert lonely.groups == ("A",)
    for rows in range(71):
        assert explainer.contributions(index[:, :rows]).tolist() == found[:rows].tolist()
        expected = by_column[:rows, [1]]
        found_one = lonely.contributions(index[:, :rows])
        np.testing.assert_allclose(found_one, expected, rtol=0, atol=1e-9)


def test_reasons_are_the_largest_sums_of_treeshap(
    scorer: ModelScorer, small_directory: Path, shipped_data: dataset.Dataset
) -> None:
    """Reasons are the groups with the largest positive sums of LightGBM's SHAP values, in order."""
    read = manifest.read(small_directory)
    groups = [d.reason_group for d in read.derived]
    names = sorted({g for g in groups if g is not None})
    raw = shipped_data.raw[:3_000]
    booster = lightgbm.Booster(model_str=read.model_text)
    x = taiwan.derive(raw)
    by_column = np.asarray(booster.predict(x, pred_contrib=True, num_threads=1))[:, :-1]
    by_group = np.stack(
        [by_column[:, [g == name for g in groups]].sum(axis=1) for name in names], axis=1
    )
    rows = [row.tobytes() for row in raw]
    answers = scorer.score_with_reasons(rows, 951)
    for (row, why), sums in zip(answers, by_group, strict=True):
        if isinstance(row, Unscorable):
            assert why == ()
            continue
        worst = np.sort(sums)[::-1][: len(why)]
        given = sums[[names.index(code) for code in why]]
        np.testing.assert_allclose(given, worst, rtol=0, atol=1e-9)
        assert (given > -1e-9).all()
        least = 0.05 * sums[sums > 0.0].sum()
        assert (given > least - 1e-9).all()
        assert len(why) == 4 or (sums > least + 1e-9).sum() <= len(why)


def test_reasons_name_the_worst_groups_first(
    scorer: ModelScorer, shipped_data: dataset.Dataset
) -> None:
    """A payment that is months late is the first reason; no row gets more than four codes, or the
    same code twice."""
    row = shipped_data.raw[0].copy()
    row[1:7] = 4.0
    rows = [row.tobytes(), b"", *(r.tobytes() for r in shipped_data.raw[:50])]

    def reasons_of(given: list[bytes]) -> list[tuple[str, ...]]:
        return [why for _, why in scorer.score_with_reasons(given, 1000)]

    reasons = reasons_of(rows)
    assert reasons[0][0] == "RECENT_LATE_PAYMENT"
    assert reasons[1] == ()
    for codes in reasons:
        assert len(codes) == len(set(codes)) <= 4
    assert reasons == [reasons_of([r])[0] for r in rows]
    assert reasons_of([]) == []
    scored = scorer.score(rows)
    assert [row for row, _ in scorer.score_with_reasons(rows, 1000)] == scored
    assert all(why == () for _, why in scorer.score_with_reasons(rows, 0))


def test_a_reason_has_a_share_of_all_that_lowers_the_score() -> None:
    """The weightiest group that worsens the margin is always named; another one from 5 % of the sum
    of all of them, at most four together. None is named where nothing worsens it."""
    groups = ("A", "B", "C", "D", "E", "F")
    rows = np.array(
        [
            [9.0, 0.5, 0.5, -7.0, 0.0, 0.0],
            [9.0, 0.6, 0.4, -7.0, 0.0, 0.0],
            [5.0, 4.0, 3.0, 2.0, 1.0, 0.0],
            [-1.0, 0.0, -1.0, -1.0, 0.0, 0.0],
        ]
    )
    found = explain.ranked(rows, groups)
    assert found == [("A", "B", "C"), ("A", "B"), ("A", "B", "C", "D"), ()]
    many = tuple(f"G{j:02}" for j in range(25))
    assert explain.ranked(np.full((1, 25), 0.1), many) == [("G00",)]


def test_the_first_reason_of_a_refit_is_that_of_an_answer() -> None:
    """The instability counts the first reason that an answer would name, or none."""
    shap = np.vstack((np.full(25, 0.1), np.eye(25)[3], -np.ones(25)))
    columns = [Derived(f"c{j:02}", 0, f"G{j:02}") for j in range(25)]
    explained = importance.Explained(np.arange(3), shap)
    first = importance.first_reasons(explained, columns).tolist()
    groups = tuple(f"G{j:02}" for j in range(25))
    answers = explain.ranked(shap, groups)
    assert [groups[i] if i >= 0 else None for i in first] == [r[0] if r else None for r in answers]
    assert first == [0, 3, -1]
