"""The credit that rentals hold over time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from service.preview.history import NEVER, Bits, History, Numbers

POINTS = 120
"""The parts of a window for each of which a picture shows the credit held."""


class Exposure(NamedTuple):
    """The credit held in a window: its peak and its mean over time, in minor units, rounded down.

    `points` are the highest amounts in equal parts of the window.
    """

    peak_minor: int
    mean_minor: int
    points: tuple[int, ...]


def exposure(history: History, rows: Bits, credit: Numbers) -> Exposure:
    """The exposure of these rows, of which each holds its credit until it is closed.

    All rows must have one currency. A hold counts from the latest instant at which it may have
    begun.
    """
    begin = np.maximum(history.held_us[rows], history.from_us)
    end = np.where(history.close_us[rows] == NEVER, history.until_us, history.close_us[rows])
    end = np.minimum(end, history.until_us)
    held = credit[rows]
    lasting = end > begin
    begin, end, held = begin[lasting], end[lasting], held[lasting]
    if not len(held):
        return Exposure(0, 0, (0,) * POINTS)
    instants = np.concatenate([begin, end])
    changes = np.concatenate([held, -held])
    order = np.argsort(instants, kind="stable")
    instants, levels = instants[order], np.cumsum(changes[order])
    # Of several changes at one instant only the level after the last counts.
    last = np.r_[instants[1:] != instants[:-1], True]
    instants, levels = instants[last], levels[last]
    whole_us = history.until_us - history.from_us
    # By Python's integers, because the sum may need more than 64 bits.
    lengths = np.diff(np.r_[instants, history.until_us])
    mean = sum(map(int.__mul__, levels.tolist(), lengths.tolist())) // whole_us
    begins = history.from_us + np.arange(POINTS, dtype=np.int64) * whole_us // POINTS
    # The level at each beginning goes on from the last change, and then come the changes within.
    before = np.searchsorted(instants, begins, side="right") - 1
    standing = np.where(before >= 0, levels[np.maximum(before, 0)], 0)
    points = standing.copy()
    np.maximum.at(points, np.searchsorted(begins, instants, side="right") - 1, levels)
    return Exposure(int(levels.max()), int(mean), tuple(points.tolist()))
