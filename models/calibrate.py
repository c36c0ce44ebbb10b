"""Platt scaling: one slope and one intercept on the margin.

With two numbers the order of people stays exactly the same, and no PD is 0 or 1. Freely fitted
steps (isotonic regression) guarantee neither. Source: J. Platt, "Probabilistic outputs for support
vector machines", 1999; the fit is Newton's method as in Lin, Lin and Weng, "A note on Platt's
probabilistic outputs", 2007, without their smoothed targets, which matter only for samples of a few
dozen.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError

Floats = NDArray[np.float64]

_MAX_STEPS = 100


class Platt(NamedTuple):
    """Log-odds of bad = a * margin + b."""

    a: float
    b: float

    def log_odds(self, margin: Floats) -> Floats:
        """Calibrated log-odds of bad, the shape of `margin`."""
        return self.a * margin + self.b

    def probability(self, margin: Floats) -> Floats:
        """Calibrated PD, the shape of `margin`."""
        return sigmoid(self.log_odds(margin))


def fit(margin: Floats, label: NDArray[np.int8], weight: Floats | None = None) -> Platt:
    """Maximum-likelihood (a, b) for (n,) margins and labels (1 = bad), each row with its weight.

    The margins must come from fits that did not see the labels, else the slope is too steep. Raises
    TrainingError when the margins do not vary, separate the classes, or rank them in reverse (a <=
    0).
    """
    found = line(margin, label, weight)
    if found.a <= 0.0:
        raise TrainingError(
            "Platt: rows with a higher margin are bad no more often than others; the model ranks "
            "nothing: bring more rows, or columns that tell bad from good"
        )
    return found


def fit_or_flat(margin: Floats, label: NDArray[np.int8], weight: Floats | None = None) -> Platt:
    """The calibration of a model that is only compared: any margins have one.

    Margins that rank nothing get the mean rate, and margins that separate the classes a steep
    slope.
    """
    if margin.shape[0] and float(np.ptp(margin)) > 0.0:
        found = _newton(margin, label, weight).line
        if found.a > 0.0:
            return found
    rate = float(np.average(label, weights=weight))
    return Platt(0.0, math.log(rate / (1.0 - rate)))


def line(margin: Floats, label: NDArray[np.int8], weight: Floats | None = None) -> Platt:
    """The same as `fit` for margins of any order: the slope of margins that rank in reverse is
    below 0."""
    if margin.shape[0] == 0 or not float(np.ptp(margin)) > 0.0:
        raise TrainingError("Platt: the margins do not vary")
    found = _newton(margin, label, weight)
    if found.separates:
        raise TrainingError(
            "Platt: the margins separate good and bad rows completely, so no slope fits"
        )
    return found.line


class _Found(NamedTuple):
    """The line with the greatest likelihood; if the margins separate the classes there is none, and
    this is a steep one."""

    line: Platt
    separates: bool


def _newton(margin: Floats, label: NDArray[np.int8], weight: Floats | None) -> _Found:
    centre, spread = float(margin.mean()), float(margin.std())
    z = (margin - centre) / spread  # standardised, so that the Newton step is well conditioned
    y = label.astype(np.float64)
    # Weights of 1 multiply to the same bits as none.
    share = np.ones(y.shape[0]) if weight is None else weight / weight.mean()
    slope, intercept = 1.0, 0.0
    bad, good = z[label == 1], z[label != 1]
    both = bad.shape[0] and good.shape[0]
    separates = not both or bool(bad.min() >= good.max() or good.min() >= bad.max())
    loss = _loss(z, y, share, slope, intercept)
    for _ in range(_MAX_STEPS):
        p = sigmoid(slope * z + intercept)
        w = p * (1.0 - p) * share
        gap = (p - y) * share
        g1, g0 = float(np.dot(gap, z)), float(np.sum(gap))
        h11, h10, h00 = float(np.dot(w * z, z)), float(np.dot(w, z)), float(np.sum(w))
        det = h11 * h00 - h10 * h10
        if not det > 0.0 or abs(slope) > 1e3:
            break
        d1, d0 = (h00 * g1 - h10 * g0) / det, (h11 * g0 - h10 * g1) / det
        step = 1.0
        while (tried := _loss(z, y, share, slope - step * d1, intercept - step * d0)) > loss:
            step *= 0.5
            if step < 1e-10:
                break
        if step < 1e-10:
            break
        slope, intercept, loss = slope - step * d1, intercept - step * d0, tried
        if max(abs(step * d1), abs(step * d0)) < 1e-12:
            break
    return _Found(Platt(a=slope / spread, b=intercept - slope * centre / spread), separates)


def losses(margin: Floats, label: NDArray[np.int8], weight: Floats | None = None) -> Floats:
    """(n,) the log-loss of each row after calibration on the same rows, times its weight, where the
    mean weight is 1; that of the mean rate for a margin that ranks nothing."""
    log_odds = fit_or_flat(margin, label, weight).log_odds(margin)
    found: Floats = np.logaddexp(0.0, log_odds) - label * log_odds
    return found if weight is None else found * (weight / weight.mean())


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, e) / (1.0 + e)


def sigmoid_one(x: float) -> float:
    """`sigmoid` of one Python float; for information only, never for a score."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


def _loss(z: Floats, y: Floats, share: Floats, slope: float, intercept: float) -> float:
    x = slope * z + intercept
    return float(np.sum((np.logaddexp(0.0, x) - y * x) * share))
