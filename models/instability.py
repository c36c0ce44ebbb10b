"""The people whose band, offer or first reason depends on the seed of the served model alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import fits, importance, metrics
from models.samples import State
from models.scorecard import Scale
from models.spec_columns import Derived
from models.spec_model import Recipe

Bools = NDArray[np.bool_]
Scores = NDArray[np.int64]

TOO_LITTLE_TIME = "the budget has no time for the refits"
NO_SEED = "a scorecard does not depend on a seed"
REDUCED_SCORE = 500
"""From this score on the default policies ask for a part of the deposit, and for none from
`metrics.APPROVAL_SCORE` on."""


def tasks(recipe: Recipe, planned: int) -> list[fits.Task]:
    """The refits of the served recipe; none for a scorecard, which has no seed."""
    return [] if recipe.kind == "scorecard" else fits.refits(planned)


def find(
    state: State,
    results: dict[fits.Task, fits.Outcome],
    scale: Scale,
    refits: list[fits.Task],
    columns: Sequence[Derived],
) -> dict[str, Any]:
    """The shares of the hold-out whose band, offer and first reason change in at least one refit,
    and in each; `columns` are those of the served model.

    Every margin gets its score by the served model's scale. Offers are those of the default
    policies. Only people whose reasons were computed count for the first reason and for `any`; a
    person without a deposit gets no reason. Rows that a fit cannot score are left out. Without
    refits the figures are None, and `skipped` says why.
    """
    served = results[fits.SERVED]
    if not refits:
        reason = NO_SEED if served.recipe.kind == "scorecard" else TOO_LITTLE_TIME
        none: dict[str, Any] = {"n": 0, "share": None, "by_refit": []}
        return {
            "refits": 0, **none, "offer": none, "first_reason": none, "any": none,
            "skipped": reason,
        }  # fmt: skip
    outcomes = [served, *(results[task] for task in refits)]
    margins = np.stack([outcome.margin for outcome in outcomes])
    scored: Bools = np.asarray(~np.isnan(margins).any(axis=0))
    score: Scores = metrics.scores(scale, margins)
    weight = state.weight_of(state.holdout)
    band, offer = _changed(metrics.band_numbers(score)), _changed(_offers(score))
    explained, reason_changed = _reasons(outcomes, score, columns)
    explained &= scored
    return {
        "refits": len(refits),
        **_shares(band, scored, weight),
        "offer": _shares(offer, scored, weight),
        "first_reason": _shares(reason_changed, explained, weight),
        "any": _shares(band | offer | reason_changed, explained, weight),
        "skipped": None,
    }


def _offers(score: Scores) -> Scores:
    """0 for the whole deposit, 1 for a part of it, 2 for none."""
    return np.asarray((score >= REDUCED_SCORE).astype(np.int64) + (score >= metrics.APPROVAL_SCORE))


def _changed(values: Scores) -> Bools:
    """(refits, n): where each refit's value is not that of the served model, which is first."""
    return np.asarray(values[1:] != values[0])


def _reasons(
    outcomes: Sequence[fits.Outcome], score: Scores, columns: Sequence[Derived]
) -> tuple[Bools, Bools]:
    """(n,) the people whose reasons every fit has, and (refits, n) whose first reason changes."""
    known = np.zeros(score.shape, dtype=np.bool_)
    reason = np.full(score.shape, -1, dtype=np.int64)
    for number, outcome in enumerate(outcomes):
        explained = outcome.explained
        known[number, explained.places] = True
        reason[number, explained.places] = importance.first_reasons(explained, columns)
    reason[score >= metrics.APPROVAL_SCORE] = -1
    return np.asarray(known.all(axis=0)), _changed(reason)


def _shares(changed: Bools, among: Bools, weight: NDArray[np.float64] | None) -> dict[str, Any]:
    n = int(among.sum())
    if n == 0:
        return {"n": 0, "share": None, "by_refit": []}
    share = None if weight is None else weight[among]
    here = changed[:, among]
    return {
        "n": n,
        "share": float(np.average(here.any(axis=0), weights=share)),
        "by_refit": [float(np.average(each, weights=share)) for each in here],
    }
