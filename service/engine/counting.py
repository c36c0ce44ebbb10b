"""Counts of what happened, as plain integers: adding costs well under a microsecond.

Each counter has one thread that adds. Other threads only read, so nothing is locked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""The upper bounds of the buckets for times, in seconds."""


class Distribution(NamedTuple):
    """The number of values up to each bound, the number of all values, and their sum."""

    up_to: tuple[tuple[float, int], ...]
    values: int
    total: float


class Histogram:
    """Counts values by buckets; `bounds` are the inclusive upper bounds, in order."""

    __slots__ = ("_counts", "_total", "bounds")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        """Counts one value; call it from one thread only."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self._total += value

    def read(self) -> Distribution:
        """The counts so far; call it from any thread. The sum may be one value behind."""
        total, counts = self._total, list(accumulate(self._counts))
        return Distribution(tuple(zip(self.bounds, counts, strict=False)), counts[-1], total)
