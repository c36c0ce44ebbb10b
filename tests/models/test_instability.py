"""The people whose band depends on the seed alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models import budget, fits, instability, recipes, report
from models.choice import Plan
from models.fits import Outcome
from models.samples import State
from models.scorecard import Scale
from models.spec_model import Recipe
from tests.models.small_tables import A, B, spec_of

TREES = recipes.fixed(recipes.SHALLOW, 10)
# A margin of 0 has the score 600, and one of 1 has 500.
SCALE = Scale(-100.0, 600.0)


def state(weight: list[float] | None = None) -> State:
    rows = np.arange(4)
    given = None if weight is None else np.array(weight)
    return State(
        np.zeros((4, 2)), np.array([0, 1, 0, 1], dtype=np.int8), spec_of([A, B]), rows, rows,
        weight=given,
    )  # fmt: skip


def outcomes(*margins: list[float], recipe: Recipe = TREES) -> dict[fits.Task, Outcome]:
    tasks = [fits.SERVED, *fits.refits(len(margins) - 1)]
    return {
        task: Outcome(np.array(margin), recipe, [])
        for task, margin in zip(tasks, margins, strict=True)
    }


def found(results: dict[fits.Task, Outcome], it: State) -> dict[str, Any]:
    return instability.find(it, results, SCALE, fits.refits(len(results) - 1))


def test_people_with_another_band_in_any_refit_are_counted() -> None:
    """The share counts each person of the hold-out once whose band differs in one refit or more; a
    score that stays in its band is no change."""
    served = [0.0, 0.001, -3.0, 3.0]
    results = outcomes(served, [1.0, 0.001, -3.0, 3.0], [1.0, 1.0, -3.0, 2.99])
    assert found(results, state()) == {
        "refits": 2, "n": 4, "share": 0.5, "by_refit": [0.25, 0.5], "skipped": None
    }  # fmt: skip


def test_each_person_counts_by_weight_and_only_with_a_score() -> None:
    """Weights count, and a row that a fit cannot score is left out."""
    results = outcomes([0.0, 0.0, math.nan, 3.0], [1.0, 0.0, 3.0, 3.0])
    answer = found(results, state([3.0, 2.0, 100.0, 1.0]))
    assert (answer["n"], answer["share"], answer["by_refit"]) == (3, 0.5, [0.5])


def test_without_refits_the_reason_is_named() -> None:
    """A scorecard has no refits, because it has no seed, and a small budget has no time for them;
    figures and report say so."""
    assert instability.tasks(recipes.SCORECARD, 5) == []
    assert len(instability.tasks(TREES, 5)) == 5
    for recipe, reason in (
        (recipes.SCORECARD, instability.NO_SEED), (TREES, instability.TOO_LITTLE_TIME)
    ):  # fmt: skip
        answer = found(outcomes([0.0] * 4, recipe=recipe), state())
        assert (answer["share"], answer["skipped"]) == (None, reason)
        assert reason in report.instability(answer)


@pytest.mark.parametrize("rows", [1_000, 100_000])
def test_the_refits_are_within_the_budget(rows: int) -> None:
    """A plan with the five refits is within the budget; a budget that ends before them has none."""
    full = budget.course(rows, 30, 5, (0,), 1e9)
    assert full.refits == 5
    assert budget.course(rows, 30, 5, (0,), full.seconds) == full
    less = budget.course(rows, 30, 5, (0,), full.seconds * 0.999)
    assert (less.plan, less.refits) == (full.plan, 0)
    assert less.seconds < full.seconds


def test_a_refit_has_the_recipe_and_the_rows_of_the_served_model_and_another_seed() -> None:
    """A refit differs from the served model where its recipe draws rows or columns, and not where
    it draws none."""
    generator = np.random.default_rng(0)
    raw = generator.normal(size=(400, 2))
    label = (generator.random(400) < 1 / (1 + np.exp(-raw[:, 0]))).astype(np.int8)
    rows = np.arange(400)
    it = State(raw, label, spec_of([A, B]), rows[300:], rows[:300])
    drawing = replace(TREES, subsample=0.5)
    for recipe, differ in ((drawing, True), (replace(TREES, subsample=1.0, colsample=1.0), False)):
        work = fits.Work(it, Plan((recipe,), ()))
        served, one, two = (fits.work(work, t) for t in (fits.SERVED, *fits.refits(2)))
        assert np.array_equal(served.margin, one.margin) != differ
        assert np.array_equal(one.margin, two.margin) != differ
        assert served.margin.shape == one.margin.shape == (100,)
        assert one.text == ""
