"""The curves of a report: how the shares of bad and of good people rise with the risk.

One curve gives three figures. ROC is bad against good, KS is both against the score, and gains are
bad against people.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import bootstrap, evaluate

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

MOST_POINTS = 200


def rising(
    label: Labels, risk: Floats, score: NDArray[np.int64], weight: Floats | None = None
) -> list[dict[str, float]]:
    """Points from the riskiest row to the last: the lowest score so far, and the shares of people,
    of bad and of good so far. All arrays are (n,).

    Rows of equal risk are in one point. Beyond 200 points every so many are kept, and the one where
    the shares of bad and of good lie furthest apart.
    """
    order = np.argsort(-risk, kind="stable")
    share = np.ones(label.shape[0]) if weight is None else weight[order]
    y, ranked = label[order].astype(np.float64), risk[order]
    shares = [np.cumsum(part * share) for part in (np.ones_like(y), y, 1.0 - y)]
    people, bad, good = (total / total[-1] for total in shares)
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    if ends.shape[0] > MOST_POINTS:
        widest = ends[np.argmax(np.abs(bad - good)[ends])]
        every = np.linspace(0, ends.shape[0] - 1, MOST_POINTS - 1).round().astype(np.int64)
        ends = np.unique(np.append(ends[every], widest))
    return [
        {
            "score": int(score[order[i]]),
            "people": float(people[i]),
            "bad": float(bad[i]),
            "good": float(good[i]),
        }
        for i in ends
    ]


def reliability(
    label: Labels, pd: Floats, weight: Floats | None, groups: bootstrap.Groups | None
) -> list[dict[str, Any]]:
    """The bins of `evaluate.reliability`; each has the 95 % interval of its bad rate, by Wilson or,
    with groups or weights, by samples of groups."""
    bins: list[dict[str, Any]] = []
    for part, figures in zip(
        evaluate.equal_parts(pd, weight), evaluate.reliability(label, pd, weight), strict=True
    ):
        here = np.zeros(label.shape[0], dtype=np.bool_)
        here[part] = True
        if groups is None:
            rate = evaluate.wilson(int(label[part].sum()), part.shape[0])
        else:
            rate = groups.rate(here & (label == 1), here)
        bins.append({**figures, "interval": [rate.low, rate.high]})
    return bins
