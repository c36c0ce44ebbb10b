"""One fit of one recipe, and its margins."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from models import binned, calibrate, freed, parallel, portions, recipes, tables
from models.dataset import Labels
from models.domain import Admitted, Domain
from models.encoding import Preparation
from models.errors import TrainingError
from models.samples import PORTION, Sample, State
from models.scratch import Memory
from models.spec_model import Recipe

Floats = NDArray[np.float64]

_LEAST_PD = 1e-9
# Tables take as long to prepare as LightGBM takes for some 4,000 rows.
_MANY_ROWS = 2 * PORTION


class Judge(NamedTuple):
    """Rows that a fit with early stopping watches: (n, k) columns, and (n,) labels and weights if
    rows have weights."""

    x: Floats
    label: Labels
    weight: Floats | None = None


class Learned(NamedTuple):
    """A fitted model, and the judge's loss after each round if early stopping watched it.

    `penalty` is the one that a scorecard chose.
    """

    booster: lightgbm.Booster
    curve: Floats | None = None
    penalty: float | None = None


def names(preparation: Preparation) -> tuple[str, ...]:
    """The columns' names in a model's text.

    Columns of a derive function keep their own. A text cannot have every character that a raw
    column's name may have, so other columns are numbered.
    """
    columns = preparation.columns
    if preparation.document is None:
        return tuple(c.name for c in columns)
    return tuple(f"c{j}" for j in range(len(columns)))


def fit(state: State, sample: Sample, recipe: Recipe, judge: Judge | None = None) -> Learned:
    """The model of a recipe on a sample. Early stopping needs a judge with rows of both classes."""
    try:
        return _fitted(state, sample, recipe, judge)
    finally:
        freed.give_back(sample.rows.shape[0])


def _fitted(state: State, sample: Sample, recipe: Recipe, judge: Judge | None) -> Learned:
    label, columns = state.label[sample.rows], sample.preparation.columns
    if recipe.kind == "scorecard":
        with parallel.turn():
            freed.give_back(label.shape[0])
            rows = binned.joined(
                [
                    binned.cut(sample.x(state.raw, some), sample.preparation.rest[some])
                    for some in _parts(len(columns), label.shape[0])
                ]
            )
            freed.give_back(label.shape[0])
        card = binned.fit(
            rows,
            label,
            columns,
            names(sample.preparation),
            state.weight_of(sample.rows),
            None if state.group is None else state.group[sample.rows],
        )
        return Learned(lightgbm.Booster(model_str=card.text), penalty=card.penalty)
    parameters = recipes.parameters(recipe, columns, state.spec.seed, label.shape[0])
    data = portions.Portions(
        lambda: sample.portions(state.raw),
        (label.shape[0], len(columns)),
        label,
        state.weight_of(sample.rows),
        names(sample.preparation),
    )
    if judge is None or not recipe.patience or np.unique(judge.label).shape[0] < 2:
        return Learned(_trained(parameters, data, recipe.trees))
    parameters["metric"] = "none"
    watched: dict[str, dict[str, list[float]]] = {}
    booster = _trained(
        parameters,
        data,
        recipe.trees,
        valid_sets=[lightgbm.Dataset(judge.x, label=judge.label, reference=data)],
        feval=Calibrated(judge.label, judge.weight),
        callbacks=[
            lightgbm.record_evaluation(watched),
            lightgbm.early_stopping(recipe.patience, verbose=False),
        ],
        keep_training_booster=True,
    )
    (losses,) = watched.values()
    # Without these words LightGBM cuts the trees after the judge's best round. A validation that
    # takes more rounds would then give each fold the number of trees that its own labels like best.
    whole = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=-1))
    return Learned(whole, np.array(losses[Calibrated.NAME]))


def _parts(columns: int, rows: int) -> list[slice]:
    """All columns, or two halves of those of many rows: to derive the rows twice takes little time,
    and to hold all of them takes more memory than the table."""
    if rows < freed.MANY_ROWS or columns < 2:
        return [slice(columns)]
    return [slice(columns // 2), slice(columns // 2, columns)]


def _trained(
    parameters: dict[str, Any], data: lightgbm.Dataset, rounds: int, **watching: Any
) -> lightgbm.Booster:
    try:
        return lightgbm.train(parameters, data, rounds, **watching)
    except lightgbm.basic.LightGBMError as error:
        raise TrainingError(f"LightGBM: {error}") from error


class Calibrated:
    """LightGBM's metric of the judge's rows: the mean log-loss after calibration.

    Before calibration trees become too sure of themselves long before they stop learning to rank,
    and a fit would end too early. The loss is computed each `EVERY` rounds, and in between it is
    the last one.
    """

    NAME = "calibrated"
    EVERY = 5

    def __init__(self, label: Labels, weight: Floats | None = None) -> None:
        self._label, self._weight = label, weight
        self._round = 0
        self._last = math.inf

    def __call__(self, pd: Floats, _: object) -> tuple[str, float, bool]:
        """The metric's name, its value at these PDs, and that less is better."""
        self._round += 1
        if self._round % self.EVERY == 0:
            safe = np.clip(pd, _LEAST_PD, 1.0 - _LEAST_PD)
            margin = np.log(safe) - np.log1p(-safe)
            self._last = float(calibrate.losses(margin, self._label, self._weight).mean())
        return self.NAME, self._last, False


def margins(booster: lightgbm.Booster, seen: Domain, raw: Floats) -> Floats:
    """(n,) raw margins of (n, k_raw) raw values; NaN for rows that the model cannot score."""
    answer = _answers(booster, raw.shape[0])
    found = np.empty(raw.shape[0])
    for start in range(0, raw.shape[0], PORTION):
        admitted = seen.admit(raw[start : start + PORTION])
        found[start : start + PORTION] = in_place(admitted, answer(admitted.derived))
    return found


def _answers(booster: lightgbm.Booster, rows: int) -> Callable[[Floats], Floats]:
    """The function of derived rows that takes the least time for so many rows in all; both give
    the same bits."""
    if rows >= _MANY_ROWS:
        trees = tables.parse(booster.model_to_string(num_iteration=-1))
        if tables.hold(trees):
            memory = Memory()
            patterns, leaves = tables.Patterns(trees, memory), tables.Margins(trees, memory)
            return partial(tables.margins, patterns, leaves)
    return partial(margin_of, booster)


def in_place(admitted: Admitted, answers: Floats) -> Floats:
    """The margins of the admitted rows, NaN for the refused ones, in the order of all rows."""
    if not admitted.refused:
        return answers
    placed = np.full(answers.shape[0] + len(admitted.refused), np.nan)
    scored = np.ones(placed.shape[0], dtype=np.bool_)
    scored[list(admitted.refused)] = False
    placed[scored] = answers
    return placed


def margin_of(booster: lightgbm.Booster, x: Floats, rounds: int = -1) -> Floats:
    """(n,) raw margins of (n, k) derived values, after this many rounds, or all."""
    if x.shape[0] == 0:
        return np.empty(0)
    margin = booster.predict(x, raw_score=True, num_threads=1, num_iteration=rounds)
    return np.asarray(margin, dtype=np.float64)
