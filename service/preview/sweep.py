"""Decides rows again one after the other, and each combination of values only once.

The state goes on from row to row: lines, budgets, breakers, and the rentals that rules count. The
verdict on a row with a kind follows from its kind, from the offers that the line and the budgets
cover at both ends, and from the breakers. All other rows are decided by `replay_call`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from service.domain.admission import Hit
from service.domain.product import Product
from service.preview.budgets import Exposures, Hold
from service.preview.history import DAY_US, NEVER, Bits, Numbers
from service.preview.lines import Change, change_of
from service.preview.presence import Presence, presence_of
from service.preview.replay import Judge, Replay, Row, asked_of, order_of, replay_call, rows_of
from service.preview.rulebook import BREAKER_HIT, Course, hold_of, quiet_said
from service.preview.verdicts import Asked, Said, as_stored, carried


class Kinds(NamedTuple):
    """The rows of a history by all values that do not depend on other rows.

    `of_row` has the number of each row's kind; NEVER if no kind describes it. `applied` are the
    conditions that apply to it in force, and at both ends under the draft, as numbers of `hits`.
    `covered` are the numbers of credit parts that the line covers as it was, at both ends under
    the draft. `steps` are the credit parts of each product in force, and under the draft.
    """

    of_row: Numbers
    applied: Sequence[Numbers]
    hits: Sequence[tuple[Hit, ...]]
    covered: tuple[Numbers, Numbers]
    steps: tuple[Sequence[tuple[int, ...]], Sequence[tuple[int, ...]]]


class _Effect(NamedTuple):
    """The verdicts on a row (before, again, and at both ends), and what they change for later
    rows."""

    verdicts: tuple[int, ...]
    change: Change | None
    real: _Held
    drafted: _Held
    present: tuple[bool, bool]


_Held = tuple[Hold, bool]
"""A hold, and whether it is exact: it began at its latest instant."""
_Bound = tuple[int, int, bool, bool]
"""The budgets and breakers that bind a row, with the most and with the least exposure and losses:
the credit parts that budgets cover (-1 without a budget), and open breakers."""
_UNBOUND: _Bound = (-1, -1, False, False)


class _Bounds:
    """The budgets and the breakers of a course, by the place of a product."""

    def __init__(
        self, course: Course, products: Sequence[Product], steps: Sequence[tuple[int, ...]]
    ) -> None:
        self._course, self._products, self._steps = course, products, steps
        exposures = Exposures() if course.exposures is None else course.exposures
        self._exposures = exposures
        self._counters = [exposures.of(it) for it in products]
        self._breaks = [course.may_break(it) for it in products]
        self.any = any(it is not None for it in self._counters) or any(self._breaks)

    def on(self, product: int, now_us: int) -> _Bound:
        """Those that bind a row of a product."""
        counters, low, high = self._counters[product], -1, -1
        if counters is not None:
            self._exposures.advance(now_us)
            left, most_left = counters.left(now_us // DAY_US)
            steps = self._steps[product]
            low, high = bisect_right(steps, left), bisect_right(steps, most_left)
        if not self._breaks[product]:
            return low, high, False, False
        those = (self._products[product],)
        strict = self._course.is_broken(those, now_us, most=True)
        return low, high, strict, self._course.is_broken(those, now_us, most=False)

    def left_minor(self, product: int, now_us: int) -> tuple[int, int] | tuple[None, None]:
        """The amounts that budgets leave with the most and with the least exposure."""
        counters = self._counters[product]
        return (None, None) if counters is None else counters.left(now_us // DAY_US)

    def hold(self, product: int, it: _Held, times_us: tuple[int, int, int]) -> None:
        """Adds a hold: asked for, begun at the latest, and ended at these times."""
        counters, (hold, is_exact) = self._counters[product], it
        if counters is not None and hold.most_minor:
            at_us, held_us, close_us = times_us
            since_us = held_us, held_us if is_exact else at_us
            self._exposures.add(counters.used, hold, since_us, close_us, at_us)


class Sweep:
    """A course over a history in which rows with a kind are decided by it."""

    def __init__(self, course: Replay, kinds: Kinds, judge: Judge) -> None:
        self._course, self._kinds, self._judge = course, kinds, judge
        self._decided: dict[tuple[object, ...], _Effect] = {}
        self._effects: dict[tuple[int, ...], _Effect] = {}
        history = course.history
        self._real = _Bounds(course.real, history.products, kinds.steps[0])
        self._drafted = _Bounds(course.drafted, course.terms.products, kinds.steps[1])
        self._available: list[int] = history.available.tolist()
        self._most_available: list[int] = history.most_available.tolist()
        self._drawn: list[int] = history.captured_credit.tolist()
        times = (history.at_us, history.held_us, history.close_us)
        self._times_us = list(zip(*(it.tolist() for it in times), strict=True))
        self._products: list[int] = history.product.tolist()
        self._covered = list(zip(*(it.tolist() for it in kinds.covered), strict=True))

    def run(self, rows: Numbers, known: Bits) -> None:
        """Decides these rows again, in their order; the verdicts on the `known` ones stand."""
        history, found = self._course.history, self._course.found
        calls = self._calls(rows)
        ends = (found.before, found.again, found.strict, found.lenient)
        columns = (self._kinds.of_row, known | ~history.judged, history.happened, *ends)
        decided, effects = list[int](), list[_Effect]()
        lists = (it[rows].tolist() for it in columns)
        for row, kind, is_known, *values in zip(rows.tolist(), *lists, strict=True):
            if kind == NEVER:
                self._decide_call(calls.get(row, ()), is_known=is_known)
                continue
            if is_known:
                effect = self._effect(*values)
            else:
                effect = self._decide(row, kind)
                decided.append(row)
                effects.append(effect)
            self._happen(row, effect)
        numbers = np.array([it.verdicts for it in effects], dtype=np.int64).reshape(-1, 4)
        for column, verdicts in zip(ends, numbers.T, strict=True):
            column[decided] = verdicts

    def _calls(self, rows: Numbers) -> dict[int, list[Row]]:
        """The calls without kinds, by the row of their first item."""
        history, calls = self._course.history, dict[int, list[Row]]()
        others = rows[self._kinds.of_row[rows] == NEVER]
        numbers = history.calls[others].tolist()
        for call, it in zip(numbers, rows_of(history, self._course.found, others), strict=True):
            calls.setdefault(call, []).append(it)
        return {items[0].row: items for items in calls.values()}

    def _decide_call(self, items: Sequence[Row], *, is_known: bool) -> None:
        """Decides a call at the row of its first item."""
        course, found = self._course, self._course.found
        if items and not is_known:
            replay_call(course, items, self._judge)
            return
        every = found.verdicts.all
        for it in items:
            ends = every[found.strict[it.row]], every[found.lenient[it.row]]
            course.add(it, every[it.before], *ends)

    def _decide(self, row: int, kind: int) -> _Effect:
        """Decides a row by its kind, and by the state of all that it depends on."""
        course, now_us, product = self._course, self._times_us[row][0], self._products[row]
        line, covered = course.lines.get(course.line_of[row]), self._covered[row]
        free = self._available[row], self._most_available[row]
        if line is not None:
            least_minor, most_minor = line.at(now_us)
            if least_minor or most_minor:
                steps = self._kinds.steps[1][product]
                free = free[0] - most_minor, free[1] - least_minor
                covered = bisect_right(steps, free[0]), bisect_right(steps, free[1])
        real = self._real.on(product, now_us) if self._real.any else _UNBOUND
        drafted = self._drafted.on(product, now_us) if self._drafted.any else _UNBOUND
        as_it_was = course.same[product] and not (
            course.different if course.is_shared else line is not None or course.is_touched(row)
        )
        key = kind, covered, real, drafted, as_it_was
        known = self._decided.get(key)
        if known is None:
            known = self._judged(row, free, real, drafted, as_it_was=as_it_was)
            self._decided[key] = known
        return known

    def _judged(
        self, row: int, free: tuple[int, int], real: _Bound, drafted: _Bound, *, as_it_was: bool
    ) -> _Effect:
        """Decides a row as `replay_call` does."""
        course, history, found = self._course, self._course.history, self._course.found
        every, (it,) = found.verdicts, rows_of(history, found, np.array([row]))
        in_force, wanted = [history.products[it.product]], [course.terms.products[it.product]]
        hits = [self._kinds.hits[int(column[row])] for column in self._kinds.applied]

        def said(
            asked: tuple[Asked, Asked], products: list[Product], end: int, left: int | None,
            *, broken: bool,
        ) -> Said:  # fmt: skip
            order = order_of(history, it, asked, products, history.beside.skipped_on(row))
            applied = hits[end] + ((BREAKER_HIT,) if broken else ())
            return quiet_said(order, applied, left)

        once = asked_of(history, it, in_force, in_force)
        _, left = self._real.left_minor(it.product, it.at_us)
        told = said(once, in_force, 0, left, broken=real[2])
        (again,) = self._judge(once[0], in_force, it.available, told)
        before = as_stored(every.all[it.before], again, in_force[0])
        asked = asked_of(history, it, wanted, in_force)
        lefts = self._drafted.left_minor(it.product, it.at_us)
        ends = [before, before]
        for end, broken in enumerate(drafted[2:]) if not as_it_was else ():
            told = said(asked, wanted, end + 1, lefts[end], broken=bool(broken))
            (verdict,) = self._judge(asked[end], wanted, max(0, free[end]), told)
            ends[end] = carried(before, again, verdict)
        numbers = [every.number(one) for one in (before, again, *ends)]
        return self._effect(it.happened, *numbers)

    def _effect(self, happened: int, *numbers: int) -> _Effect:
        """The effect of verdicts, by number: before, again, and at both ends."""
        known = self._effects.get((happened, *numbers))
        if known is None:
            every = self._course.found.verdicts.all
            before, _, strict, lenient = [every[it] for it in numbers]
            real = presence_of(_TIMES_US, happened, before, (before,))
            drafted = presence_of(_TIMES_US, happened, before, (strict, lenient))
            ends = strict.credit_minor, lenient.credit_minor
            known = _Effect(
                numbers,
                change_of(happened, before, strict, lenient),
                _held(real, (before.credit_minor,) * 2),
                _held(drafted, (min(ends), max(ends))),
                (drafted.sure, drafted.maybe),
            )
            self._effects[happened, *numbers] = known
        return known

    def _happen(self, row: int, it: _Effect) -> None:
        """Lets a row change what later rows depend on."""
        course, times_us = self._course, self._times_us[row]
        if it.change is not None:
            course.line(row).add(it.change, times_us, self._drawn[row])
            course.touch(row)
        if self._real.any:
            self._real.hold(self._products[row], it.real, times_us)
        if self._drafted.any:
            self._drafted.hold(self._products[row], it.drafted, times_us)
            course.note(row, it.present)


_TIMES_US = (0, 1, 2)
"""Instants by which presences are told apart: asked for, begun at the latest, and ended."""


def _held(it: Presence, credit: tuple[int, int]) -> _Held:
    """The hold of a presence at `_TIMES_US`."""
    return hold_of(it, credit), it.maybe_us == it.sure_us
