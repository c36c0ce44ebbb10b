"""The people whose band depends on the seed alone."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import pytest

from models import budget, fits, importance, instability, metrics, recipes, report
from models.choice import Plan
from models.fits import Outcome
from models.samples import State
from models.scorecard import Scale
from models.spec_columns import Derived
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


def outcomes(
    *margins: list[float], recipe: Recipe = TREES, shap: list[list[list[float]]] | None = None
) -> dict[fits.Task, Outcome]:
    """Outcomes with these margins; `shap` explains the last people of each."""
    tasks = [fits.SERVED, *fits.refits(len(margins) - 1)]
    explained = [importance.NOBODY] * len(margins)
    if shap is not None:
        explained = [importance.Explained(np.arange(4 - len(s), 4), np.array(s)) for s in shap]
    return {
        task: Outcome(np.array(margin), recipe, [], explained=each)
        for task, margin, each in zip(tasks, margins, explained, strict=True)
    }


def found(results: dict[fits.Task, Outcome], it: State) -> dict[str, Any]:
    columns = [Derived("a", 0, "A"), Derived("b", 0, "B"), Derived("c", 0, None)]
    return instability.find(it, results, SCALE, fits.refits(len(results) - 1), columns)


def shares(answer: dict[str, Any], name: str) -> Any:
    part = answer[name] if name else answer
    return part["n"], part["share"], part["by_refit"]


def test_people_with_another_band_in_any_refit_are_counted() -> None:
    """The share counts each person of the hold-out once whose band differs in one refit or more; a
    score that stays in its band is no change."""
    served = [0.0, 0.001, -3.0, 3.0]
    results = outcomes(served, [1.0, 0.001, -3.0, 3.0], [1.0, 1.0, -3.0, 2.99])
    answer = found(results, state())
    assert (answer["refits"], answer["skipped"]) == (2, None)
    assert shares(answer, "") == (4, 0.5, [0.25, 0.5])


def test_people_with_another_offer_are_counted() -> None:
    """An offer changes where a score crosses 600 or 500, not where it crosses another band."""
    served = [0.0, 0.5, 1.2, -3.0]
    results = outcomes(served, [0.01, 0.9, 0.9, -0.9], [0.0, 0.4, 1.2, -3.0])
    answer = found(results, state())
    assert shares(answer, "offer") == (4, 0.5, [0.5, 0.0])
    # From 550 to 510 and from 900 to 690 the band changes alone, from 480 to 510 the offer.
    assert answer["share"] == 0.75


def test_people_with_another_first_reason_are_counted() -> None:
    """A first reason is the group with the largest positive sum; columns without a group never
    count. A person without a deposit has none, and without positive sums there is none. Only people
    whom each fit explains count, and one of three changes is enough for `any`."""
    served = [0.0, 2.0, 2.0, 2.0]
    told = [[0.3, 0.1, 9.0], [0.3, 0.1, 0.0], [-0.1, -0.1, 5.0]]
    other = [[0.1, 0.3, 9.0], [0.3, 0.2, 9.0], [-0.2, -0.1, 0.0]]
    answer = found(outcomes(served, served, shap=[told, other]), state())
    assert shares(answer, "first_reason") == (3, pytest.approx(1 / 3), [pytest.approx(1 / 3)])
    assert answer["any"]["share"] == answer["first_reason"]["share"]
    assert answer["share"] == answer["offer"]["share"] == 0.0
    good = [0.0, -1.0, 2.0, 2.0]
    assert found(outcomes(good, good, shap=[told, other]), state())["first_reason"]["share"] == 0.0
    moved = found(outcomes(served, [2.0, 2.0, 2.0, 0.7], shap=[told, told]), state())
    assert (moved["offer"]["share"], moved["any"]["share"]) == (0.5, pytest.approx(1 / 3))
    assert "change their first reason" in report.instability(answer)


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
        assert {answer[name]["share"] for name in ("offer", "first_reason", "any")} == {None}
        assert reason in report.instability(answer)


def test_offers_are_those_of_the_default_policies() -> None:
    """The cut-offs of the offers stand in a default policy."""
    text = resources.files("service").joinpath("data/defaults.toml").read_text("utf-8")
    cuts = {(p["zero_from_score"], p["reduced_from_score"]) for p in tomllib.loads(text)["policy"]}
    assert (metrics.APPROVAL_SCORE, instability.REDUCED_SCORE) in cuts


@pytest.mark.parametrize("rows", [1_000, 100_000])
def test_the_refits_are_within_the_budget(rows: int) -> None:
    """A plan with the five refits is within the budget. A smaller budget first repeats the choice
    less often; where that is at its fewest, one that ends before the refits has none."""
    full = budget.course(rows, rows // 4, 30, 5, (0,), 1e9)
    while True:
        assert full.refits == budget.REFITS
        assert budget.course(rows, rows // 4, 30, 5, (0,), full.seconds) == full
        less = budget.course(rows, rows // 4, 30, 5, (0,), full.seconds * 0.999)
        if less.plan.repeats == full.plan.repeats:
            break
        full = less
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
        assert one.explained.shap.shape == (100, 2)
