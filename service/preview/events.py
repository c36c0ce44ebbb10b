"""The events of rentals among the decisions of a history: holds that begin late, and ends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from service.preview.history import NEVER, Happened, History, Numbers


class Events(NamedTuple):
    """The events of rows, in their order: twice the place of a row for a hold that begins after the
    row was asked for, and one more for an end. The first `before` ones, for each row, come before
    it."""

    codes: list[int]
    before: list[int]


def events_of(history: History, rows: Numbers) -> Events:
    """The events of these rows, which are in the order of time.

    A hold counts from its instant on, and up to its end. Other rows hold nothing that ends.
    """
    at_us, held_us, close_us = (
        it[rows] for it in (history.at_us, history.held_us, history.close_us)
    )
    holds = (history.happened[rows] & (Happened.HELD | Happened.MAYBE_HELD)) != 0
    holds |= history.captured_credit[rows] != 0
    late = np.flatnonzero(holds & (held_us > at_us))
    ended = np.flatnonzero(holds & (close_us != NEVER))
    place = np.r_[late, ended]
    times_us = np.r_[held_us[late], close_us[ended] + 1]
    # A row's own events come after it, whatever their time.
    row = np.maximum(np.searchsorted(at_us, times_us, side="left"), place + 1)
    codes = 2 * place + np.r_[np.zeros(len(late), np.int64), np.ones(len(ended), np.int64)]
    order = np.lexsort((times_us, row))
    before = np.searchsorted(row[order], np.arange(len(rows)), side="right")
    return Events(codes[order].tolist(), before.tolist())
