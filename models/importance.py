"""How far each column of a fit moves people's scores: TreeSHAP, the source of the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from models.domain import Domain
from models.spec_columns import Derived

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MOST_ROWS = 500


class Explained(NamedTuple):
    """The explained ones among a fit's rows: their (m,) places, and (m, k) TreeSHAP values of the
    fit's columns in log-odds."""

    places: Indices
    shap: Floats


NOBODY = Explained(np.empty(0, dtype=np.int64), np.empty((0, 0)))


def explain(booster: lightgbm.Booster, seen: Domain, raw: Floats) -> Explained:
    """At most 500 of the (n, k_raw) raw rows, spread evenly; rows that the model cannot score are
    left out."""
    places = np.unique(np.linspace(0, raw.shape[0] - 1, MOST_ROWS).round().astype(np.int64))
    admitted = seen.admit(raw[places])
    places = np.delete(places, sorted(admitted.refused))
    if places.shape[0] == 0:
        return Explained(places, np.empty((0, admitted.derived.shape[1])))
    shap = np.asarray(booster.predict(admitted.derived, pred_contrib=True, num_threads=1))
    # The last column is the mean of all.
    return Explained(places, shap[:, :-1])


def of(explained: Explained, columns: Sequence[Derived]) -> dict[str, Any]:
    """The mean absolute TreeSHAP value of each of the model's columns, the largest first; columns
    that never count are left out.

    These are the values that the reasons come from (`models.explain`).
    """
    n = explained.shap.shape[0]
    if n == 0:
        return {"n": 0, "columns": []}
    found = [
        {"column": column.name, "reason_group": column.reason_group, "mean_shap": float(mean)}
        for column, mean in zip(columns, np.abs(explained.shap).mean(axis=0), strict=True)
        if mean > 0.0
    ]
    return {"n": n, "columns": sorted(found, key=lambda it: -float(it["mean_shap"]))}


def first_reasons(explained: Explained, columns: Sequence[Derived]) -> Indices:
    """(m,) the place of each person's weightiest reason group among the groups in order; -1 where
    nothing lowers the score."""
    groups = sorted({c.reason_group for c in columns if c.reason_group is not None})
    if not groups or not explained.places.shape[0]:
        return np.full(explained.shap.shape[0], -1, dtype=np.int64)
    sums = np.stack(
        [
            explained.shap[:, [c.reason_group == name for c in columns]].sum(axis=1)
            for name in groups
        ],
        axis=1,
    )
    # Of equal groups the first one counts, as in an answer.
    known = sums.max(axis=1) > 0.0
    return np.where(known, sums.argmax(axis=1), -1).astype(np.int64)
