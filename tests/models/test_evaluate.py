from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sk_roc_curve

from models import calibrate, evaluate
from models.errors import TrainingError


def sample(n: int = 4_000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    log_odds = np.round(generator.normal(-1.3, 1.0, size=n), 1)  # rounded, so that there are ties
    label = (generator.random(n) < calibrate.sigmoid(log_odds)).astype(np.int8)
    return label, log_odds


def test_auc_and_ks_agree_with_scikit_learn() -> None:
    """AUC counts ties one half and KS is the largest gap of the ROC curve."""
    label, risk = sample()
    assert evaluate.auc(label, risk) == pytest.approx(roc_auc_score(label, risk), abs=1e-12)
    fpr, tpr, _ = sk_roc_curve(label, risk)
    assert evaluate.ks(label, risk) == pytest.approx(np.max(tpr - fpr), abs=1e-12)


def test_ece_by_hand() -> None:
    """The ECE of twenty rows in ten bins of two is the mean of the bins' gaps."""
    pd = np.arange(1, 21) / 40  # bins (1/40, 2/40), (3/40, 4/40), ...; mean PD (4 b + 3) / 80
    label = np.zeros(20, dtype=np.int8)
    label[-4:] = 1  # the last two bins are all bad
    gaps = [(4 * b + 3) / 80 for b in range(8)] + [1 - (4 * b + 3) / 80 for b in (8, 9)]
    order = np.random.default_rng(0).permutation(20)
    assert evaluate.ece(label[order], pd[order]) == pytest.approx(sum(gaps) / 10)


def test_ece_of_ties_follows_the_order_of_rows() -> None:
    """Equal PDs keep their order, so the bins are the same on every machine."""
    label = np.array([1] * 10 + [0] * 10, dtype=np.int8)
    assert evaluate.ece(label, np.full(20, 0.5)) == pytest.approx(0.5)


def test_noise_floor_is_a_perfect_models_ece() -> None:
    """The ECE of labels drawn from the PDs is near the floor, and falls with more rows."""
    label, log_odds = sample(20_000)
    pd = calibrate.sigmoid(log_odds)
    floor = evaluate.ece_noise_floor(pd)
    assert evaluate.ece(label, pd) == pytest.approx(floor, rel=0.6)
    assert evaluate.ece_noise_floor(pd[:5_000]) == pytest.approx(2 * floor, rel=0.15)
    assert evaluate.ece_noise_floor(pd) == floor


def test_calibration_line_of_true_log_odds_is_the_diagonal() -> None:
    """True log-odds have slope 1 and intercept 0; shifted ones show the shift."""
    label, log_odds = sample(200_000)
    slope, intercept = evaluate.calibration_line(label, log_odds)
    assert slope == pytest.approx(1.0, abs=0.03)
    assert intercept == pytest.approx(0.0, abs=0.04)
    shifted = evaluate.calibration_in_the_large(label, log_odds + 0.5)
    assert shifted == pytest.approx(-0.5, abs=0.02)


@pytest.mark.parametrize(("shift", "spread"), [(3.2, 0.8), (-6.0, 0.1), (12.0, 1.0), (0.3, 3.0)])
def test_a_base_rate_may_move_far(shift: float, spread: float) -> None:
    """The calibration in the large makes the mean PD the bad rate, however far it has moved."""
    generator = np.random.default_rng(0)
    log_odds = generator.normal(-4.0, spread, 4_000)
    label = (generator.random(4_000) < calibrate.sigmoid(log_odds + shift)).astype(np.int8)
    label[0] = 1
    found = evaluate.calibration_in_the_large(label, log_odds)
    mean = float(calibrate.sigmoid(log_odds + found).mean())
    assert mean == pytest.approx(label.mean(), rel=1e-9)


def test_a_calibration_line_is_measured_or_not_there() -> None:
    """A model that ranks in reverse has a slope below 0; one that does not vary, or that separates
    bad from good, has no line."""
    label = np.array([0, 1, 0, 1, 0, 0], dtype=np.int8)
    slope, _ = evaluate.calibration_line(label, np.array([3.0, -1.0, 1.0, 0.5, -0.5, 2.0]))
    assert slope is not None
    assert slope < 0.0
    for risk in (np.zeros(6), label.astype(np.float64)):
        assert evaluate.calibration_line(label, risk) == (None, None)


def test_delong_interval_agrees_with_the_bootstrap() -> None:
    """DeLong's interval is as wide as the bootstrap's."""
    label, risk = sample(2_000)
    estimate = evaluate.auc_delong(label, risk)
    generator = np.random.default_rng(3)
    draws = []
    for _ in range(400):
        rows = generator.integers(0, 2_000, 2_000)
        draws.append(evaluate.auc(label[rows], risk[rows]))
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * np.std(draws), rel=0.12)
    assert estimate.n == 2_000


def test_paired_gain_by_hand() -> None:
    """The interval of a paired gain is the one that Nadeau and Bengio's correction gives by hand:
    t(1, 0.975) = 12.706, variance 2, factor 1/2 + 1/4."""
    gain = evaluate.paired_gain([1.0, 3.0], 0.25)
    assert gain.value == 2.0
    assert gain.high - 2.0 == pytest.approx(12.7062 * math.sqrt(0.75 * 2.0), rel=1e-4)


def test_intervals_of_rates() -> None:
    """Wilson, Newcombe and Katz intervals equal published or hand-computed numbers."""
    rate = evaluate.wilson(81, 263)
    assert (round(rate.low, 4), round(rate.high, 4)) == (0.2553, 0.3662)
    gap = evaluate.rate_difference(56, 70, 48, 80)
    assert gap is not None
    assert (round(gap.low, 4), round(gap.high, 4)) == (0.0524, 0.3339)
    ratio = evaluate.rate_ratio(50, 100, 80, 100)
    assert ratio is not None
    assert ratio.value == pytest.approx(0.625)
    assert ratio.low < 0.625 < ratio.high
    assert evaluate.rate_ratio(0, 10, 5, 10) is None
    assert evaluate.rate_difference(0, 0, 5, 10) is None


def test_figures_need_both_classes() -> None:
    """AUC of one class alone is an error, not a number."""
    with pytest.raises(TrainingError):
        evaluate.auc(np.ones(5, dtype=np.int8), np.arange(5.0))
