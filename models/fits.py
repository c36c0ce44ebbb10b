"""The fits of a training run; each is a task that a worker process can do alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models import dataset, domain, evaluate, features, spec, tables
from models.errors import TrainingError

Floats = NDArray[np.float64]


class Task(NamedTuple):
    """One fit: its kind, and the seed and fold if the kind has them."""

    kind: str  # served | inner | fold | baseline
    seed: int
    fold: int


@dataclass(frozen=True)
class State:
    """Every worker's input: the raw columns, the labels, the spec, the splits.

    `group` and `weight` are those of the rows, or None.
    """

    raw: Floats
    label: dataset.Labels
    spec: spec.Spec
    holdout: dataset.Indices
    training: dataset.Indices
    group: dataset.Indices | None = None
    weight: Floats | None = None

    def folds(self, seed: int) -> NDArray[np.int8]:
        """The fold of each row for a seed of the validation."""
        count = self.spec.validation.folds
        return dataset.stratified_folds(self.label, count, seed, self.group)


def state_of(data: dataset.Dataset) -> State:
    """The input of the workers for a data set."""
    holdout = dataset.holdout_indices(data)
    training = dataset.training_indices(data, holdout)
    return State(data.raw, data.label, data.spec, holdout, training, data.group, data.weight)


def tasks(the_spec: spec.Spec) -> list[Task]:
    """All tasks, the longest first, so that the processes finish together."""
    count = the_spec.validation.folds
    seeds = (*the_spec.validation.seeds, *the_spec.validation.extra_seeds)
    tasks = [Task("served", 0, 0)]
    tasks += [Task("inner", 0, k) for k in range(count)]
    for kind in ("fold", "baseline"):
        tasks += [Task(kind, seed, k) for seed in seeds for k in range(count)]
    return tasks


class Outcome(NamedTuple):
    """A fit's margins, or a baseline's PDs, of the rows that the fit did not see; for `served` also
    the model's text. A margin is NaN if the fit cannot score the row."""

    margin: Floats
    text: str = ""


def work(state: State, task: Task) -> Outcome:
    """One fit, in a worker process, judged on the rows that it did not see."""
    # One thread each: the processes run in parallel, and sums then have one order.
    with threadpool_limits(limits=1):
        everyone = np.arange(state.label.shape[0])
        if task.kind == "served":
            rows, tested = state.training, state.holdout
        elif task.kind == "inner":
            fold = inner_folds(state)
            rows = state.training[fold != task.fold]
            tested = state.training[fold == task.fold]
        else:
            fold = state.folds(task.seed)
            rows, tested = everyone[fold != task.fold], everyone[fold == task.fold]
        sample = sample_of(state, rows)
        label = state.label[sample.rows]
        booster = None if task.kind == "baseline" else fit(state, sample)
        seen = domain_of(state, sample, booster)
        if booster is None:
            admitted = seen.admit(state.raw[tested])
            weight = weight_of(state, sample.rows)
            pd = evaluate.binned_logistic(sample.x, label, admitted.derived, weight)
            return Outcome(_in_place(admitted, pd))
        text = booster.model_to_string() if task.kind == "served" else ""
        return Outcome(margins(booster, seen, state.raw[tested]), text)


class Sample(NamedTuple):
    """The rows that a fit uses, their derived columns, and their raw columns' domain."""

    rows: dataset.Indices
    x: Floats
    trained: tuple[domain.Trained, ...]


def sample_of(state: State, rows: dataset.Indices) -> Sample:
    """The rows among these that the fit can score. The fit learns from no other rows.

    A complete row without a derived value is left out too.
    """
    the_spec, raw = state.spec, state.raw[rows]
    leaf = the_spec.recipe.min_child_samples
    learned = domain.learn(the_spec.inputs, raw, state.label[rows], the_spec.house, leaf)
    rows, raw = rows[learned.kept], raw[learned.kept]
    derive = features.resolve(the_spec.derive_function)
    x = features.apply(derive, raw, len(the_spec.derived))
    undefined = np.isnan(x).any(axis=1) & ~np.isnan(raw).any(axis=1)
    return Sample(rows[~undefined], x[~undefined], learned.trained)


def domain_of(state: State, sample: Sample, booster: lightgbm.Booster | None) -> domain.Domain:
    """The domain of a fit on a sample. Without a model, every missing value counts as one with a
    trained direction."""
    the_spec = state.spec
    blind: frozenset[int] = frozenset()
    if booster is not None and any(t.nullable for t in sample.trained):
        blind = tables.blind_columns(tables.parse(booster.model_to_string()))
    return domain.Domain(
        the_spec.inputs,
        sample.trained,
        features.resolve(the_spec.derive_function),
        [d.name for d in the_spec.derived],
        blind,
    )


def inner_folds(state: State) -> NDArray[np.int8]:
    """Folds inside the served model's training rows, for its calibrator alone."""
    validation, rows = state.spec.validation, state.training
    group = None if state.group is None else state.group[rows]
    return dataset.stratified_folds(state.label[rows], validation.folds, validation.seeds[0], group)


def parameters(the_spec: spec.Spec, rows: int) -> dict[str, Any]:
    """LightGBM's parameters for a spec's recipe on this many training rows: one thread, and the
    same trees every time."""
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
        # All rows: in a sample LightGBM may not see that a column has missing values.
        "bin_construct_sample_cnt": rows,
        "monotone_constraints": [d.monotone for d in the_spec.derived],
        "seed": recipe.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }


def weight_of(state: State, rows: dataset.Indices) -> Floats | None:
    """The weights of these rows, if rows have weights."""
    return None if state.weight is None else state.weight[rows]


def fit(state: State, sample: Sample) -> lightgbm.Booster:
    """The boosted trees of a sample."""
    x = sample.x
    data = lightgbm.Dataset(
        x,
        label=state.label[sample.rows],
        weight=weight_of(state, sample.rows),
        feature_name=[d.name for d in state.spec.derived],
        free_raw_data=True,
    )
    try:
        booster = lightgbm.train(parameters(state.spec, x.shape[0]), data, state.spec.recipe.trees)
    except lightgbm.basic.LightGBMError as error:
        raise TrainingError(f"LightGBM: {error}") from error
    return booster


def margins(booster: lightgbm.Booster, seen: domain.Domain, raw: Floats) -> Floats:
    """(n,) raw margins of (n, k_raw) raw values; NaN for rows that the model cannot score."""
    admitted = seen.admit(raw)
    return _in_place(admitted, margin_of(booster, admitted.derived))


def _in_place(admitted: domain.Admitted, answers: Floats) -> Floats:
    """The margins of the admitted rows, NaN for the refused ones, in the order of all rows."""
    placed = np.full(answers.shape[0] + len(admitted.refused), np.nan)
    placed[[i for i in range(placed.shape[0]) if i not in admitted.refused]] = answers
    return placed


def margin_of(booster: lightgbm.Booster, x: Floats) -> Floats:
    """(n,) raw margins of (n, k) derived values."""
    if x.shape[0] == 0:
        return np.empty(0)
    return np.asarray(booster.predict(x, raw_score=True, num_threads=1), dtype=np.float64)
