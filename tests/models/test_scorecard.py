from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import scorecard
from models.calibrate import Platt
from models.scorecard import Scale

UNCALIBRATED = scorecard.scale(Platt(a=1.0, b=0.0))


@pytest.mark.parametrize(("odds", "score"), [(4, 600), (8, 650), (2, 550), (1, 500), (16, 700)])
def test_scale_anchors(odds: int, score: int) -> None:
    """Odds of 4 good to 1 bad score 600, and 50 points double them."""
    assert UNCALIBRATED.score(-math.log(odds)) == score
    assert scorecard.pd_at(score) == pytest.approx(1 / (1 + odds))


def test_calibration_is_part_of_the_scale() -> None:
    """The scale uses the log-odds after Platt, not the raw margin."""
    scale = scorecard.scale(Platt(a=0.5, b=-1.0))
    assert scale.score((1.0 - math.log(8)) / 0.5) == 650


def test_scores_are_clipped() -> None:
    """Every margin, however large, gives a score from 350 to 950."""
    assert UNCALIBRATED.score(1e300) == 350
    assert UNCALIBRATED.score(-1e300) == 950


def test_halves_round_to_even() -> None:
    """A score half way between two whole numbers is rounded to the even one."""
    scale = Scale(a=-1.0, b=0.0)
    assert [scale.score(-v) for v in (600.5, 601.5, 602.5)] == [600, 602, 602]


@pytest.mark.parametrize(
    ("score", "band"),
    [(950, "A"), (700, "A"), (699, "B"), (650, "B"), (649, "C"), (600, "C"), (599, "D"),
     (550, "D"), (549, "E"), (350, "E")],
)  # fmt: skip
def test_lower_bounds_of_bands_are_inclusive(score: int, band: str) -> None:
    """A begins at 700, B at 650, C at 600, D at 550; a lower score is E."""
    assert scorecard.band(score) == band


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_a_higher_margin_never_scores_higher(one: float, other: float) -> None:
    """The score never rises with the margin."""
    low, high = sorted((one, other))
    assert UNCALIBRATED.score(low) >= UNCALIBRATED.score(high)
