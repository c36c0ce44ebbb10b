"""How much each column moves the scores of the served model."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np

from models import dataset
from models.samples import Sample, State, domain_of

MOST_ROWS = 500


def of(state: State, sample: Sample, text: str, rows: dataset.Indices) -> dict[str, Any]:
    """The mean absolute TreeSHAP value of each of the model's columns, in log-odds, the largest
    first; columns that never count are left out.

    These are the values that the reasons come from (`models.explain`). At most 500 of `rows` are
    explained, spread evenly; of these, rows that the model cannot score are left out.
    """
    every = np.unique(np.linspace(0, rows.shape[0] - 1, MOST_ROWS).round().astype(np.int64))
    booster = lightgbm.Booster(model_str=text)
    derived = domain_of(state, sample, booster).admit(state.raw[rows[every]]).derived
    if derived.shape[0] == 0:
        return {"n": 0, "columns": []}
    shap = np.asarray(booster.predict(derived, pred_contrib=True, num_threads=1))
    # The last column is the mean of all.
    means = np.abs(shap[:, :-1]).mean(axis=0)
    columns = sample.preparation.columns
    found = [
        {"column": column.name, "reason_group": column.reason_group, "mean_shap": float(mean)}
        for column, mean in zip(columns, means, strict=True)
        if mean > 0.0
    ]
    return {
        "n": derived.shape[0], "columns": sorted(found, key=lambda it: -float(it["mean_shap"]))
    }  # fmt: skip
