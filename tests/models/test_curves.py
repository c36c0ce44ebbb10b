from __future__ import annotations

import numpy as np
import pytest

from models import bootstrap, calibrate, curves, evaluate

N = 3_000
GENERATOR = np.random.default_rng(4)
RISK = GENERATOR.normal(size=N).round(2)
PD = calibrate.sigmoid(RISK - 1.0)
LABEL = (GENERATOR.random(N) < PD).astype(np.int8)
SCORE = (600 - 50 * RISK).astype(np.int64)
WEIGHT = GENERATOR.integers(1, 4, N).astype(np.float64)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["rows", "weights"])
def test_a_curve_gives_ks_and_auc(weight: evaluate.Floats | None) -> None:
    """A curve of at most 200 points has the KS exactly and the AUC nearly, with and without
    weights."""
    curve = curves.rising(LABEL, RISK, SCORE, weight)
    assert len(curve) <= curves.MOST_POINTS
    assert curve[-1]["people"] == curve[-1]["bad"] == curve[-1]["good"] == 1.0
    widest = max(abs(p["bad"] - p["good"]) for p in curve)
    assert widest == pytest.approx(evaluate.ks(LABEL, RISK, weight), abs=1e-9)
    bad, good = ([0.0, *(p[name] for p in curve)] for name in ("bad", "good"))
    area = float(np.trapezoid(bad, good))
    assert area == pytest.approx(evaluate.auc(LABEL, RISK, weight), abs=1e-3)


def test_rows_of_equal_risk_are_one_point() -> None:
    """Rows of equal risk enter a curve together, in whatever order they stand."""
    risk = np.array([1.0, 1.0, 0.0])
    score = np.array([500, 500, 700])
    for label in ([1, 0, 0], [0, 1, 0]):
        curve = curves.rising(np.array(label, dtype=np.int8), risk, score)
        assert curve == [
            {"score": 500, "people": pytest.approx(2 / 3), "bad": 1.0, "good": 0.5},
            {"score": 700, "people": 1.0, "bad": 1.0, "good": 1.0},
        ]


def test_bins_have_intervals() -> None:
    """Each reliability bin has an interval about its bad rate: Wilson's, or one by samples."""
    alone = curves.reliability(LABEL, PD, None, None)
    drawn = curves.reliability(LABEL, PD, WEIGHT, bootstrap.Groups(N, None, WEIGHT))
    assert sum(b["n"] for b in alone) == sum(b["n"] for b in drawn) == N
    for one in (*alone, *drawn):
        low, high = one["interval"]
        assert low < one["bad_rate"] < high
    rate = evaluate.wilson(round(alone[0]["bad_rate"] * alone[0]["n"]), alone[0]["n"])
    assert alone[0]["interval"] == [rate.low, rate.high]


def test_the_95_point_of_a_perfect_model() -> None:
    """A perfect model's ECE is above its mean in some samples and above its 95 % point in few."""
    mean, high = evaluate.ece_noise(PD)
    assert evaluate.ece_noise_floor(PD) == mean < high
    drawn = [
        evaluate.ece((np.random.default_rng(s).random(N) < PD).astype(np.int8), PD)
        for s in range(200)
    ]
    assert 0.01 <= np.mean(np.array(drawn) > high) <= 0.12
