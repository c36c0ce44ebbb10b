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
from service.preview.budgets import Exposures, Hold, Used
from service.preview.events import events_of
from service.preview.history import DAY_US, NEVER, NO_NUMBERS, Bits, Numbers
from service.preview.lines import NO_MOVE, Change, Move, change_of, moves_of
from service.preview.presence import Presence, presence_of
from service.preview.replay import (
    Judge,
    Replay,
    Row,
    asked_of,
    line_column,
    order_of,
    replay_call,
    rows_of,
)
from service.preview.rulebook import BREAKER_HIT, Course, hold_of, quiet_said
from service.preview.verdicts import Asked, Said, as_stored, carried, unique_rows

MOST_STEPS = 1_024
"""More than the credit parts of a product: a policy has few offers."""


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
    rows: nothing, if it `is_quiet`. `moves` keeps those of its line, by the credit that was drawn
    and by whether the hold began late. `number` is its place among all effects."""

    verdicts: tuple[int, ...]
    change: Change | None
    real: _Held
    drafted: _Held
    present: tuple[bool, bool]
    is_quiet: bool
    moves: dict[tuple[int, bool], tuple[Move, Move, Move]]
    number: int


_Amounts = tuple[tuple[Used, int, int, int], ...]
"""Amounts that begin on a day, or that end (NEVER), as `Used.change` takes them."""
_NO_AMOUNTS: _Amounts = ()
_NOTHING = _NO_AMOUNTS, _NO_AMOUNTS
_Coming = tuple[int, Move, _Amounts]
"""An event: a line by its place, its move, and the amounts of budgets."""
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
        self.counters = [exposures.of(it) for it in products]
        self._breaks = [course.may_break(it) for it in products]
        self.breaks = any(self._breaks)
        self.any = any(it is not None for it in self.counters) or self.breaks

    def advance(self, now_us: int) -> None:
        """Takes all that begins or ends until now."""
        self._exposures.advance(now_us)

    def on(self, product: int, now_us: int) -> _Bound:
        """Those that bind a row of a product, as of the last `advance`."""
        counters, low, high = self.counters[product], -1, -1
        if counters is not None:
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
        counters = self.counters[product]
        return (None, None) if counters is None else counters.left(now_us // DAY_US)

    def hold(self, product: int, it: _Held, times_us: tuple[int, int, int]) -> None:
        """Adds a hold: asked for, begun at the latest, and ended at these times."""
        counters, (hold, is_exact) = self.counters[product], it
        if counters is not None and hold.most_minor:
            at_us, held_us, close_us = times_us
            since_us = held_us, held_us if is_exact else at_us
            self._exposures.add(counters.used, hold, since_us, close_us, at_us)

    def begin(
        self, product: int, it: _Held, times_us: tuple[int, int, int]
    ) -> tuple[_Amounts, _Amounts]:
        """Begins a hold, as `hold` does; returns the amounts that begin late, and those that
        end."""
        counters, ((least_minor, most_minor, endless), is_exact) = self.counters[product], it
        if counters is None or not most_minor:
            return _NOTHING
        used, (at_us, held_us, _) = counters.used, times_us
        day, later = held_us // DAY_US, most_minor
        if not is_exact:
            used.begin(at_us // DAY_US, 0, most_minor)
            later = 0
        begun = _NO_AMOUNTS
        if held_us > at_us:
            begun = ((used, day, least_minor, later),)
        else:
            used.begin(day, least_minor, later)
        return begun, ((used, NEVER, -least_minor, 0 if endless else -most_minor),)


class Sweep:
    """A course over a history in which rows with a kind are decided by it."""

    def __init__(self, course: Replay, kinds: Kinds, judge: Judge) -> None:
        self._course, self._kinds, self._judge = course, kinds, judge
        self._decided: dict[tuple[object, ...], _Effect] = {}
        self._effects: dict[tuple[int, ...], _Effect] = {}
        self._real = _Bounds(course.real, course.history.products, kinds.steps[0])
        self._drafted = _Bounds(course.drafted, course.terms.products, kinds.steps[1])
        self._take(NO_NUMBERS)

    def _take(self, rows: Numbers) -> None:
        """Takes the values of the rows to be decided, by their places among these rows."""
        history, covered = self._course.history, self._kinds.covered
        self._rows: list[int] = rows.tolist()
        self._available: list[int] = history.available[rows].tolist()
        self._most_available: list[int] = history.most_available[rows].tolist()
        self._drawn: list[int] = history.captured_credit[rows].tolist()
        times = (history.at_us, history.held_us, history.close_us)
        self._times_us = list(zip(*(it[rows].tolist() for it in times), strict=True))
        self._products: list[int] = history.product[rows].tolist()
        self._covered = list(zip(*(it[rows].tolist() for it in covered), strict=True))

    def run(self, rows: Numbers, known: Bits) -> None:
        """Decides these rows again, in their order; the verdicts on the `known` ones stand."""
        self._take(rows)
        found = self._course.found
        run = self._run_tight if self._is_tight(rows) else self._run_each
        decided, effects = (np.array(it, dtype=np.int64) for it in run(rows, known))
        every = np.array([it.verdicts for it in self._effects.values()], dtype=np.int64)
        ends = (found.before, found.again, found.strict, found.lenient)
        for column, verdicts in zip(ends, every.reshape(-1, 4).T, strict=True):
            column[decided] = verdicts[effects]

    def _run_each(self, rows: Numbers, known: Bits) -> tuple[list[int], list[int]]:
        """The rows that were decided by their kinds, with the numbers of their effects. The calls
        without kinds are decided among them."""
        history, found = self._course.history, self._course.found
        calls = self._calls(rows)
        ends = (found.before, found.again, found.strict, found.lenient)
        columns = (self._kinds.of_row, known | ~history.judged, history.happened, *ends)
        decided, effects = list[int](), list[int]()
        lists = (it[rows].tolist() for it in columns)
        values_of = zip(self._rows, *lists, strict=True)
        for place, (row, kind, is_known, *values) in enumerate(values_of):
            if kind == NEVER:
                self._decide_call(calls.get(row, ()), is_known=is_known)
                continue
            if is_known:
                effect = self._effect(*values)
            else:
                effect = self._decide(place, kind)
                decided.append(row)
                effects.append(effect.number)
            self._happen(place, effect)
        return decided, effects

    def _is_tight(self, rows: Numbers) -> bool:
        """True if these rows have kinds, and depend on nothing but lines, budgets and breakers."""
        course, history = self._course, self._course.history
        counted = course.counting and not course.is_shared
        # A line and a budget take such an end at different instants.
        late = (history.held_us > history.close_us) & (history.close_us != NEVER)
        others = self._kinds.of_row[rows] == NEVER
        many = max(map(len, self._kinds.steps[1]), default=0) >= MOST_STEPS
        return not (counted or many or others.any() or late[rows].any())

    def _run_tight(self, rows: Numbers, known: Bits) -> tuple[list[int], list[int]]:
        """As `_run_each`, for rows of which `_is_tight` is true.

        The events of all rows have their order beforehand, and only their amounts follow from the
        decisions. So nothing is searched or sorted on the way from row to row.
        """
        course, history = self._course, self._course.history
        codes, before = events_of(history, rows)
        coming: list[_Coming | None] = [None] * (2 * len(rows))
        lines = unique_rows([line_column(history)[rows]])[1]
        # By how much each line is used more, and whether it ever was used otherwise.
        least, most, changed = [0] * len(rows), [0] * len(rows), [False] * len(rows)
        real, drafted, is_shared = self._real, self._drafted, course.is_shared
        drawn, all_times_us, steps = self._drawn, self._times_us, self._kinds.steps[1]
        free, most_free, covered = self._available, self._most_available, self._covered
        is_simple, budgets = not (real.any or drafted.breaks), drafted.counters
        effect_of, standing = self._standing(rows, (known | ~history.judged)[rows])
        quickly = dict[int, _Effect]()
        different, place, taken = False, -1, 0
        decided, effects = list[int](), list[int]()
        columns = (*(rows, lines, self._kinds.of_row[rows], effect_of, history.product[rows]),)
        lists = (*(it.tolist() for it in columns), before)
        for row, line, kind, number, product, until in zip(*lists, strict=True):
            place += 1
            while taken < until:
                event = coming[codes[taken]]
                taken += 1
                if event is not None:
                    of_line, move, amounts = event
                    least[of_line] += move[0]
                    most[of_line] += move[1]
                    for used, day, least_minor, most_minor in amounts:
                        used.change(day, least_minor, most_minor)
            if number != NEVER:
                effect = standing[number]
            else:
                was = different if is_shared else changed[line]
                less, more = least[line], most[line]
                of_product, (low, high) = steps[product], covered[place]
                if less or more:
                    low = bisect_right(of_product, free[place] - more)
                    high = bisect_right(of_product, most_free[place] - less)
                counters, within, most_within = budgets[product], 0, 0
                if counters is not None:
                    left, most_left = counters.left(all_times_us[place][0] // DAY_US)
                    within = bisect_right(of_product, left)
                    most_within = bisect_right(of_product, most_left)
                # One number for all that the effect follows from is found sooner than a tuple.
                key = ((2 * kind + was) * MOST_STEPS + low) * MOST_STEPS + high
                key = (key * MOST_STEPS + within) * MOST_STEPS + most_within
                found_before = quickly.get(key) if is_simple else None
                if found_before is None:
                    found_before = self._found(place, kind, product, less, more, same=not was)
                    quickly[key] = found_before
                effect = found_before
                decided.append(row)
                effects.append(effect.number)
            if effect.is_quiet:
                continue
            times_us, held, closed = all_times_us[place], NO_MOVE, NO_MOVE
            if effect.change is not None:
                changed[line] = different = True
                end = drawn[place], times_us[1] > times_us[0]
                moves = effect.moves.get(end)
                if moves is None:
                    moves = effect.moves[end] = moves_of(effect.change, end[0], late=end[1])
                asked, held, closed = moves
                least[line] += asked[0]
                most[line] += asked[1]
            begun = ended = _NO_AMOUNTS
            if drafted.any:
                begun, ended = drafted.begin(product, effect.drafted, times_us)
                if drafted.breaks:
                    course.note(row, effect.present)
            if real.any:
                one, other = real.begin(product, effect.real, times_us)
                begun, ended = begun + one, ended + other
            if begun or held is not NO_MOVE:
                coming[2 * place] = line, held, begun
            coming[2 * place + 1] = line, closed, ended
        return decided, effects

    def _standing(self, rows: Numbers, known: Bits) -> tuple[Numbers, list[_Effect]]:
        """The effects of the `known` ones of these rows, and the place of each row's among them;
        NEVER for a row that is to be decided."""
        found, places = self._course.found, np.full(len(rows), NEVER)
        ends = (found.before, found.again, found.strict, found.lenient)
        columns = [it[rows[known]] for it in (self._course.history.happened, *ends)]
        firsts, places[known] = unique_rows(columns)
        every = zip(*(it[firsts].tolist() for it in columns), strict=True)
        return places, [self._effect(*it) for it in every]

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

    def _decide(self, place: int, kind: int) -> _Effect:
        """Decides a row by its kind, and by the state of all that it depends on."""
        course, row, now_us = self._course, self._rows[place], self._times_us[place][0]
        line = course.lines.get(course.line_of[row])
        least_minor, most_minor = (0, 0) if line is None else line.at(now_us)
        self._real.advance(now_us)
        self._drafted.advance(now_us)
        was = course.different if course.is_shared else line is not None or course.is_touched(row)
        product = self._products[place]
        return self._found(place, kind, product, least_minor, most_minor, same=not was)

    def _found(
        self, place: int, kind: int, product: int, least_minor: int, most_minor: int, *, same: bool
    ) -> _Effect:
        """The effect of a row by its kind, if its line is used more by these amounts at the least
        and at the most, and if all that it depends on is the `same` under the draft."""
        now_us, covered = self._times_us[place][0], self._covered[place]
        free = self._available[place], self._most_available[place]
        if least_minor or most_minor:
            steps = self._kinds.steps[1][product]
            free = free[0] - most_minor, free[1] - least_minor
            covered = bisect_right(steps, free[0]), bisect_right(steps, free[1])
        real = self._real.on(product, now_us) if self._real.any else _UNBOUND
        drafted = self._drafted.on(product, now_us) if self._drafted.any else _UNBOUND
        as_it_was = same and self._course.same[product]
        key = kind, covered, real, drafted, as_it_was
        known = self._decided.get(key)
        if known is None:
            known = self._judged(self._rows[place], free, real, drafted, as_it_was=as_it_was)
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
                not (real.maybe or drafted.maybe or before.same_as != strict.same_as)
                and before.same_as == lenient.same_as,
                {},
                len(self._effects),
            )
            self._effects[happened, *numbers] = known
        return known

    def _happen(self, place: int, it: _Effect) -> None:
        """Lets a row change what later rows depend on."""
        course, row, times_us = self._course, self._rows[place], self._times_us[place]
        if it.change is not None:
            course.line(row).add(it.change, times_us, self._drawn[place])
            course.touch(row)
        if self._real.any:
            self._real.hold(self._products[place], it.real, times_us)
        if self._drafted.any:
            self._drafted.hold(self._products[place], it.drafted, times_us)
            course.note(row, it.present)


_TIMES_US = (0, 1, 2)
"""Instants by which presences are told apart: asked for, begun at the latest, and ended."""


def _held(it: Presence, credit: tuple[int, int]) -> _Held:
    """The hold of a presence at `_TIMES_US`."""
    return hold_of(it, credit), it.maybe_us == it.sure_us
