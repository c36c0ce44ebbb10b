"""Judges a model: discrimination, calibration, and the effect of chance alone.

Everywhere: `label` is (n,) int8 with 1 = bad, `risk` is (n,) float64 rising with risk (a margin or
a PD), `pd` is (n,) float64 in (0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models import calibrate
from models.errors import TrainingError

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

ECE_BINS = 10
Z95 = 1.959963984540054


class Estimate(NamedTuple):
    """A figure with its 95 % interval and its number of rows."""

    value: float
    low: float
    high: float
    n: int


def auc(label: Labels, risk: Floats) -> float:
    """Area under the ROC curve; ties count one half."""
    bad = label == 1
    m, n = int(bad.sum()), int((~bad).sum())
    if m == 0 or n == 0:
        raise TrainingError("AUC needs both good and bad rows")
    ranks = stats.rankdata(risk)
    return float((ranks[bad].sum() - m * (m + 1) / 2.0) / (m * n))


def auc_delong(label: Labels, risk: Floats) -> Estimate:
    """AUC with DeLong's interval (DeLong, DeLong and Clarke-Pearson, 1988; by mid-ranks)."""
    bad = label == 1
    m, n = int(bad.sum()), int((~bad).sum())
    value = auc(label, risk)
    ranks = stats.rankdata(risk)
    beaten_by_bad = (ranks[bad] - stats.rankdata(risk[bad])) / n
    beaten_by_good = (ranks[~bad] - stats.rankdata(risk[~bad])) / m
    variance = float(beaten_by_bad.var(ddof=1)) / m + float(beaten_by_good.var(ddof=1)) / n
    half = Z95 * math.sqrt(variance)
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), m + n)


def ks(label: Labels, risk: Floats) -> float:
    """Largest gap between the cumulated shares of bad and of good."""
    order = np.argsort(risk, kind="stable")
    ranked, y = risk[order], label[order].astype(np.float64)
    bad, good = np.cumsum(y), np.cumsum(1.0 - y)
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True)
    return float(np.abs(bad / bad[-1] - good / good[-1])[last_of_tie].max())


def brier(label: Labels, pd: Floats) -> float:
    """Mean squared error of the PD."""
    return float(np.mean((pd - label) ** 2))


def log_loss(label: Labels, log_odds: Floats) -> float:
    """Mean of -ln of the probability that was given to what happened."""
    return float(np.mean(np.logaddexp(0.0, log_odds) - label * log_odds))


def ece(label: Labels, pd: Floats) -> float:
    """Expected calibration error over ten bins of equal mass, by stable sort of the PD."""
    order = np.argsort(pd, kind="stable")
    return _ece_sorted(label[order].astype(np.float64), pd[order], _bin_starts(pd.shape[0]))


def ece_noise_floor(pd: Floats, draws: int = 200, seed: int = 0) -> float:
    """Mean ECE of a perfect model: labels drawn from the PDs themselves, `draws` times."""
    ranked = np.sort(pd, kind="stable")
    starts = _bin_starts(ranked.shape[0])
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = [
        _ece_sorted((generator.random(ranked.shape[0]) < ranked).astype(np.float64), ranked, starts)
        for _ in range(draws)
    ]
    return float(np.mean(drawn))


def reliability(label: Labels, pd: Floats) -> list[dict[str, float]]:
    """The ten bins behind `ece`: rows, mean PD and bad rate of each."""
    order = np.argsort(pd, kind="stable")
    return [
        {"n": part.shape[0], "pd": float(pd[part].mean()), "bad_rate": float(label[part].mean())}
        for part in np.array_split(order, ECE_BINS)
    ]


def calibration_line(label: Labels, log_odds: Floats) -> tuple[float, float]:
    """Slope and intercept of the label's logistic regression on the predicted log-odds.

    A calibrated model has 1 and 0. (Cox, "Two further applications of a model for binary
    regression", 1958.)
    """
    line = calibrate.fit(log_odds, label)
    return line.a, line.b


def calibration_in_the_large(label: Labels, log_odds: Floats) -> float:
    """The shift of all log-odds (nats) that makes the mean PD equal to the bad rate; 0 when
    calibrated."""
    bad_rate = float(label.mean())
    shift = 0.0
    for _ in range(50):
        p = calibrate.sigmoid(log_odds + shift)
        step = (bad_rate - float(p.mean())) / float((p * (1.0 - p)).mean())
        shift += step
        if abs(step) < 1e-12:
            break
    return shift


def wilson(hits: int, n: int) -> Estimate:
    """A rate with Wilson's 95 % interval."""
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    z2 = Z95 * Z95
    p = hits / n
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Estimate(p, max(0.0, centre - half), min(1.0, centre + half), n)


def rate_ratio(hits: int, n: int, reference_hits: int, reference_n: int) -> Estimate | None:
    """Ratio of two rates with Katz's 95 % interval; None when a count of zero makes it
    undefined."""
    if 0 in (hits, reference_hits):
        return None
    ratio = (hits / n) / (reference_hits / reference_n)
    half = Z95 * math.sqrt(1 / hits - 1 / n + 1 / reference_hits - 1 / reference_n)
    return Estimate(ratio, ratio * math.exp(-half), ratio * math.exp(half), n)


def rate_difference(hits: int, n: int, other_hits: int, other_n: int) -> Estimate | None:
    """First rate minus the other, with Newcombe's 95 % interval (1998, method 10)."""
    if 0 in (n, other_n):
        return None
    a, b = wilson(hits, n), wilson(other_hits, other_n)
    gap = a.value - b.value
    down = math.hypot(a.value - a.low, b.high - b.value)
    up = math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(gap, gap - down, gap + up, other_n)


def paired_gain(gains: Sequence[float], test_to_train: float) -> Estimate:
    """Mean paired gain over repeated folds with the Nadeau-Bengio corrected 95 % t interval.

    Folds share training rows, so the plain t interval is too narrow: the variance of the mean
    takes (1/J + n_test/n_train) instead of 1/J. (Nadeau and Bengio, "Inference for the
    generalization error", 2003.)
    """
    values = np.asarray(gains, dtype=np.float64)
    count = values.shape[0]
    if count < 2:
        raise TrainingError("an interval of the gain needs two folds or more")
    mean = float(values.mean())
    spread = math.sqrt((1.0 / count + test_to_train) * float(values.var(ddof=1)))
    half = float(stats.t.ppf(0.975, count - 1)) * spread
    return Estimate(mean, mean - half, mean + half, count)


def _bin_starts(n: int) -> NDArray[np.int64]:
    if n < ECE_BINS:
        raise TrainingError(f"ECE needs {ECE_BINS} rows or more, got {n}")
    sizes = [part.shape[0] for part in np.array_split(np.arange(n), ECE_BINS)]
    return np.cumsum([0, *sizes[:-1]])


def _ece_sorted(label: Floats, pd: Floats, starts: NDArray[np.int64]) -> float:
    # |sum of gaps in the bin| / n is the bin's weight times its |mean gap|.
    return float(np.abs(np.add.reduceat(pd - label, starts)).sum() / pd.shape[0])
