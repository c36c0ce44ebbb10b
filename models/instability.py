"""The people whose band depends on the seed of the served model alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import fits, metrics
from models.samples import State
from models.scorecard import Scale
from models.spec_model import Recipe

TOO_LITTLE_TIME = "the budget has no time for the refits"
NO_SEED = "a scorecard does not depend on a seed"


def tasks(recipe: Recipe, planned: int) -> list[fits.Task]:
    """The refits of the served recipe; none for a scorecard, which has no seed."""
    return [] if recipe.kind == "scorecard" else fits.refits(planned)


def find(
    state: State, results: dict[fits.Task, fits.Outcome], scale: Scale, refits: list[fits.Task]
) -> dict[str, Any]:
    """The share of the hold-out whose band changes in at least one refit, and in each.

    Every margin gets its score by the served model's scale. Rows that a fit cannot score are left
    out. Without refits the figures are None, and `skipped` says why.
    """
    served = results[fits.SERVED]
    if not refits:
        reason = NO_SEED if served.recipe.kind == "scorecard" else TOO_LITTLE_TIME
        return {"refits": 0, "n": 0, "share": None, "by_refit": [], "skipped": reason}
    margins = np.stack([served.margin, *(results[task].margin for task in refits)])
    scored: NDArray[np.bool_] = np.asarray(~np.isnan(margins).any(axis=0))
    band = metrics.band_numbers(metrics.scores(scale, margins[:, scored]))
    changed = band[1:] != band[0]
    weight = state.weight_of(state.holdout[scored])
    return {
        "refits": len(refits),
        "n": int(scored.sum()),
        "share": float(np.average(changed.any(axis=0), weights=weight)),
        "by_refit": [float(np.average(each, weights=weight)) for each in changed],
        "skipped": None,
    }
