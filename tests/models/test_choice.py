"""The choice of a recipe, the budget, and the verdict."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from models import budget, calibrate, choice, fits, learners, recipes, spec, verdict
from models.choice import Plan, Tried
from models.errors import DatasetError, ModelDirectoryError
from models.fits import Task, Work
from models.samples import State, sample_of
from models.spec_model import Recipe
from tests.models import small_tables
from tests.models.small_tables import A, B, Trained, table, trained_without_recipe

Floats = NDArray[np.float64]


def state_of(raw: Floats, label: NDArray[np.int8]) -> State:
    tree = small_tables.tree([A, B])
    del tree["model"]
    the_spec = spec.parse(tree, path=Path("spec.toml"), sha256="")
    assert the_spec.recipe is None
    return State(raw, label, the_spec, np.empty(0, dtype=np.int64), np.arange(label.shape[0]))


def drawn(rows: int, odds: Callable[[Floats, Floats], Floats]) -> State:
    generator = np.random.default_rng(5)
    a, b = np.round(generator.normal(size=(2, rows)), 2)
    label = (generator.random(rows) < 1 / (1 + np.exp(-odds(a, b)))).astype(np.int8)
    return state_of(np.column_stack((a, b)), label)


SHORT = tuple(replace(recipe, trees=min(recipe.trees, 30)) for recipe in recipes.LADDER)
"""The usual recipes with few trees."""


def chosen(state: State) -> choice.Chosen:
    return choice.choose(state, state.everyone, Plan(SHORT[:2], (100_000,)))


def test_straight_risks_get_the_scorecard_and_crossed_ones_get_trees() -> None:
    """Where the columns act alone the scorecard is chosen; where the risk is in their product, a
    scorecard cannot see it, and trees are."""
    assert chosen(drawn(2_000, lambda a, b: a + b - 1)).recipe == recipes.SCORECARD
    crossed = chosen(drawn(2_000, lambda a, b: 3 * a * b))
    assert crossed.recipe.kind == "trees"
    by_name = {c["recipe"]: c for c in crossed.candidates}
    assert by_name[crossed.recipe.name]["auc"] > by_name["scorecard"]["auc"] + 0.1


def test_labels_outside_the_rows_do_not_change_a_choice() -> None:
    """A choice on some rows is the same whatever the labels of the others are."""
    state = drawn(1_500, lambda a, b: 2 * a * b)
    label = state.label.copy()
    label[1_000:] = 1 - label[1_000:]
    plan, rows = Plan(SHORT[:2], (100_000,)), np.arange(1_000)
    other = state_of(state.raw, label)
    assert choice.choose(state, rows, plan) == choice.choose(other, rows, plan)


def test_a_group_lies_in_one_fold() -> None:
    """Rows of one group are never on both sides of a fold, neither of the validation nor of the
    choice inside it."""
    state = drawn(600, lambda a, b: a + b)
    state = replace(state, group=np.arange(600) // 5)
    assert np.array_equal(state.folds(0), np.repeat(state.folds(0)[::5], 5))
    rows = np.flatnonzero(state.folds(0) != 0)
    fold = state.folds_of(rows, 5, 1)
    assert np.array_equal(fold, np.repeat(fold[::5], 5))


FEW = replace(recipes.MEDIUM, trees=30, patience=10)


def test_a_fold_of_one_class_does_not_stop_a_fit() -> None:
    """If groups leave a fold without bad rows, the other folds decide the number of trees."""
    state = drawn(2_000, lambda a, b: 3 * a * b)
    group = np.arange(2_000) // 40
    state = replace(state, label=np.where(group < 3, state.label, 0).astype(np.int8), group=group)
    found = choice.choose(state, state.everyone, Plan((FEW,), (100_000,)))
    assert found.recipe.trees < FEW.trees


def test_folds_of_one_class_each_leave_all_trees() -> None:
    """If groups leave each fold with rows of one class, a fit has all trees of its recipe."""
    state = drawn(2_000, lambda a, b: a)
    group = np.arange(2_000) // 500
    state = replace(state, label=(group < 2).astype(np.int8), group=group)
    found = choice.choose(state, state.everyone, Plan((FEW,), (100_000,)))
    assert found.recipe.trees == FEW.trees


def test_margins_of_folds_with_different_recipes_compare() -> None:
    """The margins of a fold are calibrated inside its own rows, so trees that are far too sure of
    themselves stand beside a scorecard; a pinned recipe has its margins as they are."""
    state = drawn(4_500, lambda a, b: 1.5 * a * b)
    sure = Recipe("deep", "trees", 60, 0.5, -1, 31, 20, 1.0, 1.0, 0.0, 255, 60)
    many = mock.patch.object(choice, "_best_round", return_value=60)
    fold = state.folds(0) == 0
    slopes = []
    for recipe in (sure, replace(sure, patience=0)):
        work = Work(state, Plan((recipe,), (100_000,)))
        # The best number of trees would end before they are too sure.
        with many:
            margin = fits.work(work, Task("fold", 0, 0)).margin
        slopes.append(calibrate.fit(margin, state.label[fold]).a)
    assert slopes[0] == pytest.approx(1.0, abs=0.35)
    assert slopes[1] < 0.5


def test_a_watched_fit_keeps_the_trees_after_its_best_round() -> None:
    """A fit that early stopping watches keeps all its trees, so that every fold of a validation is
    judged with the same number of them."""
    state = drawn(1_500, lambda a, b: 1.5 * a * b)
    sample = sample_of(state, np.arange(1_000), 20)
    judge = learners.Judge(state.raw[1_000:], state.label[1_000:])
    quick = Recipe("deep", "trees", 200, 0.5, -1, 31, 20, 1.0, 1.0, 0.0, 255, 60)
    learned = learners.fit(state, sample, quick, judge)
    assert learned.curve is not None
    assert int(np.argmin(learned.curve)) + 1 < learned.curve.shape[0] < quick.trees
    assert learned.booster.num_trees() == learned.curve.shape[0]


def test_a_large_table_is_first_tried_on_a_part() -> None:
    """With two rounds, all candidates are tried on the part, and the best two on more rows."""
    state = drawn(900, lambda a, b: 2 * a * b)
    plan = Plan(SHORT, (300, 900))
    rows = [c["rows"] for c in choice.choose(state, state.everyone, plan).candidates]
    assert sorted(rows) == [300, 300, 300, 900, 900]


@pytest.mark.parametrize("rows", [20_001, 20_500, 33_000, 100_000, 333_333, 899_999])
def test_a_part_has_nearly_the_most_rows(rows: int) -> None:
    """A part of a table has at most the rows of the round, and at least 97 in 100 of them; the plan
    of an earlier build takes the part that it took."""
    share = choice._share(rows, 20_000)
    assert 0.97 * 20_000 <= rows * share.taken / share.parts <= 20_000
    assert choice._share(rows, 20_000, earlier=True) == (1, math.ceil(rows / 20_000))
    assert choice._share(20_000, 20_000) == (1, 1)
    assert choice._share(2_500_000, 20_000) == (1, 120)


def test_a_part_has_each_class_in_its_share() -> None:
    """A part of a table is the same each time, and has the share of bad rows of the whole."""
    state = drawn(2_000, lambda a, b: a - 1)
    part = choice._part(state, state.everyone, choice._share(2_000, 1_999))
    assert np.array_equal(part, np.unique(part))
    assert part.shape[0] == pytest.approx(2_000 * 119 / 120, abs=2)
    assert state.label[part].mean() == pytest.approx(state.label.mean(), abs=0.002)
    again = choice._part(state, state.everyone, choice._share(2_000, 1_999))
    assert np.array_equal(part, again)


def test_rounds_are_chosen_by_the_loss_after_calibration() -> None:
    """A fit stops by the log-loss of its judge after calibration, in which a margin and three
    times that margin are as good; so trees that are too sure of themselves may still learn."""
    generator = np.random.default_rng(3)
    margin = generator.normal(-1.0, 1.0, 2_000)
    label = (generator.random(2_000) < calibrate.sigmoid(margin)).astype(np.int8)
    right = learners.Calibrated(label)
    found = [right(calibrate.sigmoid(margin), None) for _ in range(learners.Calibrated.EVERY)]
    assert [value for _, value, _ in found[:-1]] == [math.inf] * (learners.Calibrated.EVERY - 1)
    sure = learners.Calibrated(label)
    for _ in range(learners.Calibrated.EVERY):
        again = sure(calibrate.sigmoid(3.0 * margin), None)
    assert again[1] == pytest.approx(found[-1][1], rel=1e-6)
    assert found[-1][1] == pytest.approx(calibrate.losses(margin, label).mean(), rel=1e-9)


@pytest.mark.parametrize(
    ("recipe", "orders"),
    [
        (recipes.SCORECARD, False),
        (recipes.SHALLOW, True),
        (recipes.DEEP, True),
        (replace(recipes.DEEP, name="pinned"), False),
    ],
)
def test_chosen_trees_have_the_places_of_levels(recipe: Recipe, orders: bool) -> None:
    """Trees that a training chooses have a category's levels as places too; a scorecard and a
    pinned recipe do not."""
    assert recipes.orders(recipe) is orders


def test_each_kind_is_tried_on_its_own_columns() -> None:
    """In a choice trees get the places of a category's levels, and a scorecard does not."""
    raw = np.random.default_rng(2).integers(0, 4, (900, 1)).astype(np.float64)
    label = (np.random.default_rng(3).random(900) < 0.2 + 0.15 * raw[:, 0]).astype(np.int8)
    tree = small_tables.tree([{**A, "type": "code"}])
    the_spec = spec.parse(tree, path=Path("spec.toml"), sha256="")
    state = State(raw, label, the_spec, np.empty(0, dtype=np.int64), np.arange(900))
    runs = choice._runs(state, state.everyone, SHORT[:2], 20, 0)
    widths = {name: {run.x.shape[1] for run in found} for name, found in runs.items()}
    assert widths == {"scorecard": {4}, "shallow": {6}}


def tried(recipe: Recipe, losses: list[float], auc: float) -> Tried:
    return Tried(recipe, np.array(losses), auc, 1, shared=5 / 4)


def plus(losses: Floats, more: list[float]) -> list[float]:
    return [float(v) for v in losses + np.array(more)]


@pytest.mark.parametrize(
    ("rows", "loss", "auc"), [(2_001, 0.005, 0.005), (19_999, 0.005, 0.005), (20_000, 0.002, 0.002)]
)
def test_the_simplest_recipe_within_one_standard_error_is_taken(
    rows: int, loss: float, auc: float
) -> None:
    """A simpler recipe is taken if it loses at most one standard error of the log-loss, and at most
    0.5 % of it and 0.005 AUC against the best; from 20,000 rows, 0.2 % and 0.002."""
    best = tried(recipes.DEEP, [0.4, 0.6] * 200, 0.80)
    noise = [0.0007, -0.0005] * 200
    as_good = tried(recipes.SCORECARD, plus(best.losses, noise), 0.80)
    # 0.0001 is above one standard error, 0.00003.
    assert choice.simplest([as_good, best], rows, rows // 4) is best
    for lost, taken in ((0.9 * loss, True), (1.1 * loss, False)):
        wide = [0.2 + lost / 2, -0.2 + lost / 2] * 200
        as_good = tried(recipes.SCORECARD, plus(best.losses, wide), 0.80)
        assert (choice.simplest([as_good, best], rows, rows // 4) is as_good) == taken
    wide = [0.07, -0.0698] * 200
    for lost, taken in ((0.9 * auc, True), (1.1 * auc, False)):
        as_good = tried(recipes.SCORECARD, plus(best.losses, wide), 0.80 - lost)
        assert (choice.simplest([as_good, best], rows, rows // 4) is as_good) == taken


def test_a_simpler_recipe_is_compared_with_the_highest_auc() -> None:
    """The AUC that a simpler recipe may lose counts from the highest of all, not from that of the
    recipe with the least loss."""
    best = tried(recipes.DEEP, [0.4, 0.6] * 200, 0.80)
    wide = plus(best.losses, [0.07, -0.0698] * 200)
    scorecard = tried(recipes.SCORECARD, wide, 0.797)
    medium = tried(recipes.MEDIUM, wide, 0.803)
    assert choice.simplest([scorecard, medium, best], 3_000, 3_000 // 4) is medium


def test_on_a_small_table_trees_must_be_better_than_a_scorecard_by_the_error() -> None:
    """Up to 2,000 rows, or with fewer than 500 of the rarer class, a scorecard is taken within one
    standard error of the log-loss, which is 1.5 times that of the rows where five folds share their
    training rows; also if it loses more than 0.5 % of it, and whatever its AUC is."""
    best = tried(recipes.DEEP, [0.4, 0.6] * 200, 0.80)
    # The rows' standard error is 0.0105, which is 2 % of the loss.
    for lost, taken in ((0.0155, True), (0.0160, False)):
        wide = plus(best.losses, [0.21 + lost, -0.21 + lost] * 200)
        scorecard, medium = tried(recipes.SCORECARD, wide, 0.75), tried(recipes.MEDIUM, wide, 0.75)
        assert (choice.simplest([scorecard, medium, best], 2_000, 2_000 // 4) is scorecard) == taken
        assert choice.simplest([scorecard, medium, best], 2_001, 2_001 // 4) is best
        assert choice.simplest([medium, best], 2_000, 2_000 // 4) is best
        # A long table with few bad ones is as uncertain.
        assert (choice.simplest([scorecard, medium, best], 9_000, 499) is scorecard) == taken
        assert choice.simplest([scorecard, medium, best], 9_000, 500) is best


def test_on_a_small_table_smaller_trees_are_taken_within_half_an_error() -> None:
    """There smaller trees are as good within half a standard error of the rows, also if that is
    more than 0.5 % of the log-loss."""
    best = tried(recipes.DEEP, [0.4, 0.6] * 200, 0.80)
    for lost, taken in ((0.0051, True), (0.0054, False)):
        medium = tried(recipes.MEDIUM, plus(best.losses, [0.21 + lost, -0.21 + lost] * 200), 0.75)
        assert (choice.simplest([medium, best], 2_000, 2_000 // 4) is medium) == taken
        assert choice.simplest([medium, best], 2_001, 2_001 // 4) is best


@pytest.mark.parametrize("rows", [1_000, 30_000])
def test_where_no_recipe_ranks_people_the_simplest_is_taken(rows: int) -> None:
    """Where the highest AUC of the candidates is less than 2.5 standard errors of chance above 0.5,
    their differences are chance too, and the simplest recipe is taken."""
    best = tried(recipes.DEEP, [0.4, 0.6] * 200, 0.5)
    worse = tried(recipes.SCORECARD, plus(best.losses, [0.1, 0.1] * 200), 0.45)
    # Of 400 rows, 100 in the rarer class: a standard error is 0.0334.
    for auc, taken in ((0.583, worse), (0.584, best._replace(auc=0.584))):
        candidates = [worse, best._replace(auc=auc)]
        assert choice.simplest(candidates, rows, rows // 4).recipe == taken.recipe


def test_a_repeated_validation_is_no_further_evidence() -> None:
    """The rows of a validation that is repeated count once each, with their mean loss."""
    state = drawn(400, lambda a, b: a + b)
    ((three,), others) = choice._try(state, state.everyone, SHORT[1:2], 3)
    assert not others
    assert three.losses.shape[0] == 400
    assert three.shared == 5 / 4
    assert three.repeats.shape[0] == 3
    assert three.repeats.mean() == pytest.approx(three.loss)
    ((first,), _) = choice._try(state, state.everyone, SHORT[1:2], 1)
    assert not np.array_equal(three.losses, first.losses)
    assert three.loss == pytest.approx(first.loss, abs=0.02)


def repeated(recipe: Recipe, by_repeat: list[float], spread: float) -> Tried:
    """A candidate whose rows' losses are `spread` around the mean of its repeats."""
    mean = float(np.mean(by_repeat))
    losses = [mean + spread, mean - spread] * 200
    return tried(recipe, losses, 0.75)._replace(repeats=np.array(by_repeat))


@pytest.mark.parametrize(
    ("scorecard", "medium", "deep", "going"),
    [
        # Far worse in each repeat, or far better.
        ([0.55, 0.56, 0.54], [0.53, 0.54, 0.53], [0.500, 0.501, 0.499], set()),
        ([0.500, 0.501, 0.499], [0.53, 0.54, 0.53], [0.55, 0.56, 0.54], set()),
        # The scorecard, which loses a little more than it may, may lose less on other folds.
        ([0.53, 0.51, 0.52], [0.55, 0.56, 0.55], [0.500, 0.501, 0.499], {"scorecard", "deep"}),
        # So may larger trees than the best.
        ([0.60, 0.61, 0.60], [0.500, 0.501, 0.499], [0.50, 0.53, 0.48], {"medium", "deep"}),
        # The scorecard loses less than it may in the mean, but not in each repeat.
        ([0.51, 0.50, 0.52], [0.55, 0.56, 0.55], [0.500, 0.501, 0.499], {"scorecard", "deep"}),
        # And here in each.
        ([0.501, 0.502, 0.500], [0.55, 0.56, 0.55], [0.500, 0.501, 0.499], set()),
    ],
)
def test_a_choice_is_repeated_while_other_folds_may_turn_it(
    scorecard: list[float], medium: list[float], deep: list[float], going: set[str]
) -> None:
    """Further repeats are of the candidates whose place beside the best one is not settled by two
    standard errors of the repeats, and of the best one; there are none if every place is."""
    candidates = [
        repeated(recipes.SCORECARD, scorecard, 0.3),
        repeated(recipes.MEDIUM, medium, 0.1),
        repeated(recipes.DEEP, deep, 0.1),
    ]
    assert choice.undecided(candidates, 1_000, 250) == going


def test_repeats_that_rank_nothing_end() -> None:
    """No further repeat is needed if no candidate ranks people."""
    candidates = [
        repeated(recipe, [0.50, 0.53, 0.48], 0.1)._replace(auc=0.5) for recipe in SHORT[:2]
    ]
    assert choice.undecided(candidates, 1_000, 250) == set()


def test_candidates_that_cannot_be_taken_are_tried_no_further() -> None:
    """A candidate that leaves has the figures of its first three repeats; the choice is between the
    others, which have as many repeats as the plan gives."""
    state = drawn(400, lambda a, b: a + b)
    with mock.patch.object(choice, "undecided", return_value={"scorecard", "medium"}):
        left, others = choice._try(state, state.everyone, SHORT[:3], 5)
    assert [(t.recipe.name, t.repeats.shape[0]) for t in left] == [("scorecard", 5), ("medium", 5)]
    assert [(t.recipe.name, t.repeats.shape[0]) for t in others] == [("shallow", 3)]


def test_too_few_rows_of_a_class_are_an_error_before_the_first_fit() -> None:
    """A class with too few rows for an inner validation is named, with a way out."""
    state = drawn(300, lambda a, b: a + b - 9)
    with pytest.raises(DatasetError, match=r"\d bad training rows are too few .* pin a recipe"):
        choice.can_choose(state, state.everyone)


@pytest.mark.parametrize("rows", [1_000, 30_000, 1_000_000])
def test_a_smaller_budget_never_makes_a_larger_plan(rows: int) -> None:
    """The planned time falls with the budget, and stays within it as long as the smallest plan
    does; the plan depends on nothing else."""
    before = float("inf")
    for seconds in (1e9, 10_000.0, 1_200.0, 60.0, 1.0):
        course = budget.course(rows, rows // 4, 30, 5, (0, 1, 2), seconds)
        assert course == budget.course(rows, rows // 4, 30, 5, (0, 1, 2), seconds)
        assert course.seconds <= before
        before = course.seconds
        if len(course.plan.candidates) > 2:
            assert course.seconds <= seconds
    assert len(course.seeds) == 1
    full = budget.course(rows, rows // 4, 30, 5, (0, 1, 2), 1e9)
    assert full.seeds == (0, 1, 2)
    assert full.plan.candidates == recipes.LADDER


@pytest.mark.parametrize(
    ("rows", "cases", "repeats"),
    [
        (1_000, 250, {9, 6, 3}),
        (2_000, 1_000, {9, 6, 3}),
        (2_001, 500, {1}),
        (2_001, 499, {9, 6, 3, 1}),
        (1_000_000, 250_000, {1}),
    ],
)
def test_the_repeats_follow_the_budget(rows: int, cases: int, repeats: set[int]) -> None:
    """On an uncertain table the choice is repeated up to nine times, as the budget allows, before
    any other part of the plan gets less; others have one validation."""
    found: dict[int | None, budget.Course] = {}
    for seconds in np.geomspace(1.0, 1e6, 200):
        course = budget.course(rows, cases, 30, 5, (0, 1, 2), float(seconds))
        found[course.plan.repeats] = course
    assert {*found} == repeats
    # From the smallest budget to the largest.
    assert [*found] == sorted(repeats)
    for count in repeats & {9, 6}:
        assert found[count].seeds == (0, 1, 2)
        assert found[count].refits == budget.REFITS
        assert found[count].plan.candidates == recipes.LADDER


def test_the_plan_of_a_model_is_known_from_its_figures() -> None:
    """The plan that a model was made by follows from its figures, also where this build plans
    otherwise; an earlier build's repeats a fit of up to 2,000 rows three times. A candidate that
    this build does not have is said."""
    made = {
        "candidates": ["scorecard", "shallow"], "rows": [20_000, 64_000], "repeats": 1,
        "planned_seconds": 12.5,
    }  # fmt: skip
    figures = {"choice": made, "folds": {"seeds": [4, 5]}, "instability": {"refits": 5}}
    course = budget.kept(figures, None, 64_000)
    plan = Plan(recipes.LADDER[:2], (20_000, 100_000), 1)
    assert course == budget.Course(plan, (4, 5), 12.5, 5)
    del made["repeats"]
    plan = budget.kept(figures, None, 64_000).plan
    assert plan.repeats is None
    assert [choice._repeats(plan, rows) for rows in (2_000, 2_001)] == [3, 1]
    made["candidates"] = ["forest", "scorecard"]
    with pytest.raises(ModelDirectoryError, match="that this build does not have: forest;"):
        budget.kept(figures, None, 64_000)


def test_a_fold_with_more_rows_than_the_first_chooses_by_all_of_them() -> None:
    """A table whose rows its folds do not share equally is planned by the rows outside its first
    fold, and the choice of every fold tries all of the fold's rows."""
    state = drawn(401, lambda a, b: a + b)
    outside = [fits.split(state, Task("fold", 0, k))[0].shape[0] for k in range(3)]
    plan = budget.course(outside[0], outside[0] // 4, 2, 3, (0,), 1e9).plan
    assert max(outside) > outside[0]
    for k, count in enumerate(outside):
        found = fits.work(Work(state, plan._replace(candidates=SHORT[:2])), Task("fold", 0, k))
        assert [it["rows"] for it in found.candidates] == [count] * 2


def figures(gain: float, low: float, loss: float) -> dict[str, Any]:
    return {
        "gain": {"auc_mean": gain, "interval": [low, 2 * gain - low], "folds": 15},
        "model": {"log_loss": {"mean": 0.5 * (1 + loss)}, "auc": {"by_fold": [0.8] * 15}},
        "scorecard": {"log_loss": {"mean": 0.5}, "auc": {"by_fold": [0.8] * 15}},
    }


@pytest.mark.parametrize(
    ("gain", "low", "loss", "kind"),
    [
        (0.010, 0.007, -0.010, "trees"),
        (0.001, 0.0005, -0.001, "trees"),
        (0.005, -0.002, -0.003, "trees"),
        (0.001, -0.002, -0.001, "scorecard"),
        (-0.004, -0.006, 0.001, "scorecard"),
        (0.005, 0.001, 0.006, "scorecard"),
    ],
)
def test_the_verdict_names_the_model_with_its_interval(
    gain: float, low: float, loss: float, kind: str
) -> None:
    """Trees are served if they are surely better, or by more than a reader pays for, and their
    probabilities are not worse; the sentence has the gain and its interval."""
    ruling = verdict.judge(figures(gain, low, loss), None, ["deep", "scorecard"], 5)
    assert ruling.kind == kind
    assert ruling.sentence.startswith(f"Use the {kind}: ")
    assert f"{gain:+.4f} AUC (95 % interval {low:+.4f} to {2 * gain - low:+.4f})" in ruling.sentence
    assert ("chance alone" in ruling.sentence) == (kind == "trees" and low <= 0)


def test_a_verdict_says_that_some_folds_chose_the_scorecard() -> None:
    """The figures are those of the recipe that each fold chose, and the verdict does not call them
    figures of the trees where a fold chose the scorecard."""
    for low in (0.007, -0.02):
        measured = figures(0.01 if low > 0.0 else 0.001, low, 0.0)
        mixed = verdict.judge(measured, None, ["deep", "scorecard", "deep"], 5).sentence
        assert "the recipe that each fold chose, trees in 2 of 3, has" in mixed
        assert "the trees have" in verdict.judge(measured, None, ["deep", "medium"], 5).sentence


def test_a_verdict_says_that_a_model_may_rank_nothing() -> None:
    """Where the folds' AUC of the kind that is served may be 0.5 by chance, the verdict says so."""
    measured = figures(0.01, 0.007, -0.01)
    found = verdict.judge(measured, None, ["deep", "scorecard"], 5)
    assert "chance" not in found.sentence
    measured["scorecard"]["auc"]["by_fold"] = [0.44, 0.53, 0.49, 0.51, 0.53]
    assert verdict.judge(measured, None, ["deep", "scorecard"], 5) == found
    measured["model"]["auc"]["by_fold"] = [0.44, 0.53, 0.49, 0.51, 0.53]
    for chosen in (["deep", "scorecard"], ["scorecard"]):
        said = verdict.judge(measured, None, chosen, 5).sentence
        assert ". But out of fold the AUC is 0.500 (95 % interval 0.4" in said
        assert said.endswith("chance alone may explain it, so the model may rank nothing.")


def test_a_choice_counts_rows_by_their_weights() -> None:
    """Rows of almost no weight have almost no part in the loss and the AUC that a candidate is
    chosen by."""
    state = drawn(800, lambda a, b: np.where(np.arange(800) < 400, 0.0, 6 * a))
    weight = np.where(np.arange(800) < 400, 1e-3, 1.0)
    ((equal,), _) = choice._try(state, state.everyone, SHORT[:1], 3)
    ((weighted,), _) = choice._try(replace(state, weight=weight), state.everyone, SHORT[:1], 3)
    assert weighted.loss < 0.35 < 0.45 < equal.loss
    assert weighted.auc > 0.9 > 0.85 > equal.auc


def test_a_loss_counts_by_its_weight() -> None:
    """The mean loss of rows of the weight 2 is that of the rows twice, for a choice and for a fit
    that stops early."""
    generator = np.random.default_rng(3)
    margin = generator.normal(-1.0, 1.0, 900)
    label = (generator.random(900) < calibrate.sigmoid(margin)).astype(np.int8)
    weight = np.where(np.arange(900) % 3 == 0, 2.0, 1.0)
    rows = np.repeat(np.arange(900), weight.astype(int))
    twice = calibrate.losses(margin[rows], label[rows]).mean()
    assert calibrate.losses(margin, label, weight).mean() == pytest.approx(twice, rel=1e-9)
    watch = learners.Calibrated(label, weight)
    for _ in range(learners.Calibrated.EVERY):
        found = watch(calibrate.sigmoid(margin), None)
    assert found[1] == pytest.approx(twice, rel=1e-6)


def test_a_pinned_recipe_is_called_pinned() -> None:
    """A pinned recipe is served as the spec says, whatever the verdict would be."""
    pinned = recipes.SHALLOW
    for gain in (0.01, -0.01):
        ruling = verdict.judge(figures(gain, gain - 0.001, 0.0), pinned, ["pinned"], 5)
        assert ruling.kind == "trees"
        assert "pinned, not nested" in ruling.sentence
    assert "the scorecard is as good" in ruling.sentence


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A table whose risk is in a product, trained without a recipe in its spec."""
    it = table(900)
    risk = 1 / (1 + np.exp(1 - 3 * it.a * (it.b - 1)))
    y = (np.random.default_rng(1).random(900) < risk).astype(np.int8)
    return trained_without_recipe(tmp_path_factory.mktemp("crossed"), it._replace(y=y), [A, B], 1.0)


def test_the_served_model_is_the_verdicts(crossed: Trained) -> None:
    """Without a pinned recipe each fold chooses its own, the verdict names the kind to serve, and
    the manifest has that kind and the chosen recipe."""
    made = crossed.metrics
    assert made["choice"]["nested"] is True
    assert sum(made["choice"]["chosen_in_folds"].values()) == 3
    assert made["verdict"]["kind"] == "trees" == crossed.scorer.manifest.kind
    recipe = crossed.scorer.manifest.document["recipe"]
    assert recipe["name"] == made["choice"]["served"]
    assert recipe["trees"] == made["choice"]["served_trees"]
    assert re.match(r"Use the trees: .* on 3 folds", made["verdict"]["sentence"])
    assert made["gain"]["auc_mean"] > 0.1
    assert {"model", "scorecard", "plain", "gain", "gain_over_plain"} <= made.keys()
    assert made["scorecard"]["log_loss"]["mean"] > made["model"]["log_loss"]["mean"]
