"""The rows of the validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from models import fits
from models.fits import Task
from models.samples import State
from models.spec_data import Time
from tests.models.small_tables import A, B, spec_of, table, trained


def test_no_fold_has_a_row_out_of_time() -> None:
    """With [time], the models of the folds learn from the rows before the rows out of time, and are
    judged on each of them once; without it, on all rows."""
    it = table()
    rows, late = np.arange(600), np.arange(600) >= 450
    without = spec_of([A, B])
    for the_spec, expected in ((replace(without, time=Time("t", 0)), rows[~late]), (without, rows)):
        state = State(np.c_[it.a, it.b], it.y, the_spec, rows[late], rows[~late])
        judged = []
        for k in range(the_spec.validation.folds):
            learned, tested = fits.split(state, Task("fold", 0, k))
            judged.append(tested)
            assert np.array_equal(np.sort(np.concatenate([learned, tested])), expected)
        assert np.array_equal(np.sort(np.concatenate(judged)), expected)


def test_the_figures_name_the_rows_of_the_folds(tmp_path: Path) -> None:
    """The figures count the rows of the folds, the gate's rows and the rows out of time apart."""
    protected = {
        "name": "b", "role": "protected", "type": "integer",
        "groups": [1], "group_names": ["zero", "more"],
    }  # fmt: skip
    late = np.arange(600) >= 450
    figures = trained(tmp_path, table(), [A, protected], late=late, kind="scorecard").metrics
    assert (figures["rows"], figures["folds"]["rows"], figures["holdout"]["n"]) == (600, 450, 150)
    assert figures["fairness"]["all_rows"]["n"] == 450
    assert figures["model"]["unscorable"]["by_seed"] == [0]
