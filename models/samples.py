"""The rows that a fit may use, their columns, and the rows that it can answer for."""

from __future__ import annotations

from dataclasses import dataclass
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
    """Every worker's input: the raw columns, the labels, the spec, the hold-out."""

    raw: Floats
    label: dataset.Labels
    spec: Spec
    holdout: dataset.Indices

    @property
    def everyone(self) -> dataset.Indices:
        """All rows."""
        return np.arange(self.label.shape[0])

    @property
    def training(self) -> dataset.Indices:
        """The rows outside the hold-out."""
        return np.setdiff1d(self.everyone, self.holdout)

    def folds(self, rows: dataset.Indices, count: int, seed: int) -> NDArray[np.int8]:
        """The fold of each of these rows, from 0 to `count` - 1."""
        return dataset.stratified_folds(self.label[rows], count, seed)


class Sample(NamedTuple):
    """The rows that a fit uses, their columns, and their raw columns' domain."""

    rows: dataset.Indices
    x: Floats
    trained: tuple[domain.Trained, ...]
    preparation: Preparation


def sample_of(state: State, rows: dataset.Indices, leaf: int) -> Sample:
    """The rows among these that a fit with this smallest leaf can score. It learns from no others.

    A complete row without a derived value is left out too.
    """
    the_spec, raw = state.spec, state.raw[rows]
    learned = domain.learn(
        the_spec.inputs, raw, state.label[rows], the_spec.house, leaf,
        special_is_amount=the_spec.derive_function is not None,
    )  # fmt: skip
    if not learned.kept.all():
        rows, raw = rows[learned.kept], raw[learned.kept]
    preparation = encoding.fit(the_spec, raw, state.label[rows])
    x = preparation.checked(raw)
    undefined = np.isnan(x).any(axis=1)
    if undefined.any():
        undefined &= ~preparation.unknown(raw).any(axis=1)
    if undefined.any():
        rows, x = rows[~undefined], x[~undefined]
    return Sample(rows, x, learned.trained, preparation)


def domain_of(
    state: State, sample: Sample, booster: lightgbm.Booster | None = None
) -> domain.Domain:
    """The domain of a fit on a sample.

    With the model that will be served, its text tells which columns it reads without a direction
    for missing values; without, these are the columns that never lacked a value.
    """
    lacking = np.isnan(sample.x).any(axis=0)
    blind = frozenset(np.flatnonzero(~lacking).tolist())
    if booster is not None and lacking.any():
        blind = tables.blind_columns(tables.parse(booster.model_to_string()))
    return domain.Domain(state.spec.inputs, sample.trained, sample.preparation, blind)
