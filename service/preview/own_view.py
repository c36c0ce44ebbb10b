"""A history with no more about credit lines than its operator knows.

An operator learns of a line only whether it sufficed. So the free part is what the stored answer
tells: the credit that was granted was free, and what was refused for the line (LINE_EXHAUSTED) was
not. With drafts of any deposit an operator could otherwise find out how much of a line other
operators use.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from service.domain.policy import Reason
from service.preview.conditions import Conditions
from service.preview.history import History, Numbers, asked_minor
from service.preview.replay import Replayed, asked_of, order_of, rows_of
from service.preview.rulebook import quiet_said
from service.preview.shortcut import credit_steps
from service.preview.verdicts import Verdicts, judge, stored, unique_rows

MOST_MINOR = 10**15
"""More than any line has."""


def own_view(history: History) -> History:
    """The history, in which the free parts of lines are what the operator knows of them."""
    if not len(history):
        return history
    numbers = stored(history, verdicts := Verdicts())
    found = Replayed(verdicts, numbers, numbers, numbers, numbers)
    columns = (history.product, history.score, history.facts, history.accept, history.reasons)
    firsts, places = unique_rows([*columns, history.offers])
    bounds = np.array([_known(history, found, row) for row in firsts.tolist()], dtype=np.int64)
    least, most = bounds[places, 0], bounds[places, 1]
    # The items of one call share a line, which covered or did not cover all of them together.
    count = int(history.calls.max()) + 1
    several = np.bincount(history.calls, minlength=count)[history.calls] > 1
    together = _of_calls(history, found)
    return replace(
        history,
        available=np.where(several, together[0], least),
        most_available=np.where(several, together[1], most),
        without_total=0,
    )


def _known(history: History, found: Replayed, row: int) -> tuple[int, int]:
    """The least and the most free part with which the stored answer of one item is given."""
    (it,) = rows_of(history, found, np.array([row]))
    product, before = history.products[it.product], found.verdicts.all[it.before]
    ends = asked_of(history, it, [product], [product])
    order = order_of(history, it, ends, [product], history.beside.skipped_on(row))
    asked, said = ends[0], quiet_said(order, Conditions().hits(order, None, strict=False))
    steps = (*credit_steps(product), MOST_MINOR + 1)
    exhausted = str(Reason.LINE_EXHAUSTED)
    same = [
        (step, above - 1)
        for step, above in pairwise(steps)
        for (verdict,) in [judge(asked, [product], step, said)]
        if verdict[:2] == before[:2]
        and (exhausted in verdict.reasons) == (exhausted in before.reasons)
    ]
    if same:
        return same[0][0], same[-1][1]
    return before.credit_minor, _most(asked_minor(product), exhausted in before.reasons)


def _most(asked_minor: int, exhausted: bool) -> int:
    return max(0, asked_minor - 1) if exhausted else MOST_MINOR


def _of_calls(history: History, found: Replayed) -> tuple[Numbers, Numbers]:
    """The least and the most free part for all items of each row's call together."""
    credit = found.verdicts.column("credit_minor", found.before)
    deposits = np.array([asked_minor(it) for it in history.products], dtype=np.int64)
    count = int(history.calls.max()) + 1
    granted, asked = np.zeros(count, np.int64), np.zeros(count, np.int64)
    np.add.at(granted, history.calls, credit)
    np.add.at(asked, history.calls, deposits[history.product])
    told = [str(Reason.LINE_EXHAUSTED) in it for it in history.reason_lists]
    exhausted = np.array(told, dtype=np.bool_)[history.reasons]
    most = np.where(exhausted, np.maximum(0, asked[history.calls] - 1), MOST_MINOR)
    return granted[history.calls], most
