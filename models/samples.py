"""The rows that a fit may use, their columns, and the rows that it can answer for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from models import dataset, domain, encoding, tables
from models.encoding import Preparation
from models.spec import Spec

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class State:
    """Every worker's input: the raw columns, the labels, the spec, the splits.

    `group` and `weight` are those of the rows, or None.
    """

    raw: Floats
    label: dataset.Labels
    spec: Spec
    holdout: dataset.Indices
    training: dataset.Indices
    group: dataset.Indices | None = None
    weight: Floats | None = None

    @property
    def everyone(self) -> dataset.Indices:
        """All rows."""
        return np.arange(self.label.shape[0])

    @property
    def validated(self) -> dataset.Indices:
        """The rows of the validation's folds, ascending: all, or those before the rows out of time.

        A model of the past that learned from later rows would promise too much, and the rows out of
        time would no longer lie apart from the folds.
        """
        return self.everyone if self.spec.time is None else self.training

    def folds(self, seed: int) -> NDArray[np.int8]:
        """The fold of each row for a seed of the validation; -1 for a row that is in none."""
        rows = self.validated
        fold = np.full(self.label.shape[0], -1, dtype=np.int8)
        fold[rows] = self.folds_of(rows, self.spec.validation.folds, seed)
        return fold

    def folds_of(self, rows: dataset.Indices, count: int, seed: int) -> NDArray[np.int8]:
        """The fold of each of these rows, from 0 to `count` - 1; a group lies in one of them."""
        group = None if self.group is None else self.group[rows]
        return dataset.stratified_folds(self.label[rows], count, seed, group)

    def weight_of(self, rows: dataset.Indices) -> Floats | None:
        """The weights of these rows, if rows have weights."""
        return None if self.weight is None else self.weight[rows]


def state_of(data: dataset.Dataset) -> State:
    """The input of the workers for a data set."""
    holdout = dataset.holdout_indices(data)
    training = dataset.training_indices(data, holdout)
    the_spec = replace(
        data.spec,
        features=tuple(replace(f, levels=data.levels.get(f.name, ())) for f in data.spec.features),
    )
    return State(data.raw, data.label, the_spec, holdout, training, data.group, data.weight)


PORTION = 4_096
"""Rows that are derived at once. All rows' columns take more memory than the table itself."""


class Sample(NamedTuple):
    """The rows that a fit uses, their raw columns' domain, and how they become its columns.

    `lacking` (k,) are the columns that some of these rows have no value of.
    """

    rows: dataset.Indices
    trained: tuple[domain.Trained, ...]
    preparation: Preparation
    lacking: NDArray[np.bool_]

    def portions(self, raw: Floats) -> Iterator[Floats]:
        """The (m, k) columns of the rows in order, some rows at a time; `raw` is the whole table's.

        The rows have no bits that depend on the portion.
        """
        for start in range(0, self.rows.shape[0], PORTION):
            yield self.preparation(raw[self.rows[start : start + PORTION]])

    def x(self, raw: Floats, columns: slice = slice(None)) -> Floats:
        """The (n, k) columns of all rows, or some of them, column after column in memory."""
        width = len(self.preparation.columns[columns])
        whole = np.empty((self.rows.shape[0], width), order="F")
        start = 0
        for part in self.portions(raw):
            whole[start : start + part.shape[0]] = part[:, columns]
            start += part.shape[0]
        return whole


def sample_of(state: State, rows: dataset.Indices, leaf: int, *, orders: bool = False) -> Sample:
    """The rows among these that a fit with this smallest leaf can score. It learns from no others.

    A row without a derived value whose raw values it has is left out too. `orders` is for
    `encoding.fit`.
    """
    the_spec = state.spec

    def column(j: int) -> Floats:
        # One at a time: a copy of all of them takes as much memory as the table.
        values: Floats = state.raw[rows, j]
        return values

    learned = domain.learn(
        the_spec.inputs, column, state.label[rows], the_spec.house, leaf,
        special_is_amount=the_spec.derive_function is not None,
    )  # fmt: skip
    if not learned.kept.all():
        rows = rows[learned.kept]
    preparation = encoding.fit(the_spec, column, state.label[rows], orders=orders)
    undefined = np.zeros(rows.shape[0], dtype=np.bool_)
    lacking = np.zeros(len(preparation.columns), dtype=np.bool_)
    for start in range(0, rows.shape[0], PORTION):
        part = state.raw[rows[start : start + PORTION]]
        unknown = np.isnan(x := preparation.checked(part))
        if unknown.any():
            without = preparation.undefined(part, x).any(axis=1)
            undefined[start : start + PORTION] = without
            lacking |= unknown[~without].any(axis=0)
    return Sample(rows[~undefined], learned.trained, preparation, lacking)


def domain_of(
    state: State, sample: Sample, booster: lightgbm.Booster | None = None
) -> domain.Domain:
    """The domain of a fit on a sample.

    With the model that will be served, its text tells which columns it reads without a direction
    for missing values; without, these are the columns that never lacked a value.
    """
    blind = frozenset(np.flatnonzero(~sample.lacking).tolist())
    if booster is not None and sample.lacking.any():
        blind = tables.blind_columns(tables.parse(booster.model_to_string()))
    return domain.Domain(state.spec.inputs, sample.trained, sample.preparation, blind)
