"""Intervals for tables with groups or weights: a bootstrap over groups, seeded.

Rows of one group are not independent, and weighted rows do not count alike, so the formulas for
independent rows give intervals that are too narrow. (Efron and Tibshirani, "An introduction to the
bootstrap", 1993.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from models.evaluate import Estimate

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]

DRAWS = 1000
METHOD = f"bootstrap over groups, {DRAWS} draws, 95 %"
_SEED = 0
_LOW, _HIGH = 2.5, 97.5


class Groups:
    """The groups of (n,) rows and their weights. Without groups each row is one; without weights
    each counts 1."""

    def __init__(self, rows: int, group: Indices | None, weight: Floats | None) -> None:
        self.weight: Floats = np.ones(rows) if weight is None else weight
        self._number = np.arange(rows)
        if group is not None:
            self._number = np.unique(group, return_inverse=True)[1]
        self._count = int(self._number.max()) + 1 if rows else 0

    def _draws(self) -> Iterator[Floats]:
        """How often each group is in each of the samples."""
        generator = np.random.Generator(np.random.PCG64(_SEED))
        for _ in range(DRAWS):
            chosen = generator.integers(0, self._count, self._count)
            yield np.bincount(chosen, minlength=self._count).astype(np.float64)

    def interval(self, figure: Callable[[Floats], float]) -> tuple[float, float]:
        """The 95 % interval of a figure of the rows' weights."""
        found = [figure(times[self._number] * self.weight) for times in self._draws()]
        low, high = np.nanpercentile(found, (_LOW, _HIGH))
        return float(low), float(high)

    def rate(self, hits: Bools, among: Bools) -> Estimate:
        """The weighted share of `hits` among rows, both (n,), with its interval."""
        columns = np.column_stack((hits, among)).astype(np.float64)
        hit, all_ = (columns * self.weight[:, None]).sum(axis=0)
        n = int(among.sum())
        if not all_ > 0.0:
            return Estimate(math.nan, 0.0, 1.0, n)
        drawn = self.sums(columns)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = bounds(drawn[:, 0] / drawn[:, 1])
        return Estimate(float(hit / all_), *(found or (0.0, 1.0)), n)

    def compared(
        self, hits: Bools, among: Bools, others: Bools, among_others: Bools, by: np.ufunc
    ) -> Estimate | None:
        """One rate divided by another, or minus another, with its interval; None where it is
        undefined."""
        columns = np.column_stack((hits, among, others, among_others)).astype(np.float64)
        drawn = np.vstack(((columns * self.weight[:, None]).sum(axis=0), self.sums(columns)))
        with np.errstate(invalid="ignore", divide="ignore"):
            figures = by(drawn[:, 0] / drawn[:, 1], drawn[:, 2] / drawn[:, 3])
        found = bounds(figures[1:])
        if found is None or not np.isfinite(figures[0]):
            return None
        return Estimate(float(figures[0]), *found, int(among.sum()))

    def sums(self, columns: Floats) -> Floats:
        """(draws, k) weighted sums of (n, k) columns in each sample."""
        totals = np.zeros((self._count, columns.shape[1]))
        np.add.at(totals, self._number, columns * self.weight[:, None])
        return np.array([times @ totals for times in self._draws()])


def bounds(figures: Floats) -> tuple[float, float] | None:
    """The 95 % interval of (draws,) figures; None where a tenth of the samples has none."""
    if np.isfinite(figures).mean() < 0.9:
        return None
    low, high = np.nanpercentile(figures, (_LOW, _HIGH))
    return float(low), float(high)
