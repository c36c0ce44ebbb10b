from __future__ import annotations

import numpy as np
import pytest

from models import calibrate
from models.errors import TrainingError


def test_platt_recovers_the_line_that_made_the_labels() -> None:
    """From labels drawn with log-odds 0.7 m - 1.3, Platt finds 0.7 and -1.3."""
    generator = np.random.default_rng(1)
    margin = generator.normal(size=400_000)
    label = (generator.random(400_000) < calibrate.sigmoid(0.7 * margin - 1.3)).astype(np.int8)
    a, b = calibrate.fit(margin, label)
    assert a == pytest.approx(0.7, abs=0.02)
    assert b == pytest.approx(-1.3, abs=0.02)


def test_platt_solves_its_likelihood_equations() -> None:
    """At the fit, the mean PD is the bad rate, and the residuals have no slope."""
    generator = np.random.default_rng(2)
    margin = generator.normal(3.0, 5.0, size=2_000)
    label = (generator.random(2_000) < 0.5 + 0.1 * np.tanh(margin)).astype(np.int8)
    residual = calibrate.fit(margin, label).probability(margin) - label
    assert abs(residual.sum()) < 1e-8
    assert abs((residual * margin).sum()) < 1e-7


@pytest.mark.parametrize(
    ("margin", "label", "match"),
    [
        ([1.0, 1.0, 1.0], [0, 1, 0], "do not vary"),
        ([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1], "separate"),
        ([1.0, 2.0, 3.0, 4.0], [1, 1, 0, 1], "ranks nothing"),
    ],
)
def test_margins_that_cannot_be_calibrated_are_refused(
    margin: list[float], label: list[int], match: str
) -> None:
    """Constant, separating and wrongly ordered margins have no Platt calibration."""
    with pytest.raises(TrainingError, match=match):
        calibrate.fit(np.array(margin), np.array(label, dtype=np.int8))


def test_sigmoid_has_no_overflow() -> None:
    """Margins far out give 0 and 1 without a warning, one by one as in arrays."""
    far = np.array([-1e4, 0.0, 1e4])
    assert calibrate.sigmoid(far).tolist() == [0.0, 0.5, 1.0]
    assert [calibrate.sigmoid_one(v) for v in far.tolist()] == [0.0, 0.5, 1.0]


def test_any_margins_can_be_compared() -> None:
    """For a comparison, margins that rank in reverse, or do not vary, get the mean rate, and
    margins that separate the classes a steep slope, so they have the least loss."""
    label = np.array([0, 0, 1, 0, 1, 0], dtype=np.int8)
    for margin in (np.ones(6), np.array([1.0, 2.0, -3.0, 4.0, -5.0, 6.0])):
        found = calibrate.fit_or_flat(margin, label)
        assert found.probability(margin) == pytest.approx(np.full(6, 1 / 3))
    apart = np.array([1.0, 2.0, 8.0, 4.0, 9.0, 3.0])
    assert calibrate.fit_or_flat(apart, label).a > 0.0
    assert calibrate.losses(apart, label).max() < 1e-3
    varied = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 0.0])
    assert calibrate.fit_or_flat(varied, label) == calibrate.fit(varied, label)


def test_a_reversed_line_has_a_slope_below_0() -> None:
    """The line of margins that rank in reverse is that of the turned margins, turned."""
    generator = np.random.default_rng(3)
    margin = generator.normal(size=1_000)
    label = (generator.random(1_000) < calibrate.sigmoid(margin)).astype(np.int8)
    reverse = calibrate.line(-margin, label)
    assert (-reverse.a, reverse.b) == pytest.approx(calibrate.fit(margin, label))
    with pytest.raises(TrainingError, match="separate"):
        calibrate.line(np.array([1.0, 2.0, 3.0]), np.array([1, 0, 0], dtype=np.int8))
