"""Trainings on tables whose columns say little, and on people whose base rate has moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.errors import TrainingError
from tests.models.small_tables import A, B, Table, trained


def drawn(log_odds: np.ndarray, seed: int) -> np.ndarray:
    """Labels with these log-odds of bad."""
    chance = np.random.default_rng((seed, 1)).random(log_odds.shape[0])
    return np.asarray(chance < 1.0 / (1.0 + np.exp(-log_odds))).astype(np.int8)


def noise(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two columns of 600 rows that know nothing of any label."""
    generator = np.random.default_rng((seed, 0))
    return np.round(generator.normal(size=600), 2), generator.integers(0, 3, 600).astype(float)


def test_a_base_rate_that_moved_far_is_a_warning(tmp_path: Path) -> None:
    """People out of time of whom ten times as many are bad give a model with a warning."""
    a, b = noise(0)
    late = np.arange(600) >= 400
    it = Table(a, b, drawn(np.where(late, 0.5, -3.2) + 0.8 * a, 0))
    found = trained(tmp_path, it, [A, B], late=late).metrics
    assert found["drift"]["light"] == "red"
    assert found["drift"]["level"]["shift"] == pytest.approx(3.7, abs=0.8)
    beginning = "the rows out of time: the mean PD is "
    assert any(warning.startswith(beginning) for warning in found["warnings"])


def test_a_rival_that_ranks_in_reverse_has_figures(tmp_path: Path) -> None:
    """A model of a weak column is trained and calibrated, even where a rival on the same folds
    ranks people in reverse."""
    a, b = noise(1)
    it = Table(a, b, drawn(-1.5 + 0.25 * a, 1))
    found = trained(tmp_path, it, [A, B], kind="scorecard").metrics
    assert found["plain"]["auc"]["mean"] < 0.5 < found["scorecard"]["auc"]["mean"]
    assert found["plain"]["calibration_slope"]["worst"] < 0.0
    assert "chance alone may explain it" in found["warnings"][0]


def test_a_model_that_ranks_nothing_is_refused(tmp_path: Path) -> None:
    """A training whose served model would rank nothing says so, and what to bring."""
    a, b = noise(1)
    with pytest.raises(TrainingError, match="ranks nothing: bring more rows, or columns that tell"):
        trained(tmp_path, Table(a, b, drawn(np.full(600, -1.0), 1)), [A, B])
