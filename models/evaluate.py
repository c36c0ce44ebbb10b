"""Judges a model: discrimination, calibration, and the effect of chance alone.

Everywhere: `label` is (n,) int8 with 1 = bad, `risk` is (n,) float64 rising with risk (a margin or
a PD), `pd` is (n,) float64 in (0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models import calibrate, rates
from models.errors import TrainingError
from models.rates import Z95

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

ECE_BINS = 10


class Estimate(NamedTuple):
    """A figure with its 95 % interval and its number of rows."""

    value: float
    low: float
    high: float
    n: int


def auc(label: Labels, risk: Floats, weight: Floats | None = None) -> float:
    """Area under the ROC curve; ties count one half, and each row its weight."""
    bad = label == 1
    m, n = int(bad.sum()), int((~bad).sum())
    if m == 0 or n == 0:
        raise TrainingError("AUC needs both good and bad rows")
    if weight is not None:
        return WeightedAuc(label, risk).of(weight)
    ranks = stats.rankdata(risk)
    return float((ranks[bad].sum() - m * (m + 1) / 2.0) / (m * n))


class WeightedAuc:
    """The AUC of the same rows with any weights; the rows are sorted once."""

    def __init__(self, label: Labels, risk: Floats) -> None:
        self._place = np.unique(risk, return_inverse=True)[1]
        self._places = int(self._place.max()) + 1
        self._bad: Floats = (label == 1).astype(np.float64)

    def of(self, weight: Floats) -> float:
        """The AUC with these (n,) weights; NaN without a good or a bad row."""
        bad = np.bincount(self._place, weight * self._bad, self._places)
        good = np.bincount(self._place, weight * (1.0 - self._bad), self._places)
        both = bad.sum() * good.sum()
        if not both > 0.0:
            return math.nan
        return float((bad * (np.cumsum(good) - good / 2.0)).sum() / both)


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


def ks(label: Labels, risk: Floats, weight: Floats | None = None) -> float:
    """Largest gap between the cumulated shares of bad and of good."""
    order = np.argsort(risk, kind="stable")
    ranked, y = risk[order], label[order].astype(np.float64)
    share = 1.0 if weight is None else weight[order]
    bad, good = np.cumsum(y * share), np.cumsum((1.0 - y) * share)
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True)
    return float(np.abs(bad / bad[-1] - good / good[-1])[last_of_tie].max())


def brier(label: Labels, pd: Floats, weight: Floats | None = None) -> float:
    """Mean squared error of the PD."""
    return _mean((pd - label) ** 2, weight)


def log_loss(label: Labels, log_odds: Floats, weight: Floats | None = None) -> float:
    """Mean of -ln of the probability that was given to what happened."""
    return _mean(np.logaddexp(0.0, log_odds) - label * log_odds, weight)


def ece(label: Labels, pd: Floats, weight: Floats | None = None) -> float:
    """Expected calibration error over ten bins of equal mass, by stable sort of the PD."""
    order = np.argsort(pd, kind="stable")
    share = None if weight is None else weight[order]
    starts = _bin_starts(pd.shape[0], share)
    return _ece_sorted(label[order].astype(np.float64), pd[order], starts, share)


def ece_noise_floor(pd: Floats, weight: Floats | None = None) -> float:
    """Mean ECE of a perfect model."""
    return ece_noise(pd, weight)[0]


def ece_noise(
    pd: Floats, weight: Floats | None = None, draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """Mean and 95 % point of the ECE of a perfect model: labels drawn from the PDs themselves,
    `draws` times."""
    order = np.argsort(pd, kind="stable")
    ranked, share = pd[order], None if weight is None else weight[order]
    starts = _bin_starts(ranked.shape[0], share)
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = [
        _ece_sorted(
            (generator.random(ranked.shape[0]) < ranked).astype(np.float64), ranked, starts, share
        )
        for _ in range(draws)
    ]
    return float(np.mean(drawn)), float(np.percentile(drawn, 95.0))


def equal_parts(pd: Floats, weight: Floats | None = None) -> list[NDArray[np.intp]]:
    """The rows of each of the ten bins behind `ece`, from the lowest PD to the highest."""
    order = np.argsort(pd, kind="stable")
    starts = _bin_starts(pd.shape[0], None if weight is None else weight[order])
    return np.split(order, starts[1:])


def reliability(label: Labels, pd: Floats, weight: Floats | None = None) -> list[dict[str, float]]:
    """The ten bins behind `ece`: rows, mean PD and bad rate of each."""
    bins = []
    for part in equal_parts(pd, weight):
        share = None if weight is None else weight[part]
        bins.append(
            {
                "n": part.shape[0],
                "pd": _mean(pd[part], share),
                "bad_rate": _mean(label[part], share),
            }
        )
    return bins


def calibration_line(
    label: Labels, log_odds: Floats, weight: Floats | None = None
) -> tuple[float, float] | tuple[None, None]:
    """Slope and intercept of the label's logistic regression on the predicted log-odds; None where
    these do not vary, or separate bad from good.

    A calibrated model has 1 and 0. (Cox, "Two further applications of a model for binary
    regression", 1958.)
    """
    try:
        line = calibrate.line(log_odds, label, weight)
    except TrainingError:
        return None, None
    return line.a, line.b


def calibration_in_the_large(
    label: Labels, log_odds: Floats, weight: Floats | None = None
) -> float:
    """The shift of all log-odds (nats) that makes the mean PD equal to the bad rate; 0 when
    calibrated."""
    bad_rate = _mean(label, weight)
    shift, low, high = 0.0, -math.inf, math.inf
    for _ in range(200):
        p = calibrate.sigmoid(log_odds + shift)
        gap = bad_rate - _mean(p, weight)
        low, high = (shift, high) if gap > 0.0 else (low, shift)
        # Far from the solution the curve is flat, and a whole step of Newton's would go too far.
        wanted = shift + min(max(gap / max(_mean(p * (1.0 - p), weight), 1e-9), -2.0), 2.0)
        if not low <= wanted <= high:
            wanted = (low + high) / 2.0
        step, shift = wanted - shift, wanted
        if abs(step) < 1e-12:
            break
    return shift


def wilson(hits: int, n: int) -> Estimate:
    """A rate with Wilson's 95 % interval."""
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    low, high = rates.wilson(hits, n)
    return Estimate(hits / n, low, high, n)


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


def _mean(values: NDArray[Any], weight: Floats | None) -> float:
    return float(np.mean(values) if weight is None else np.average(values, weights=weight))


def _bin_starts(n: int, weight: Floats | None) -> NDArray[np.int64]:
    """The start of each of ten bins of equal rows, or of equal weight."""
    if n < ECE_BINS:
        raise TrainingError(f"ECE needs {ECE_BINS} rows or more, got {n}")
    if weight is None:
        sizes = [part.shape[0] for part in np.array_split(np.arange(n), ECE_BINS)]
        return np.cumsum([0, *sizes[:-1]])
    below = np.cumsum(weight) - weight / 2.0
    wanted = np.arange(1, ECE_BINS) / ECE_BINS * weight.sum()
    inner = np.searchsorted(below, wanted)
    # Each bin has a row, however heavy its neighbours' rows are.
    inner = np.maximum(inner, np.arange(1, ECE_BINS))
    inner = np.maximum.accumulate(inner - np.arange(1, ECE_BINS)) + np.arange(1, ECE_BINS)
    inner = np.minimum(inner, n - ECE_BINS + np.arange(1, ECE_BINS))
    return np.concatenate(([0], inner)).astype(np.int64)


def _ece_sorted(
    label: Floats, pd: Floats, starts: NDArray[np.int64], weight: Floats | None
) -> float:
    # |sum of gaps in the bin| / n is the bin's weight times its |mean gap|.
    if weight is None:
        return float(np.abs(np.add.reduceat(pd - label, starts)).sum() / pd.shape[0])
    gaps = np.abs(np.add.reduceat((pd - label) * weight, starts))
    return float(gaps.sum() / weight.sum())
