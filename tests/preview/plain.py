"""Decides a history again as plainly as possible, to compare the product with."""

from __future__ import annotations

import numpy as np

from service.preview.history import History
from service.preview.replay import (
    Replay,
    Replayed,
    Row,
    Terms,
    is_counting,
    is_shared,
    replay_call,
    rows_of,
)
from service.preview.shared import without_shared
from service.preview.verdicts import Verdicts, judge, stored


def replay(history: History, terms: Terms) -> Replayed:
    """Replays every decision of a history, one after the other."""
    verdicts = Verdicts()
    before = stored(history, verdicts)
    if is_shared(history, terms):
        # The parts of a stored deposit follow from the rules without budgets and breakers.
        alone = replay(*without_shared(history, terms))
        numbers = [verdicts.number(alone.verdicts.all[it]) for it in alone.before.tolist()]
        before = np.array(numbers, dtype=np.int64)
    found = Replayed(verdicts, before, before.copy(), before.copy(), before.copy())
    rows = np.arange(len(history))
    if not is_counting(history, terms):
        rows = np.flatnonzero(history.judged)
    course, calls = Replay(history, terms, found), dict[int, list[Row]]()
    numbers = history.calls[rows].tolist()
    for call, it in zip(numbers, rows_of(history, found, rows), strict=True):
        calls.setdefault(call, []).append(it)
    for items in calls.values():
        if items[0].at_us >= history.from_us:
            replay_call(course, items, judge)
        else:
            for it in items:
                course.add(it, *[verdicts.all[it.before]] * 3)
    return found
