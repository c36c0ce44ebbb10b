"""Rates and cut-offs."""

from __future__ import annotations

import numpy as np
import pytest

from models.rates import Rate
from service.demo.cutoffs import curve


def test_wilson() -> None:
    """The interval of a rate is Wilson's."""
    low, high = Rate(10, 100).interval or (0.0, 0.0)
    assert low == pytest.approx(0.0552, abs=1e-4)
    assert high == pytest.approx(0.1744, abs=1e-4)


def test_wilson_at_the_ends() -> None:
    """The interval stays within 0 and 1."""
    assert (Rate(0, 20).interval or (1.0, 1.0))[0] == 0.0
    assert (Rate(20, 20).interval or (0.0, 0.0))[1] == 1.0


def test_empty_group() -> None:
    """An empty group has no rate."""
    assert Rate(0, 0).as_json() == {"hits": 0, "n": 0, "value": None, "interval": None}


def test_cutoffs() -> None:
    """People are approved from the cut-off on; those without a score are not counted."""
    score = np.array([0, 0, 500, 599, 600, 700, 720])
    label = np.array([1, 0, 1, 0, 1, 0, 0], dtype=np.int8)
    row = curve(score, label, (600,))[0]
    assert (row.approved.hits, row.approved.n) == (3, 5)
    assert (row.bad_approved.hits, row.bad_approved.n) == (1, 3)
    assert (row.bad_refused.hits, row.bad_refused.n) == (1, 2)
    assert (row.good_refused.hits, row.good_refused.n) == (1, 3)


def test_higher_cutoffs_approve_fewer() -> None:
    """A higher cut-off never approves more."""
    score = np.arange(400, 800)
    label = np.zeros(400, dtype=np.int8)
    approved = [row.approved.hits for row in curve(score, label)]
    assert approved == sorted(approved, reverse=True)
