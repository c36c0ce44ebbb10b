from __future__ import annotations

import numpy as np
import pytest

from models import calibrate, evaluate
from models.bootstrap import Groups

N = 400
CHANCE = np.random.default_rng(5)
MARGIN = np.round(CHANCE.normal(size=N), 1)
LABEL = (CHANCE.random(N) < calibrate.sigmoid(MARGIN - 1.0)).astype(np.int8)
TIMES = CHANCE.integers(1, 4, N)
WEIGHT = TIMES.astype(np.float64)
REPEATED = np.repeat(np.arange(N), TIMES)


def test_a_weight_counts_as_that_many_rows() -> None:
    """A figure of weighted rows is that of a table in which each row stands as often as it
    weighs."""
    pd = calibrate.sigmoid(MARGIN)
    more, margin = LABEL[REPEATED], MARGIN[REPEATED]
    for figure, values in (
        (evaluate.auc, MARGIN), (evaluate.ks, MARGIN), (evaluate.brier, pd),
        (evaluate.log_loss, MARGIN), (evaluate.calibration_in_the_large, MARGIN),
    ):  # fmt: skip
        weighted = figure(LABEL, values, WEIGHT)
        assert weighted == pytest.approx(figure(more, values[REPEATED]), abs=1e-9)
    line = evaluate.calibration_line(LABEL, MARGIN, WEIGHT)
    assert line == pytest.approx(evaluate.calibration_line(more, margin), abs=1e-9)
    assert sum(b["n"] for b in evaluate.reliability(LABEL, pd, WEIGHT)) == N


def test_equal_weights_change_nothing() -> None:
    """Rows of equal weight have the figures of rows without weights."""
    pd, ones = calibrate.sigmoid(MARGIN), np.full(N, 3.0)
    assert evaluate.auc(LABEL, MARGIN, ones) == pytest.approx(evaluate.auc(LABEL, MARGIN))
    assert evaluate.ece(LABEL, pd, ones) == pytest.approx(evaluate.ece(LABEL, pd))
    assert calibrate.fit(MARGIN, LABEL, ones) == pytest.approx(calibrate.fit(MARGIN, LABEL))


def test_the_interval_of_independent_rows_is_delongs() -> None:
    """Without groups the bootstrap's interval of the AUC is about DeLong's."""
    delong = evaluate.auc_delong(LABEL, MARGIN)
    low, high = Groups(N, None, None).interval(evaluate.WeightedAuc(LABEL, MARGIN).of)
    assert high - low == pytest.approx(delong.high - delong.low, rel=0.15)


def test_repeated_rows_of_one_group_add_no_certainty() -> None:
    """Five copies of each row, in one group each, have the interval of the rows alone."""
    five = np.repeat(np.arange(N), 5)
    alone = Groups(N, None, None).interval(evaluate.WeightedAuc(LABEL, MARGIN).of)
    copies = evaluate.WeightedAuc(LABEL[five], MARGIN[five])
    grouped = Groups(5 * N, five, None).interval(copies.of)
    assert grouped == pytest.approx(alone)
    naive = Groups(5 * N, None, None).interval(copies.of)
    assert naive[1] - naive[0] < 0.6 * (alone[1] - alone[0])


def test_rates_are_weighted() -> None:
    """A rate, a ratio and a gap of weighted rows are those of the weights, with an interval."""
    hits, among = LABEL == 1, MARGIN > 0.0
    groups = Groups(N, None, WEIGHT)
    rate = groups.rate(hits & among, among)
    assert rate.value == pytest.approx(WEIGHT[hits & among].sum() / WEIGHT[among].sum())
    assert rate.low < rate.value < rate.high
    assert rate.n == int(among.sum())
    other = WEIGHT[hits & ~among].sum() / WEIGHT[~among].sum()
    ratio = groups.compared(hits & among, among, hits & ~among, ~among, np.divide)
    gap = groups.compared(hits & among, among, hits & ~among, ~among, np.subtract)
    assert ratio is not None
    assert gap is not None
    assert ratio.value == pytest.approx(rate.value / other)
    assert gap.value == pytest.approx(rate.value - other)
    assert gap.low < gap.value < gap.high
    none = np.zeros(N, dtype=np.bool_)
    assert np.isnan(groups.rate(none, none).value)
    assert groups.compared(hits, among, none, none, np.divide) is None
