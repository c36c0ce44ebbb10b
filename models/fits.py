"""The fits of a training run, each a task that a worker process can do by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models import dataset, evaluate, spec
from models.errors import TrainingError

Floats = NDArray[np.float64]


class Task(NamedTuple):
    """Which fit: its kind, and the seed and fold where the kind has them."""

    kind: str  # served | inner | fold | baseline
    seed: int
    fold: int


@dataclass(frozen=True)
class State:
    """What every worker needs: the derived columns, the labels, the recipe, the splits."""

    x: Floats
    label: dataset.Labels
    spec: spec.Spec
    holdout: dataset.Indices


def tasks(the_spec: spec.Spec) -> list[Task]:
    """Longest first, so that the processes finish together."""
    count = the_spec.validation.folds
    seeds = (*the_spec.validation.seeds, *the_spec.validation.extra_seeds)
    tasks = [Task("served", 0, 0)]
    tasks += [Task("inner", 0, k) for k in range(count)]
    for kind in ("fold", "baseline"):
        tasks += [Task(kind, seed, k) for seed in seeds for k in range(count)]
    return tasks


def work(state: State, task: Task) -> Any:
    """One fit, in a worker process: out-of-fold margins or PDs; for `served` the text as well."""
    # One thread each: the processes are the parallelism, and sums then have one order.
    with threadpool_limits(limits=1):
        everyone = np.arange(state.label.shape[0])
        if task.kind == "served":
            booster = fit(state, np.setdiff1d(everyone, state.holdout))
            return booster.model_to_string(), margin_of(booster, state.x[state.holdout])
        if task.kind == "inner":
            training = np.setdiff1d(everyone, state.holdout)
            fold = inner_folds(state, training)
            rows, tested = training[fold != task.fold], training[fold == task.fold]
        else:
            fold = dataset.stratified_folds(state.label, state.spec.validation.folds, task.seed)
            rows, tested = everyone[fold != task.fold], everyone[fold == task.fold]
        if task.kind == "baseline":
            return evaluate.binned_logistic(state.x[rows], state.label[rows], state.x[tested])
        return margin_of(fit(state, rows), state.x[tested])


def inner_folds(state: State, training: dataset.Indices) -> NDArray[np.int8]:
    """Folds inside the served model's training rows, for its calibrator alone."""
    validation = state.spec.validation
    return dataset.stratified_folds(state.label[training], validation.folds, validation.seeds[0])


def parameters(the_spec: spec.Spec) -> dict[str, Any]:
    """LightGBM's parameters for a spec's recipe; one thread, and the same trees every time."""
    recipe = the_spec.recipe
    return {
        "objective": "binary",
        "learning_rate": recipe.learning_rate,
        "max_depth": recipe.depth,
        "num_leaves": 2**recipe.depth,
        "min_data_in_leaf": recipe.min_child_samples,
        "bagging_fraction": recipe.subsample,
        "bagging_freq": 1 if recipe.subsample < 1.0 else 0,
        "feature_fraction": recipe.colsample,
        "lambda_l2": recipe.lambda_l2,
        "max_bin": recipe.max_bin,
        "monotone_constraints": [d.monotone for d in the_spec.derived],
        "seed": recipe.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }


def fit(state: State, rows: dataset.Indices) -> lightgbm.Booster:
    data = lightgbm.Dataset(
        state.x[rows],
        label=state.label[rows],
        feature_name=[d.name for d in state.spec.derived],
        free_raw_data=True,
    )
    try:
        booster = lightgbm.train(parameters(state.spec), data, state.spec.recipe.trees)
    except lightgbm.basic.LightGBMError as error:
        raise TrainingError(f"LightGBM: {error}") from error
    return booster


def margin_of(booster: lightgbm.Booster, x: Floats) -> Floats:
    """(n,) raw margins of (n, k) derived values."""
    return np.asarray(booster.predict(x, raw_score=True, num_threads=1), dtype=np.float64)
