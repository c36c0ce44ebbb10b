"""The credit that rentals hold over time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from service.preview.history import NEVER, Bits, Happened, History, Numbers

POINTS = 120
"""The parts of a window for each of which a picture shows the credit held."""


class Exposure(NamedTuple):
    """The credit held in a window: its peak and its mean over time, in minor units, rounded down.

    `points` are the highest amounts in equal parts of the window.
    """

    peak_minor: int
    mean_minor: int
    points: tuple[int, ...]


class Timeline:
    """The beginnings and the ends of all holds of a window, in the order of time.

    A hold counts from the latest instant at which it may have begun.
    """

    def __init__(self, history: History) -> None:
        begin = np.maximum(history.held_us, history.from_us)
        end = np.where(history.close_us == NEVER, history.until_us, history.close_us)
        end = np.minimum(end, history.until_us)
        rows = np.flatnonzero((end > begin) & ((history.happened & Happened.HELD) != 0))
        instants = np.concatenate([begin[rows], end[rows]])
        order = np.argsort(instants, kind="stable")
        self._instants = instants[order]
        self._rows = np.concatenate([rows, rows])[order]
        self._signs = np.where(order < len(rows), 1, -1)
        self._from_us, self._until_us = history.from_us, history.until_us

    def exposure(self, rows: Bits, credit: Numbers) -> Exposure:
        """The exposure of some rows of one currency, of which each holds its credit."""
        chosen = np.flatnonzero(rows[self._rows])
        if not len(chosen):
            return Exposure(0, 0, (0,) * POINTS)
        instants = self._instants[chosen]
        levels = np.cumsum(credit[self._rows[chosen]] * self._signs[chosen])
        # Of several changes at one instant only the level after the last counts.
        last = np.r_[instants[1:] != instants[:-1], True]
        instants, levels = instants[last], levels[last]
        whole_us = self._until_us - self._from_us
        lengths = np.diff(np.r_[instants, self._until_us])
        # In two parts, because a product may need more than 64 bits.
        high, low = int((levels >> 20) @ lengths), int((levels & (2**20 - 1)) @ lengths)
        begins = self._from_us + np.arange(POINTS, dtype=np.int64) * whole_us // POINTS
        # The level at each beginning goes on from the last change, and then come those within.
        before = np.searchsorted(instants, begins, side="right") - 1
        points = np.where(before >= 0, levels[np.maximum(before, 0)], 0)
        np.maximum.at(points, np.searchsorted(begins, instants, side="right") - 1, levels)
        peak = max(0, int(levels.max()))
        return Exposure(peak, ((high << 20) + low) // whole_us, tuple(points.tolist()))
