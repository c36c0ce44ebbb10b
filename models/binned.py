"""The scorecard: a logistic regression on bins, fitted to be served as a model of its own.

Every column is cut into bins of about equal mass; a missing value has a bin of its own, and so do
the rare levels of an ordered column. Weights of neighbouring bins are pulled together, so many bins
make a curve and not a saw. A column that was declared monotone gets weights that are. The bins and
the weights come from the fit's rows alone, the strength of the pull from splits inside them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse

from models import dataset, encoding, freed, step_trees
from models.errors import TrainingError
from models.spec_columns import Derived

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Codes = NDArray[np.uint8]
Indices = NDArray[np.int64]
Groups = NDArray[np.int64]

MOST_BINS = 20
FEWEST_ROWS = 20
"""The rows that a bin has at least, except those of missing values and rare levels."""
PENALTIES = (0.001, 0.005, 0.02, 0.1, 0.5)
"""C of the penalty beside the sum of the rows' losses; the smallest binds most. The penalty is 1/2C
of the sum of (w - the neighbour's w)² * bins / MOST_BINS, plus PULL times the sum of w²."""
PULL = 0.05
# The penalty is chosen on at most this many rows.
_ROWS_TO_CHOOSE = 12_000
_CHOICE_FOLDS = 4
_STEPS = 400
# Up to so many cells, one product of a sparse matrix takes less time than a step for each column.
# Both add the same numbers in the same order.
_MOST_SPARSE_CELLS = 2_000_000


class Bins(NamedTuple):
    """The bins of one column: `thresholds` cut the values; the last bin is of NaN."""

    thresholds: Floats
    missing: bool

    @property
    def size(self) -> int:
        """The number of bins, that of NaN included."""
        return int(self.thresholds.shape[0]) + 1 + self.missing


class Fitted(NamedTuple):
    """The text of a scorecard, and the penalty that was chosen for it."""

    text: str
    penalty: float


class Cut(NamedTuple):
    """The columns of a fit in bins: `codes` (k, n) are the bin of each value, `ends` the smallest
    and the largest value of each column, and `rest` the place of the rare levels of each ordered
    one. `part` are the rows that the penalty is chosen on, and `x` (m, k) their values."""

    bins: Sequence[Bins]
    codes: Codes
    ends: Sequence[tuple[float, float]]
    rest: Sequence[float | None]
    part: Indices
    x: Floats


def cut(x: Floats, rest: Sequence[float | None]) -> Cut:
    """The bins of (n, k) training rows. All that follows needs the values of few of them."""
    bins = [bins_of(values, place) for values, place in zip(x.T, rest, strict=True)]
    bits = np.random.PCG64(0).random_raw(x.shape[0])
    part = np.argsort(bits, kind="stable")[:_ROWS_TO_CHOOSE]
    return Cut(bins, _codes(x, bins), step_trees.ends(x), rest, part, x[part])


def joined(parts: Sequence[Cut]) -> Cut:
    """The columns of all parts, which are cuts of the same rows."""
    if len(parts) == 1:
        return parts[0]
    return Cut(
        [each for one in parts for each in one.bins],
        np.concatenate([one.codes for one in parts]),
        [each for one in parts for each in one.ends],
        [each for one in parts for each in one.rest],
        parts[0].part,
        np.concatenate([one.x for one in parts], axis=1),
    )


def fit(
    rows: Cut,
    label: Labels,
    columns: Sequence[Derived],
    names: Sequence[str],
    weight: Floats | None = None,
    group: Groups | None = None,
) -> Fitted:
    """The scorecard of training rows of these columns, which have these names in its text."""
    signs = [column.monotone for column in columns]
    y = label.astype(np.float64)
    w = np.ones(y.shape[0]) if weight is None else weight / weight.mean()
    penalty = _chosen(rows, label, w, signs, group)
    # What chose the penalty is freed before the whole fit takes memory of its own.
    freed.give_back(y.shape[0])
    points = _fitted(_Cells(rows.codes, rows.bins), y, w, rows.bins, signs, penalty, None)
    return Fitted(_text(names, rows, points), penalty)


def bins_of(values: Floats, rest: float | None) -> Bins:
    """The bins of a column's (n,) training values."""
    present = values[~np.isnan(values)]
    found, counts = np.unique(present, return_counts=True)
    if found.shape[0] < 2:
        return Bins(np.empty(0), present.shape[0] < values.shape[0])
    total = np.cumsum(counts)
    n = total[-1]
    if found.shape[0] <= MOST_BINS:
        ends = np.arange(found.shape[0] - 1)
    else:
        wanted = np.arange(1, MOST_BINS) * n / MOST_BINS
        ends = np.unique(np.minimum(np.searchsorted(total, wanted), found.shape[0] - 2))
    kept: list[int] = []
    for end in ends.tolist():
        below = total[end] - (total[kept[-1]] if kept else 0)
        own = rest is not None and rest in (found[end], found[end + 1])
        if own or (below >= FEWEST_ROWS and n - total[end] >= FEWEST_ROWS):
            kept.append(end)
    if rest is not None and rest in found:
        at = int(np.searchsorted(found, rest))
        kept = sorted({*kept, *(e for e in (at - 1, at) if 0 <= e < found.shape[0] - 1)})
    cuts = [step_trees.threshold(_between(float(found[e]), float(found[e + 1]))) for e in kept]
    return Bins(np.unique(cuts), present.shape[0] < values.shape[0])


def _between(low: float, high: float) -> float:
    """A threshold between two values; the lower one where there is no number between them."""
    middle = low / 2.0 + high / 2.0
    return middle if low <= middle < high else low


def _codes(x: Floats, bins: Sequence[Bins]) -> Codes:
    """(k, n): the bin of each value."""
    codes = np.empty((x.shape[1], x.shape[0]), dtype=np.uint8)
    for j, each in enumerate(bins):
        code = np.searchsorted(each.thresholds, x[:, j], side="left")
        code[np.isnan(x[:, j])] = each.size - 1
        codes[j] = code
    return codes


class _Part(NamedTuple):
    """The rows that the penalty is chosen on: their values, the places of rare levels, and their
    bins."""

    x: Floats
    rest: Sequence[float | None]
    codes: Codes
    bins: Sequence[Bins]

    def learned(self, label: Labels, rows: Indices) -> _Part:
        """The bins as these rows alone decide them.

        The places of a category's levels follow from labels, so other rows' labels would already be
        in them. The other bins do not look at labels, and stay.
        """
        ordered = [
            j
            for j, place in enumerate(self.rest)
            if place is not None and self.bins[j].thresholds.shape[0]
        ]
        if not ordered:
            return self
        x, codes = self.x.copy(), self.codes.copy()
        rest, bins = list(self.rest), list(self.bins)
        for j in ordered:
            values = self.x[:, j]
            found = np.unique(values[~np.isnan(values)])
            places = np.array(encoding.places(values[rows], label[rows], tuple(found.tolist())))
            at = np.minimum(np.searchsorted(found, values), found.shape[0] - 1)
            x[:, j] = np.where(np.isnan(values), math.nan, places[at])
            own = np.flatnonzero(found == self.rest[j])
            rest[j] = float(places[own[0]]) if own.shape[0] else None
            bins[j] = bins_of(x[rows, j], rest[j])._replace(missing=self.bins[j].missing)
        codes[ordered] = _codes(x[:, ordered], [bins[j] for j in ordered])
        return _Part(x, rest, codes, bins)


def _chosen(
    rows: Cut, label: Labels, w: Floats, signs: Sequence[int], group: Groups | None
) -> float:
    """The penalty with the least loss on rows that the fit did not see, from the strongest on.

    Rows of one group lie in one part.
    """
    # Good and bad rows are dealt apart, so that each part has both.
    place = np.argsort(label[rows.part], kind="stable")
    order = rows.part[place]
    label, w = label[order], w[order]
    fold: NDArray[np.integer] = np.arange(order.shape[0]) % _CHOICE_FOLDS
    if group is not None:
        fold = dataset.stratified_folds(label, _CHOICE_FOLDS, 0, group[order])
    part = _Part(rows.x[place], rows.rest, rows.codes[:, order], rows.bins)
    y = label.astype(np.float64)
    folds = range(_CHOICE_FOLDS if order.shape[0] < 4_000 else 1)
    parts = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in folds]
    if any(np.unique(y[train]).shape[0] < 2 for train, _ in parts):
        raise TrainingError("the scorecard needs good and bad rows in each part of its fit")
    cuts = [part.learned(label, train) for train, _ in parts]
    learned, judged = (
        [_Cells(own.codes[:, both[side]], own.bins) for own, both in zip(cuts, parts, strict=True)]
        for side in (0, 1)
    )
    starts: list[Floats | None] = [None] * len(parts)
    least, best = math.inf, PENALTIES[0]
    for penalty in PENALTIES:
        loss = 0.0
        for k, (train, test) in enumerate(parts):
            at = _fitted(
                learned[k], y[train], w[train], cuts[k].bins, signs, penalty, starts[k], 1e-6
            )
            margin = judged[k].margin(at)
            loss += float(np.dot(w[test], np.logaddexp(0.0, margin) - y[test] * margin))
            starts[k] = at
        # Beyond the best penalty, weaker ones only follow more chance, and take longer.
        if loss >= least:
            break
        least, best = loss, penalty
    return best


class _Cells:
    """The bins of (n,) rows: their margins for any weights, and sums of the rows for each bin."""

    def __init__(self, codes: Codes, bins: Sequence[Bins]) -> None:
        self._codes = codes
        self._offsets = _offsets(bins)
        self._ones: sparse.csr_array | None = None
        columns, rows = codes.shape
        if columns * rows <= _MOST_SPARSE_CELLS:
            places = np.empty((rows, columns + 1), dtype=np.int32)
            places[:, 0] = 0
            places[:, 1:] = codes.T
            places[:, 1:] += np.array(self._offsets[:-1], dtype=np.int32)
            ends = np.arange(rows + 1, dtype=np.int32) * (columns + 1)
            ones = np.ones(places.size)
            shape = (rows, self._offsets[-1])
            self._ones = sparse.csr_array((ones, places.ravel(), ends), shape=shape)
            self._turned = self._ones.T

    def margin(self, points: Floats) -> Floats:
        """(n,) the intercept and the weights of each row's bins."""
        if self._ones is not None:
            return np.asarray(self._ones @ points)
        margin = np.full(self._codes.shape[1], points[0])
        for code, a, b in zip(self._codes, self._offsets, self._offsets[1:], strict=False):
            margin += points[a:b].take(code)
        return margin

    def sums(self, values: Floats) -> Floats:
        """The sum of (n,) values over all rows, then over the rows of each bin."""
        if self._ones is not None:
            sums = np.asarray(self._turned @ values)
        else:
            sums = np.empty(self._offsets[-1])
            for code, a, b in zip(self._codes, self._offsets, self._offsets[1:], strict=False):
                sums[a:b] = np.bincount(code, weights=values, minlength=b - a)
        sums[0] = values.sum()
        return sums


def _fitted(
    cells: _Cells,
    y: Floats,
    w: Floats,
    bins: Sequence[Bins],
    signs: Sequence[int],
    penalty: float,
    start: Floats | None,
    tolerance: float = 1e-8,
) -> Floats:
    """The intercept and the weights of all bins of all columns, one after the other.

    A monotone column is fitted by its increments, which are bounded: the first bin's weight is
    free, and each further bin adds to it, or takes from it, but never both.
    """
    offsets = _offsets(bins)
    rows = [
        slice(a, b - each.missing) for a, b, each in zip(offsets, offsets[1:], bins, strict=False)
    ]
    bound = [
        (j, rows[j]) for j, sign in enumerate(signs) if sign and rows[j].stop - rows[j].start > 1
    ]

    # A weight is pulled to its neighbour's, and a little to 0; that of NaN has no neighbour. With
    # more bins a curve has smaller jumps, so each is pulled more.
    linked, own = np.zeros(offsets[-1] - 1), np.full(offsets[-1], PULL)
    own[0] = 0.0
    for start_, each in zip(offsets, bins, strict=False):
        cuts = each.thresholds.shape[0]
        linked[start_ : start_ + cuts] = cuts / MOST_BINS
        if each.missing:
            own[start_ + each.size - 1] = 1.0

    def points(theta: Floats) -> Floats:
        out = theta.copy()
        for j, place in bound:
            steps = theta[place].copy()
            steps[1:] *= signs[j]
            out[place] = np.cumsum(steps)
        return out

    def loss(theta: Floats) -> tuple[float, Floats]:
        at = points(theta)
        margin = cells.margin(at)
        p = 1.0 / (1.0 + np.exp(-np.clip(margin, -500.0, 500.0)))
        value = float(np.dot(w, np.logaddexp(0.0, margin) - y * margin))
        jumps = at[1:] - at[:-1]
        pull = jumps * linked / penalty
        value += float(np.dot(pull, jumps)) / 2.0 + float(np.dot(own * at, at)) / (2.0 * penalty)
        residual = w * (p - y)
        gradient = cells.sums(residual)
        gradient += own * at / penalty
        gradient[1:] += pull
        gradient[:-1] -= pull
        for j, place in bound:
            back = np.cumsum(gradient[place][::-1])[::-1].copy()
            back[1:] *= signs[j]
            gradient[place] = back
        return value, gradient

    limits: list[tuple[float | None, float | None]] = [(None, None)] * offsets[-1]
    for _, place in bound:
        limits[place.start + 1 : place.stop] = [(0.0, None)] * (place.stop - place.start - 1)
    theta = np.zeros(offsets[-1])
    if start is None:
        mean = float(np.dot(w, y) / w.sum())
        theta[0] = np.log(mean / (1.0 - mean))
    else:
        theta = start.copy()
        for j, place in bound:
            theta[place] = np.diff(start[place], prepend=0.0)
            theta[place.start + 1 : place.stop] *= signs[j]
            theta[place.start + 1 : place.stop] = np.maximum(
                theta[place.start + 1 : place.stop], 0.0
            )
    found = optimize.minimize(
        loss, theta, jac=True, method="L-BFGS-B", bounds=limits,
        options={"maxiter": _STEPS, "ftol": tolerance, "gtol": 1e-6 * y.shape[0], "maxcor": 20},
    )  # fmt: skip
    if not np.isfinite(found.fun):
        raise TrainingError("the scorecard's logistic regression did not converge")
    return points(np.asarray(found.x, dtype=np.float64))


def _offsets(bins: Sequence[Bins]) -> list[int]:
    """The place of each column's first weight, and the number of all; the intercept is first."""
    return list(accumulate((each.size for each in bins), initial=1))


def _text(names: Sequence[str], rows: Cut, points: Floats) -> str:
    steps = []
    starts = _offsets(rows.bins)
    for j, (code, each, start) in enumerate(zip(rows.codes, rows.bins, starts, strict=False)):
        counts = np.bincount(code, minlength=each.size).tolist()
        values = points[start : start + each.size].tolist()
        missing, lacking = (values.pop(), counts.pop()) if each.missing else (None, 0)
        if not values or (len(values) == 1 and missing is None):
            continue
        steps.append(
            step_trees.Steps(
                j, tuple(each.thresholds.tolist()), tuple(values), tuple(counts), missing, lacking
            )
        )
    if not steps:
        raise TrainingError("no column of the scorecard varies")
    return step_trees.text(names, steps, float(points[0]), rows.ends, rows.codes.shape[1])
