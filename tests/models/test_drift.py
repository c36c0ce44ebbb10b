"""The test of people who lie apart from the validation."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models import calibrate, drift, evaluate
from models.bootstrap import Groups

Floats = NDArray[np.float64]


def drawn(rows: int, shift: float, slope: float, seed: int = 0) -> tuple[NDArray[np.int8], Floats]:
    """Labels whose true log-odds are shift + slope * the predicted ones."""
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(-1.3, 1.0, rows)
    true = calibrate.sigmoid(shift + slope * log_odds)
    return (generator.random(rows) < true).astype(np.int8), log_odds


def find(
    label: NDArray[np.int8],
    log_odds: Floats,
    group: NDArray[np.int64] | None,
    validated: float,
    weight: Floats | None = None,
) -> dict[str, Any]:
    area = evaluate.auc_delong(label, log_odds)
    if group is not None or weight is not None:
        areas = evaluate.WeightedAuc(label, log_odds)
        groups = Groups(label.shape[0], group, weight)
        area = evaluate.Estimate(areas.of(groups.weight), *groups.interval(areas.of), area.n)
    return drift.find(drift.Rows(label, log_odds, group, weight), area, validated)


@pytest.mark.parametrize(
    ("shift", "slope", "light", "words"),
    [
        (0.0, 1.0, "green", "hold"),
        (0.15, 1.0, "amber", "base rate"),
        (-0.5, 1.0, "red", "base rate"),
        (-0.4, 0.7, "amber", "calibration again"),
        (0.0, 0.4, "red", "order"),
    ],
)
def test_a_drift_is_found_and_named(shift: float, slope: float, light: str, words: str) -> None:
    """A moved level asks for a shift, another slope for a calibration, and a worse order for a new
    training; without any of them the light is green."""
    label, log_odds = drawn(40_000, shift, slope)
    validated = evaluate.auc(label, log_odds) if slope > 0.5 else 0.75
    found = find(label, log_odds, None, validated)
    assert found["light"] == light
    assert words in found["verdict"]
    assert found["level"]["shift"] == pytest.approx(shift + (slope - 1) * -1.3, abs=0.25)
    assert found["shape"]["slope"] == pytest.approx(slope, abs=0.05)
    warnings = drift.warning(found, "the rows out of time")
    assert bool(warnings) == (light != "green")
    assert all(w.startswith("the rows out of time: the mean PD is ") for w in warnings)


def test_a_perfect_model_is_rarely_accused() -> None:
    """Of 300 hold-outs of a perfect model, about one in 240 for each of the tests is accused."""
    accused = 0
    for seed in range(300):
        label, log_odds = drawn(3_000, 0.0, 1.0, seed)
        accused += find(label, log_odds, None, 0.72)["light"] != "green"
    assert accused <= 6


def test_rows_of_one_group_count_as_one_witness() -> None:
    """Each row five times is no more evidence than once, if a group says so."""
    label, log_odds = drawn(400, 0.3, 1.0)
    group = np.repeat(np.arange(400), 5)
    once = find(label, log_odds, None, 0.7)
    often = find(label.repeat(5), log_odds.repeat(5), group, 0.7)
    assert often["level"]["z"] == pytest.approx(once["level"]["z"])
    assert often["shape"]["error"] == pytest.approx(once["shape"]["error"])
    alone = find(label.repeat(5), log_odds.repeat(5), None, 0.7)
    assert alone["level"]["z"] == pytest.approx(once["level"]["z"] * 5**0.5)


def test_a_weight_of_two_counts_as_two_rows_of_one_person() -> None:
    """A row with the weight 2 gives the figures of the row twice in one group, in each part of the
    test."""
    label, log_odds = drawn(3_000, 0.2, 0.9)
    twice = np.arange(3_000) % 3 == 0
    weighted = find(label, log_odds, None, 0.75, np.where(twice, 2.0, 1.0))
    rows = np.repeat(np.arange(3_000), np.where(twice, 2, 1))
    repeated = find(label[rows], log_odds[rows], rows, 0.75)
    for part, name in (("level", "shift"), ("level", "z"), ("shape", "slope"), ("shape", "error")):
        assert weighted[part][name] == pytest.approx(repeated[part][name], rel=1e-6)
    for name in ("mean_pd", "bad_rate"):
        assert weighted[name] == pytest.approx(repeated[name])
    assert weighted["rank"]["auc"] == pytest.approx(repeated["rank"]["auc"])
    assert weighted["rank"]["error"] == pytest.approx(repeated["rank"]["error"], rel=0.2)
    plain = find(label, log_odds, None, 0.75)
    assert plain["level"]["shift"] != pytest.approx(weighted["level"]["shift"], rel=1e-3)


def test_a_base_rate_that_moved_far_is_red() -> None:
    """A bad rate of ten times the mean PD is a red level, and no fault of the test."""
    label, log_odds = drawn(3_000, 3.2, 1.0)
    found = find(label, log_odds - 2.4, None, 0.7)
    assert (found["light"], found["level"]["moved"]) == ("red", True)
    assert found["level"]["shift"] == pytest.approx(5.6, abs=0.3)


def test_a_reversed_order_has_a_slope_and_a_perfect_one_has_none() -> None:
    """People who are ranked in reverse have a slope below 0; where bad and good lie fully apart
    there is no slope, and the figures are still those of a document."""
    label, log_odds = drawn(3_000, 0.0, -1.0)
    found = find(label, log_odds, None, 0.75)
    assert found["shape"]["slope"] == pytest.approx(-1.0, abs=0.15)
    assert found["shape"]["moved"]
    apart = find(label, np.where(label == 1, 1.0, -1.0), None, 0.75)
    assert apart["shape"] == {"slope": None, "error": None, "moved": False}
    moved = find(label, np.where(label == 1, 9.0, 7.0), None, 0.75)
    json.dumps(moved, allow_nan=False)
    assert "no slope" in drift.warning(moved, "the hold-out")[0]


def test_few_rows_say_nothing() -> None:
    """With fewer than 30 bad or good rows there is no test, and no warning."""
    label = (np.arange(200) < 29).astype(np.int8)
    found = find(label, np.linspace(1, -1, 200), None, 0.9)
    assert (found["light"], drift.warning(found, "x")) == ("too few", [])
