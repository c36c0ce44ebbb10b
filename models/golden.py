"""Golden rows: rows for which every load of a model must give the same margin and score.

The rows have each kind of value that the model can score: ordinary values, a missing value in each
column that may have one, each special value, kept levels and a rare one, and both ends of each
column's domain.
"""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from models import encoding, learners, scorecard
from models.domain import Domain
from models.errors import TrainingError
from models.samples import Sample, State, domain_of

Floats = NDArray[np.float64]

ORDINARY_ROWS = 32


def rows(
    model_text: str, state: State, sample: Sample, scale: scorecard.Scale
) -> list[dict[str, Any]]:
    """Golden rows for the manifest: raw values, margin (hexadecimal text) and score.

    The margins come from the model's text as a server will parse it.
    """
    booster = lightgbm.Booster(model_str=model_text)
    seen = domain_of(state, sample, booster)
    raw = _raw(state, sample, seen)
    margins = learners.margins(booster, seen, raw)
    if np.isnan(margins).all():
        raise TrainingError(
            "none of the rows that each load of the model would check can be scored: use fewer"
            " derivations of two columns"
        )
    return [
        {"raw": [v.hex() for v in row], "margin": margin.hex(), "score": scale.score(margin)}
        for row, margin in zip(raw.tolist(), margins.tolist(), strict=True)
        # An end of one column's domain may have no derived value with the other columns' values.
        if margin == margin
    ]


def _raw(state: State, sample: Sample, seen: Domain) -> Floats:
    """Rows with real values in each column, but no real person's row; then rows with one changed
    value each.

    Each column is drawn from the training rows independently, so that the manifest reveals no
    person.
    """

    def training(j: int) -> Floats:
        values: Floats = state.raw[sample.rows, j]
        return values

    width = state.raw.shape[1]
    bits = np.random.PCG64(state.spec.seed)
    drawn = bits.random_raw(ORDINARY_ROWS * width).reshape(ORDINARY_ROWS, -1)
    ordinary = np.column_stack([_drawn(training(j), drawn[:, j]) for j in range(width)])
    # Two dates belong together: dates drawn apart may have months that no training row has.
    for span in reversed(sample.preparation.spans):
        start, end = span.of
        days = training(end) - training(start)
        if not np.isnan(days).all():
            ordinary[:, start] = ordinary[:, end] - _drawn(days, drawn[:, start])
    changed: list[Floats] = []
    for j, (feature, trained) in enumerate(zip(state.spec.inputs, sample.trained, strict=True)):
        kinds = {*seen.ends(j), *({*feature.special} & {*(trained.seen or ())})}
        if encoding.is_category(feature):
            kept, _ = encoding.levels(training(j), state.spec.house)
            kinds |= {*kept[: encoding.MOST_INDICATORS]}
            kinds |= {*sorted({*(trained.seen or ())} - {*kept})[:1]}
        for value in [*sorted(kinds), *([np.nan] if seen.nullable[j] else [])]:
            row = ordinary[len(changed) % ORDINARY_ROWS].copy()
            row[j] = value
            changed.append(row)
    return np.concatenate((ordinary, np.array(changed)))


def _drawn(values: Floats, drawn: NDArray[np.uint64]) -> Floats:
    """One of the present values for each number drawn: a blank has a row of its own."""
    present = values[~np.isnan(values)]
    picked: Floats = present[(drawn % np.uint64(present.shape[0])).astype(np.int64)]
    return picked
