"""The fits of a training run; each is a task that a worker process can do alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models import choice, dataset, freed, importance, learners, recipes, spec
from models.choice import Plan
from models.samples import State, domain_of, sample_of
from models.spec_model import Recipe

Floats = NDArray[np.float64]

RIVALS = (recipes.SCORECARD, recipes.PLAIN)
"""The recipes that the model is compared with on the same folds."""


class Task(NamedTuple):
    """One fit: its kind, and the seed and fold if the kind has them.

    `fold` is the whole procedure, the choice of the recipe included, on the rows outside a fold;
    the name of a rival is that recipe on the same rows; `served` is the model on all rows but the
    hold-out, and `inner` its recipe on a part of those, for the calibration. `refit` is the served
    recipe on the same rows with another seed of LightGBM: the `seed`-th after the spec's.
    """

    kind: str
    seed: int
    fold: int


class Work(NamedTuple):
    """The input of a worker: the data, the candidates, and the time's limits."""

    state: State
    plan: Plan


class Outcome(NamedTuple):
    """A fit's margins of the rows that it did not see, NaN where it cannot score one; if its recipe
    was chosen, they are calibrated inside its own rows. Its recipe, with the figures of all
    candidates; for `served` also the model's text, and for it and its refits the effect of each
    column on some of these rows."""

    margin: Floats
    recipe: Recipe
    candidates: list[dict[str, Any]]
    text: str = ""
    penalty: float | None = None
    explained: importance.Explained = importance.NOBODY


def validation(the_spec: spec.Spec, seeds: tuple[int, ...]) -> list[Task]:
    """The fits of the validation, the longest first, so that the processes finish together."""
    count = the_spec.validation.folds
    return [
        Task(kind, seed, k)
        for kind in ("fold", *(rival.name for rival in RIVALS))
        for seed in seeds
        for k in range(count)
    ]


SERVED = Task("served", 0, 0)


def calibration(the_spec: spec.Spec) -> list[Task]:
    """The fits whose margins calibrate the served model."""
    return [Task("inner", 0, k) for k in range(the_spec.validation.folds)]


def refits(count: int) -> list[Task]:
    """The fits that show how much the served model depends on its seed."""
    return [Task("refit", number, 0) for number in range(1, count + 1)]


def work(it: Work, task: Task) -> Outcome:
    """One fit, in a worker process, judged on the rows that it did not see."""
    try:
        return _outcome(it, task)
    finally:
        freed.give_back(it.state.label.shape[0])


def _outcome(it: Work, task: Task) -> Outcome:
    if task.kind == "refit":
        seeded = replace(it.state.spec, seed=it.state.spec.seed + task.seed)
        it = it._replace(state=replace(it.state, spec=seeded))
    # One thread each: the processes run in parallel, and sums then have one order.
    with threadpool_limits(limits=1):
        rows, tested = split(it.state, task)
        rivals = {rival.name: Plan((rival,), ()) for rival in RIVALS}
        # A rival scores the same rows as the model: it knows as many blanks.
        leaf = recipes.leaf_of(it.plan.candidates, rows.shape[0])
        chosen = choice.choose(it.state, rows, rivals.get(task.kind, it.plan))
        whole = task.kind in ("served", "refit")
        if whole:
            leaf = recipes.leaf(chosen.recipe, rows.shape[0])
        sample = sample_of(it.state, rows, leaf, orders=recipes.orders(chosen.recipe))
        learned = learners.fit(it.state, sample, chosen.recipe)
        text = learned.booster.model_to_string() if task.kind == "served" else ""
        seen = domain_of(it.state, sample, learned.booster if whole else None)
        raw = it.state.raw[tested]
        margin = learners.margins(learned.booster, seen, raw)
        if task.kind == "fold" and chosen.platt is not None:
            margin = chosen.platt.log_odds(margin)
        explained = importance.explain(learned.booster, seen, raw) if whole else importance.NOBODY
        return Outcome(margin, chosen.recipe, chosen.candidates, text, learned.penalty, explained)


def split(state: State, task: Task) -> tuple[dataset.Indices, dataset.Indices]:
    """The rows that a task learns from, and those that it is judged on."""
    if task.kind in ("served", "refit"):
        return state.training, state.holdout
    if task.kind == "inner":
        training = state.training
        fold = inner_folds(state)
        return training[fold != task.fold], training[fold == task.fold]
    fold = state.folds(task.seed)
    return np.flatnonzero((fold >= 0) & (fold != task.fold)), np.flatnonzero(fold == task.fold)


def inner_folds(state: State) -> NDArray[np.int8]:
    """Folds inside the served model's training rows, for its calibrator alone."""
    validation = state.spec.validation
    return state.folds_of(state.training, validation.folds, validation.seeds[0])
