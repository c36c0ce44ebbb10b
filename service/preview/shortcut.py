"""Decides many stored decisions again under a draft.

A verdict depends on few values: the product, the cut-offs that the score reaches, the accepted
offers, and which offers the free part of the line covers. So each combination is judged once. Only
decisions that an earlier one may change are replayed one after the other: those of persons whose
line is used otherwise, and all from the first one on that a budget or a breaker may concern.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from service.domain.admission import Hit
from service.domain.graded_offers import cut_offs
from service.domain.money import share_minor
from service.domain.product import Product
from service.domain.rules import Rules
from service.domain.rules_document import SHARE_BP
from service.preview.condition_columns import Hits, OrdersOf, hit_column
from service.preview.conditions import Conditions, Order
from service.preview.crowds import crowded
from service.preview.history import (
    DAY_US,
    DECLINED,
    NEVER,
    UNSCORED,
    Bits,
    Fact,
    Happened,
    History,
    Numbers,
    asked_minor,
)
from service.preview.replay import (
    Replay,
    Replayed,
    Row,
    Terms,
    asked_of,
    is_counting,
    is_shared,
    line_column,
    order_of,
    rows_of,
)
from service.preview.rulebook import quiet_said
from service.preview.shared import first_concerned, without_shared
from service.preview.steps import Steps
from service.preview.sweep import Kinds, Sweep
from service.preview.verdicts import (
    Asked,
    Said,
    Verdict,
    Verdicts,
    as_stored,
    carried,
    judge,
    stored,
    unique_rows,
)

MOST_MINOR = 2**62
"""More than any line has."""


def replay_fast(history: History, terms: Terms) -> Replayed:
    """Decides every decision of a history again, as if one after the other."""
    if not is_shared(history, terms):
        return _replay_alone(history, terms)[0]
    plain, plain_terms = without_shared(history, terms)
    found, kinds = _replay_alone(plain, plain_terms)
    possible = _possible(history, found)
    first = first_concerned(history, terms, found, possible)
    if first == len(history):
        return found
    # From here on one rental may change the offer of any later one.
    counted = _counted(plain, plain_terms)
    kinds = kinds._replace(of_row=np.where(counted, NEVER, kinds.of_row))
    early = np.arange(len(history)) < first
    rows = np.flatnonzero(~early | counted | _lasting(history, found, first))
    Sweep(Replay(history, terms, found), kinds, _Known()).run(rows, early)
    return found


def _counted(history: History, terms: Terms) -> Bits:
    """The rows that share a person, a device or an account with one on which a rule may count too
    many rentals, whatever happened."""
    if not is_counting(history, terms):
        return np.zeros(len(history), dtype=np.bool_)
    every = np.ones(len(history), dtype=np.bool_)
    return _connected(history, crowded(history, terms, every) | ~_alone(history))


def _lasting(history: History, found: Replayed, first: int) -> Bits:
    """The rows whose rental may concern a line, a budget or a breaker from the `first` row on."""
    day_us = history.at_us[first] // DAY_US * DAY_US
    unsure = (history.happened & (Happened.HELD | Happened.MAYBE_HELD)) == Happened.MAYBE_HELD
    lasts = (history.close_us == NEVER) | (history.close_us >= day_us) | (history.held_us >= day_us)
    changed = (found.before != found.strict) | (found.before != found.lenient)
    lasting: Bits = unsure | lasts | changed
    lasting[[it.row for it in history.beside.losses if it.row != NEVER]] = True
    return lasting


def _replay_alone(history: History, terms: Terms) -> tuple[Replayed, Kinds]:
    """The same, if no rule binds the rentals of all people together; and the kinds of the rows."""
    verdicts = Verdicts()
    before = stored(history, verdicts)
    found = Replayed(verdicts, before, before.copy(), before.copy(), before.copy())
    if not len(history):
        return found, Kinds(before, (), (), (before, before), ((), ()))
    alone = _alone(history)
    steps = _steps_of(history, terms)
    covered = _covered(history, steps[0], history.available)
    least = _covered(history, steps[1], history.available)
    ends = least, least
    if history.most_available is not history.available:
        ends = least, _covered(history, steps[1], history.most_available)
    rows = np.flatnonzero(history.judged & alone)
    kinds = _kinds(history, terms, found, rows, covered)._replace(covered=ends, steps=steps)
    _judge_once(history, terms, found, rows, kinds)
    doubtful = _doubtful(history, found, steps[1], ends)
    doubtful |= ~alone & history.judged
    known = np.zeros(len(history), dtype=np.bool_)
    swept = kinds
    if is_counting(history, terms):
        doubtful |= crowded(history, terms, _possible(history, found))
        again = _connected(history, doubtful)
        swept = kinds._replace(of_row=np.where(_counted(history, terms), NEVER, kinds.of_row))
    else:
        again = history.judged & _has(history.users, doubtful)
        known = _before_the_first(history, doubtful)
    Sweep(Replay(history, terms, found), swept, _Known()).run(np.flatnonzero(again), known)
    return found, kinds


def _before_the_first(history: History, doubtful: Bits) -> Bits:
    """The rows before the first doubtful one of their person: their verdicts are known."""
    rows = np.arange(len(history), dtype=np.int64)
    first = np.full(int(history.users.max(initial=0)) + 1, len(history), dtype=np.int64)
    np.minimum.at(first, history.users[doubtful], rows[doubtful])
    before: Bits = rows < first[history.users]
    return before


def _has(numbers: Numbers, rows: Bits) -> Bits:
    """The rows that share a number with some of these rows; NEVER is shared with none."""
    among = np.zeros(int(numbers.max(initial=0)) + 2, dtype=np.bool_)
    among[numbers[rows]] = True
    # As an index, NEVER is the last place.
    among[NEVER] = False
    has: Bits = among[numbers]
    return has


def _connected(history: History, rows: Bits) -> Bits:
    """These rows, and all that share a person, a device or an account with one of them."""
    while True:
        wider = rows.copy()
        for numbers in (history.users, history.devices, history.accounts):
            wider |= _has(numbers, wider)
        if wider.sum() == rows.sum():
            return wider
        rows = wider


def _possible(history: History, found: Replayed) -> Bits:
    """The rows whose rental happened, or might have happened under the draft."""
    maybe = (history.happened & (Happened.HELD | Happened.MAYBE_HELD)) != 0
    possible: Bits = maybe | _is_milder(found, found.strict) | _is_milder(found, found.lenient)
    return possible


class _Known:
    """Judges as `judge` does, and each combination of values only once."""

    def __init__(self) -> None:
        self._steps: dict[int, tuple[int, ...]] = {}
        self._known: dict[tuple[object, ...], tuple[Verdict, ...]] = {}
        self._products: list[Product] = []

    def __call__(
        self,
        asked: Asked,
        wanted: Sequence[Product],
        available_minor: int,
        found: Said,
    ) -> tuple[Verdict, ...]:
        """The verdicts on the items of a request."""
        if len(wanted) > 1:
            return judge(asked, wanted, available_minor, found)
        product = wanted[0]
        steps = self._steps.get(id(product))
        if steps is None:
            # It is kept, so that no other product gets its identity.
            self._products.append(product)
            steps = self._steps[id(product)] = credit_steps(product)
        told = None if found.verdict is None else found.verdict[:4]
        left = None if found.left_minor is None else bisect_right(steps, found.left_minor)
        key = (asked, id(product), bisect_right(steps, available_minor), told, left)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = judge(asked, wanted, available_minor, found)
        return known


def _alone(history: History) -> Bits:
    """The rows that are the only item of their call."""
    alone: Bits = np.bincount(history.calls)[history.calls] == 1
    return alone


def credit_steps(product: Product) -> tuple[int, ...]:
    """The credit parts of all offers for a product, in minor units and in order."""
    policy, minor = product.policy, asked_minor(product)
    shares = {0, SHARE_BP, policy.reduced_credit_share_bp}
    rules = policy.rules or Rules()
    shares |= {it.credit_share_bp for it in rules.ladder or ()}
    shares |= {it.reduced_credit_share_bp or 0 for it in rules.cut_off or ()}
    steps = {share_minor(minor, it) for it in shares}
    if rules.new_user is not None and rules.new_user.most_waived_minor is not None:
        steps.add(min(minor, rules.new_user.most_waived_minor))
    return tuple(sorted(steps))


def _steps_of(
    history: History, terms: Terms
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """The credit parts of each product in force, and under the draft."""
    return [*map(credit_steps, history.products)], [*map(credit_steps, terms.products)]


def _covered(history: History, steps: Sequence[tuple[int, ...]], available: Numbers) -> Numbers:
    """The number of credit parts of each row's product that the line covers."""
    covered = np.zeros(len(history), dtype=np.int64)
    for number in range(max(map(len, steps))):
        step = [it[number] if number < len(it) else MOST_MINOR for it in steps]
        covered += np.array(step, dtype=np.int64)[history.product] <= available
    return covered


def _reached(history: History, terms: Terms) -> Numbers:
    """The number of cut-offs of each row's product, in force or under the draft, that its score
    reaches; -1 without a score."""
    reached = np.full(len(history), -1, dtype=np.int64)
    # Many products have the same cut-offs, above all those of orders with fees.
    lists: dict[tuple[int, ...], int] = {}
    of_product = np.array([
        lists.setdefault(tuple(sorted({*cut_offs(one), *cut_offs(other)})), len(lists))
        for one, other in zip(history.products, terms.products, strict=True)
    ])  # fmt: skip
    of_row = of_product[history.product]
    for scores, place in lists.items():
        own = (of_row == place) & (history.score != UNSCORED)
        reached[own] = np.searchsorted(np.array(scores), history.score[own], side="right")
    return reached


def _ages(history: History, terms: Terms) -> Numbers:
    """The age of the features under the draft: 0 as in force, 1 too old now, 2 fresh enough now."""
    limits = np.array(
        [it.policy.max_feature_age_us for it in terms.products] or [0], dtype=np.int64
    )
    before = np.array(
        [it.policy.max_feature_age_us for it in history.products] or [0], dtype=np.int64
    )
    old = history.at_us - history.as_of_us > limits[history.product]
    stale = (history.facts & Fact.STALE) != 0
    known = (limits <= before)[history.product]
    ages = np.where(~stale & (history.score != UNSCORED) & old, 1, 0)
    return np.where(stale & ~known & ~old, 2, ages)


def _kinds(
    history: History, terms: Terms, found: Replayed, rows: Numbers, covered: Numbers
) -> Kinds:
    """The kinds of these rows, which are alone in their calls; `covered` is that in force."""
    ages, hits = _ages(history, terms), Hits()
    applied = _hits(history, terms, found, rows, ages, hits)
    columns = (
        *(history.product, _reached(history, terms), history.facts, history.accept, found.before),
        *(covered, ages, *applied, history.happened),
    )
    # Rows before the window are never judged, and so of any kind.
    of_row = np.where(history.judged, NEVER, 0)
    of_row[rows] = unique_rows([it[rows] for it in columns])[1]
    return Kinds(of_row, applied, hits.all, (covered, covered), ((), ()))


def _judge_once(
    history: History, terms: Terms, found: Replayed, rows: Numbers, kinds: Kinds
) -> None:
    """Judges each combination of values once, with the line as it was."""
    columns = (kinds.of_row, *kinds.covered)
    firsts, places = unique_rows([it[rows] for it in columns])
    verdicts = np.zeros((4, len(firsts)), dtype=np.int64)
    for place, it in enumerate(rows_of(history, found, rows[firsts])):
        own = [kinds.hits[int(column[it.row])] for column in kinds.applied]
        verdicts[:, place] = _judged(history, terms, found, it, own)
    ends = (found.before, found.again, found.strict, found.lenient)
    for column, numbers in zip(ends, verdicts, strict=True):
        column[rows] = numbers[places]


def _hits(
    history: History, terms: Terms, found: Replayed, rows: Numbers, ages: Numbers, hits: Hits
) -> tuple[Numbers, Numbers, Numbers]:
    """The conditions that apply to these rows: in force, and at both ends under the draft."""

    def orders_under(products: Sequence[Product]) -> OrdersOf:
        def order(it: Row) -> Order:
            wanted, in_force = [products[it.product]], [history.products[it.product]]
            ends = asked_of(history, it, wanted, in_force)
            return order_of(history, it, ends, wanted, history.beside.skipped_on(it.row))

        return lambda those: [order(it) for it in rows_of(history, found, those)]

    def column(
        products: Sequence[Product], known: Conditions, ages: Numbers, *, strict: bool
    ) -> Numbers:
        orders = orders_under(products)
        return hit_column(history, products, rows, orders, hits, known, ages, strict=strict)

    none = np.zeros(len(history), dtype=np.int64)
    in_force = column(history.products, Conditions(), none, strict=False)
    strict = column(terms.products, found.conditions, ages, strict=True)
    if not found.conditions.unknown:
        # Both ends differ only where a value is not known.
        return in_force, strict, strict
    return in_force, strict, column(terms.products, found.conditions, ages, strict=False)


def _judged(
    history: History,
    terms: Terms,
    found: Replayed,
    it: Row,
    hits: Sequence[tuple[Hit, ...]],
) -> list[int]:
    """The verdicts on a row that is alone in its call, if no rule counts too many rentals. `hits`
    are the conditions that apply in force, and at both ends under the draft."""
    in_force, wanted = [history.products[it.product]], [terms.products[it.product]]
    skipped = history.beside.skipped_on(it.row)
    once = asked_of(history, it, in_force, in_force)
    order = order_of(history, it, once, in_force, skipped)
    (again,) = judge(once[0], in_force, it.available, quiet_said(order, hits[0]))
    before = as_stored(found.verdicts.all[it.before], again, in_force[0])
    verdicts = [before, again]
    ends = asked_of(history, it, wanted, in_force)
    order = order_of(history, it, ends, wanted, skipped)
    lines = (it.available, it.most_available)
    for asked, minor, applied in zip(ends, lines, hits[1:], strict=True):
        (verdict,) = judge(asked, wanted, minor, quiet_said(order, applied))
        verdicts.append(carried(before, again, verdict))
    return [found.verdicts.number(one) for one in verdicts]


def _doubtful(
    history: History,
    found: Replayed,
    steps: Sequence[tuple[int, ...]],
    covered: tuple[Numbers, Numbers],
) -> Bits:
    """The rows whose verdict an earlier change of the person's line may decide."""
    less, more = _changes(history, found)
    if not less.whole.any() and not more.whole.any():
        return np.zeros(len(history), dtype=np.bool_)
    freed, used = _standing(history, less, more)
    doubtful = np.zeros(len(history), dtype=np.bool_)
    for free, of_free in zip((history.available, history.most_available), covered, strict=True):
        low = _covered(history, steps, np.maximum(0, free - used))
        high = _covered(history, steps, free + freed)
        doubtful |= (low != of_free) | (high != of_free)
    return doubtful


class _Changes(NamedTuple):
    """The most by which each row changes its line, until its rental is closed and after that.

    `closed` is the first row that is surely later than the end of the rental.
    """

    whole: Numbers
    lasting: Numbers
    closed: Numbers


def _changes(history: History, found: Replayed) -> tuple[_Changes, _Changes]:
    """The most that each row frees of its line, and the most that it uses in addition."""
    kinds: Callable[[Numbers], Numbers] = found.verdicts.kinds
    before = kinds(found.before)
    changed = (before != kinds(found.strict)) | (before != kinds(found.lenient))
    credit = found.verdicts.column("credit_minor", found.before)
    maybe = (history.happened & (Happened.HELD | Happened.MAYBE_HELD)) != 0
    most = np.zeros(len(history), dtype=np.int64)
    for end in (found.strict, found.lenient):
        taken = maybe | _is_milder(found, end)
        most = np.maximum(most, np.where(taken, found.verdicts.column("credit_minor", end), 0))
    # As in `replay.Change`: a hold that surely began at once is only exchanged for another one.
    happened, drawn = history.happened, history.captured_credit
    held = np.where(maybe, credit, 0)
    exchanged = np.where((happened & _SURE) == _SURE, credit, 0)
    less = np.where(changed, np.maximum(held, drawn), 0)
    more = np.where(changed, np.maximum(0, most - exchanged), 0)
    grows = np.where(changed & (most > credit), np.minimum(most, drawn), 0)
    later = np.searchsorted(history.at_us, history.close_us, side="right")
    endless = (history.close_us == NEVER) | ((happened & Happened.HELD) == 0)
    closed = np.where(endless, len(history), later)
    return _Changes(less, drawn, closed), _Changes(np.maximum(more, grows), grows, closed)


def _is_milder(found: Replayed, end: Numbers) -> Bits:
    """The rows whose verdict under the draft asks for less, as `is_stricter` tells."""
    column = found.verdicts.column
    declined, declined_now = (column("rank", it) == DECLINED for it in (found.before, end))
    less = column("cash_minor", end) < column("cash_minor", found.before)
    unreviewed = (column("review", found.before) == 1) & (column("review", end) == 0)
    milder: Bits = ~declined_now & (declined | less | unreviewed)
    return milder


_SURE = Happened.HELD | Happened.AT_ONCE


def _standing(history: History, *all_changes: _Changes) -> list[Numbers]:
    """For each row, the sum of the changes by earlier rows of the same line, as they then are; a
    column for all changes of a kind.

    A change stands in full until the rental is closed, and then with its lasting part.
    """
    size = len(history)
    line = line_column(history) * (size + 1)
    # A line and the number of a row are one number. Places in their order are found much sooner.
    order = np.argsort(line + np.arange(size, dtype=np.int64))
    begins, rows = line[order], line[order] + order
    columns = []
    for changes in all_changes:
        changed = np.flatnonzero(changes.whole)
        begun = Steps(line[changed] + changed, changes.whole[changed])
        ended = Steps(
            line[changed] + changes.closed[changed],
            changes.whole[changed] - changes.lasting[changed],
        )
        column = np.zeros(size, dtype=np.int64)
        column[order] = begun.between(begins, rows, "left") - ended.between(begins, rows, "right")
        columns.append(column)
    return columns
