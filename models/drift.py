"""Tests whether a model's probabilities hold on people who lie apart from its validation.

Level: the shift of all log-odds that makes the mean PD true. Shape: the slope of the outcome on the
predicted log-odds. Rank: the loss of AUC against the validation. Rows of one group are not
independent, so all errors are clustered by group. Each row counts by its weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models import calibrate, evaluate, rates
from models.errors import TrainingError

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

FEWEST = 30
"""The bad, and the good, rows that a test needs."""
AMBER, RED = 0.10, 0.25
SHAPE, RANK = 0.15, 0.02
# A year has twelve looks.
SIGNIFICANCE = 0.05 / 12


class Rows(NamedTuple):
    """(n,) labels with their predicted log-odds of bad, and the rows' groups and weights if there
    are any."""

    label: Labels
    log_odds: Floats
    group: NDArray[np.int64] | None = None
    weight: Floats | None = None


def find(rows: Rows, area: evaluate.Estimate, validated_auc: float) -> dict[str, Any]:
    """The findings on rows; `area` is their AUC, with the interval that fits their groups and
    weights.

    `light` is `green`, `amber`, `red`, or `too few` where a class has fewer than 30 rows; `verdict`
    says what to do.
    """
    label, log_odds, weight = rows.label, rows.log_odds, rows.weight
    bad = int(label.sum())
    if min(bad, label.shape[0] - bad) < FEWEST:
        return {"light": "too few", "n": label.shape[0], "bad": bad, "verdict": "too few rows"}
    critical = float(stats.norm.ppf(1.0 - SIGNIFICANCE / 2.0))
    own = np.arange(label.shape[0]) if rows.group is None else rows.group
    number = np.unique(own, return_inverse=True)[1]
    share = np.ones(label.shape[0]) if weight is None else weight / weight.mean()
    level = evaluate.calibration_in_the_large(label, log_odds, weight)
    z = _level_z(label, log_odds, share, number)
    slope, error = _slope(label, log_odds, share, number)
    lost = validated_auc - area.value
    spread = (area.high - area.low) / (2.0 * rates.Z95)
    moved = abs(level) >= AMBER and abs(z) > critical
    bent = (
        slope is not None
        and error is not None
        and abs(slope - 1.0) >= SHAPE
        and abs(slope - 1.0) > critical * error
    )
    mixed = lost > RANK and lost > critical * spread
    light = "green"
    if moved or bent or mixed:
        light = "red" if mixed or (moved and abs(level) >= RED) else "amber"
    return {
        "light": light,
        "n": label.shape[0],
        "bad": bad,
        "mean_pd": float(np.average(calibrate.sigmoid(log_odds), weights=share)),
        "bad_rate": float(np.average(label, weights=share)),
        "level": {"shift": level, "z": z, "moved": moved},
        "shape": {"slope": slope, "error": error, "moved": bent},
        "rank": {"auc": area.value, "lost": lost, "error": spread, "moved": mixed},
        "verdict": _verdict(moved, bent, mixed),
    }


def warning(found: Mapping[str, Any], apart: str) -> list[str]:
    """A warning about people who are unlike the validation; `apart` names them."""
    if found["light"] not in ("amber", "red"):
        return []
    slope = found["shape"]["slope"]
    said = "no slope" if slope is None else f"slope {slope:.2f}"
    return [
        (
            f"{apart}: the mean PD is {found['mean_pd']:.3f} and {found['bad_rate']:.3f} were bad "
            f"(shift {found['level']['shift']:+.2f}, {said}, "
            f"{found['rank']['lost']:+.3f} AUC lost); {found['verdict']}"
        )
    ]


def _verdict(moved: bool, bent: bool, mixed: bool) -> str:
    if mixed:
        return "the order of people is worse than in the validation: train again on newer rows"
    if bent:
        return "good and bad people lie apart by another factor: fit the calibration again"
    if moved:
        return "the base rate has moved and the order holds: shift the calibration"
    return "the probabilities hold"


def _level_z(label: Labels, log_odds: Floats, share: Floats, number: NDArray[np.intp]) -> float:
    """Sum of (y - p) over its error, with one independent sum for each group."""
    sums = np.bincount(number, weights=share * (label - calibrate.sigmoid(log_odds)))
    error = math.sqrt(float(np.dot(sums, sums)))
    return float(sums.sum()) / error if error else 0.0


def _slope(
    label: Labels, log_odds: Floats, share: Floats, number: NDArray[np.intp]
) -> tuple[float, float] | tuple[None, None]:
    """The slope of the outcome on the log-odds, and its error, robust to groups; None where the
    log-odds do not vary, or separate bad from good."""
    try:
        line = calibrate.line(log_odds, label, share)
    except TrainingError:
        return None, None
    p = calibrate.sigmoid(line.log_odds(log_odds))
    design = np.column_stack((np.ones(label.shape[0]), log_odds))
    bread = np.linalg.inv((design * (share * p * (1.0 - p))[:, None]).T @ design)
    scores = design * (share * (label - p))[:, None]
    sums = np.column_stack([np.bincount(number, weights=column) for column in scores.T])
    covariance = bread @ (sums.T @ sums) @ bread
    return line.a, math.sqrt(float(covariance[1, 1]))
