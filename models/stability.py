"""Drift: how far the people of today lie from those of a model's training.

The population stability index of bins with N people now and M in the reference is

    sum of (a - r) ln(a / r),  a = (n + 0.5) / (N + 0.5 B),  r likewise of the reference,

over B bins. Without a change it is about (1/N + 1/M) times chi-squared with B - 1 degrees of
freedom, so a light needs an index beyond a quantile of that too. The quantile is of one of the k
columns that are looked at together; the score is looked at alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from models.monitored import OTHERS, Column, Columns, score_places
from models.spec_columns import Feature
from models.spec_monitoring import Monitoring

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

FEWEST_EXPECTED = 5
"""An ordinary bin with fewer expected people is merged with its neighbour."""
TOO_FEW, GREEN, AMBER, RED = "too few", "green", "amber", "red"
LIGHTS = (TOO_FEW, GREEN, AMBER, RED)


class Bin(NamedTuple):
    """A bin with its people in the reference and now."""

    name: str
    reference: int
    now: int


class Drift(NamedTuple):
    """The drift of the score or of a column: its light, its index with the critical value, and the
    bins that were compared. `review` is the review that the light calls for, or empty."""

    name: str
    light: str
    psi: float
    critical: float
    bins: tuple[Bin, ...]
    review: str

    @property
    def most_moved(self) -> Bin:
        """The bin whose share changed most."""
        before, now = (max(sum(of), 1) for of in zip(*(b[1:] for b in self.bins), strict=True))
        return max(self.bins, key=lambda b: abs(b.now / now - b.reference / before))


def index(now: Counts, reference: Counts) -> float:
    """The population stability index of (B,) counts."""
    a, r = ((n + 0.5) / (n.sum() + 0.5 * n.shape[0]) for n in (now, reference))
    return float(np.sum((a - r) * np.log(a / r)))


def critical(now: int, reference: int, bins: int, significance: float, looks: int = 1) -> float:
    """The index that chance exceeds in a share `significance` of looks at `looks` columns, with so
    many people now and in the reference."""
    if bins < 2 or not now or not reference:
        return 0.0
    quantile = float(special.chdtri(bins - 1, significance / looks))
    return (1.0 / now + 1.0 / reference) * quantile


class Watch:
    """Counts people against a model's reference, a portion at a time."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._counts = [np.zeros(c.size, dtype=np.int64) for c in columns.columns]
        self._scores = columns.score
        self._score_counts = np.zeros(0 if self._scores is None else self._scores.size, np.int64)
        self.people = 0

    def add(self, raw: Floats, unsent: NDArray[np.bool_], score: Floats) -> None:
        """Adds people: (n, k_raw) values, those that were not sent, and (n,) scores, NaN without
        one."""
        self.people += raw.shape[0]
        placed = self._columns.places(raw, unsent)
        for column, counts, places in zip(self._columns.columns, self._counts, placed, strict=True):
            counts += column.count(places)
        if self._scores is not None:
            self._score_counts += self._scores.count(score_places(self._scores, score))

    def drift(self, rules: Monitoring) -> list[Drift]:
        """The drift of the score, if the model has a reference of it, and then of the columns, the
        worst first."""
        found = []
        if self._scores is not None:
            found.append(_drift(self._scores, self._score_counts, None, rules, 1))
        pairs = zip(self._columns.columns, self._counts, strict=True)
        features, looks = self._columns.features, len(self._counts)
        columns = [
            _drift(column, counts, features.get(column.name), rules, looks)
            for column, counts in pairs
        ]
        columns.sort(key=lambda it: (LIGHTS.index(it.light), it.psi), reverse=True)
        return found + columns


def _drift(
    column: Column, now: Counts, feature: Feature | None, rules: Monitoring, looks: int
) -> Drift:
    bins = _merged(column, now, feature)
    counts, reference = (np.array([b[i] for b in bins], dtype=np.int64) for i in (2, 1))
    people = int(now.sum())
    psi = index(counts, reference) if bins else 0.0
    least = critical(people, sum(column.counts), len(bins), rules.significance, looks)
    light = TOO_FEW
    if people >= rules.fewest_people:
        light = RED if psi >= max(rules.red, least) else GREEN
        if light == GREEN and psi >= max(rules.amber, least):
            light = AMBER
    review = {RED: rules.red_review, AMBER: rules.amber_review}.get(light, "")
    return Drift(column.name, light, psi, least, tuple(bins), review)


def _merged(column: Column, now: Counts, feature: Feature | None) -> list[Bin]:
    """The bins with names. Ordinary ones with few expected people are merged: a level with the rare
    ones, any other with its neighbour. A bin that is empty in both is left out."""
    reference, counts = np.array(column.counts), now.tolist()
    expected = reference * (now.sum() / max(reference.sum(), 1))
    pairs = list(zip(column.counts, counts, strict=True))
    others = pairs[column.ordinary :]
    if column.levels is None:
        bins = _neighbours(column, expected, pairs, feature)
    else:
        kept = [i for i in range(column.ordinary) if expected[i] >= FEWEST_EXPECTED]
        bins = [Bin(_text(column.levels[i], feature), *pairs[i]) for i in kept]
        few = [pairs[i] for i in range(column.ordinary) if i not in kept]
        rare = column.rare - column.ordinary
        before, after = (sum(of) for of in zip(others[rare], *few, strict=True))
        others[rare] = before, after
    names = (*OTHERS, *(f"special {_text(v, feature)}" for v in column.special))
    bins += [Bin(name, *pair) for name, pair in zip(names, others, strict=True)]
    return [b for b in bins if b.reference or b.now]


def _neighbours(
    column: Column, expected: Floats, counts: Sequence[Sequence[int]], feature: Feature | None
) -> list[Bin]:
    """The ordinary bins from the lowest on, each with enough expected people; the last may take
    further ones."""
    groups: list[list[int]] = [[]]
    for place in range(column.ordinary):
        if groups[-1] and expected[groups[-1]].sum() >= FEWEST_EXPECTED:
            groups.append([])
        groups[-1].append(place)
    if len(groups) > 1 and expected[groups[-1]].sum() < FEWEST_EXPECTED:
        last = groups.pop()
        groups[-1] += last
    texts = [_text(v, feature) for v in column.edges]
    bins = []
    for group in groups:
        low = texts[group[0] - 1] if group[0] else ""
        high = texts[group[-1]] if group[-1] < len(texts) else ""
        parts = [f"above {low}" if low else "", f"to {high}" if high else ""]
        name = " ".join(part for part in parts if part) or "any value"
        bins.append(Bin(name, *(sum(counts[place][i] for place in group) for i in (0, 1))))
    return bins


def _text(value: float, feature: Feature | None) -> str:
    """A value for a reader: a text's own, a date's day, or the number."""
    if feature is not None and feature.type == "text" and 0 <= value < len(feature.levels):
        return feature.levels[int(value)]
    if feature is not None and feature.type == "date":
        return str(np.datetime64(int(value), "D"))
    return f"{value:.10g}"
