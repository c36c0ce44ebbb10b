"""The result of `replay` for many decisions, in a small part of its time.

A verdict depends on few values: the product, the score, the accepted offers, and which offers the
free part of the line covers. So each combination is judged once. Only persons for whom a changed
use of the line may decide a later verdict are replayed one decision after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from service.domain.policy import ALL_OFFERS, split_deposit
from service.domain.product import Product
from service.preview.history import UNSCORED, Bits, Fact, History, Numbers
from service.preview.replay import Replayed, Terms, asked_of, replay_rows
from service.preview.verdicts import Verdicts, judge, stored


def replay_fast(history: History, terms: Terms) -> Replayed:
    """The same as `replay`."""
    verdicts = Verdicts()
    before = stored(history, verdicts)
    found = Replayed(verdicts, before, before.copy(), before.copy(), before.copy())
    if not len(history):
        return found
    alone = _alone(history)
    covered = _covered(history, history.products, history.available)
    wanted = _covered(history, terms.products, history.available)
    rows = np.flatnonzero(history.judged & alone)
    _judge_once(history, terms, found, rows, (covered, wanted))
    doubtful = _doubtful(history, terms, found, wanted)
    doubtful |= ~alone & history.judged
    persons = np.unique(history.users[doubtful])
    again = np.flatnonzero(history.judged & np.isin(history.users, persons))
    replay_rows(history, terms, found, again.tolist())
    return found


def _alone(history: History) -> Bits:
    """The rows that are the only item of their call."""
    alone: Bits = np.bincount(history.calls)[history.calls] == 1
    return alone


def credit_steps(product: Product) -> tuple[int, ...]:
    """The credit parts of all offers for a product, in minor units and in order."""
    minor = product.deposit_minor
    splits = [split_deposit(it, minor, product.policy) for it in ALL_OFFERS]
    return tuple(sorted({it.credit_minor for it in splits}))


def _covered(history: History, products: Sequence[Product], available: Numbers) -> Numbers:
    """The number of credit parts of each row's product that the line covers."""
    covered = np.zeros(len(history), dtype=np.int64)
    for place in np.unique(history.product).tolist():
        rows = np.flatnonzero(history.product == place)
        steps = np.array(credit_steps(products[place]), dtype=np.int64)
        covered[rows] = np.searchsorted(steps, available[rows], side="right")
    return covered


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


def _judge_once(
    history: History,
    terms: Terms,
    found: Replayed,
    rows: Numbers,
    covered: tuple[Numbers, Numbers],
) -> None:
    """Judges each combination of values once, with the line as it was."""
    columns = (
        *(history.product, history.score, history.facts, history.accept, found.before),
        *(*covered, _ages(history, terms)),
    )
    firsts, places = unique_rows([it[rows] for it in columns])
    verdicts = np.zeros((3, len(firsts)), dtype=np.int64)
    for place, first in enumerate(rows[firsts].tolist()):
        verdicts[:, place] = _judged(history, terms, found, first)
    for column, numbers in zip((found.again, found.strict, found.lenient), verdicts, strict=True):
        column[rows] = numbers[places]


def unique_rows(columns: Sequence[Numbers]) -> tuple[Numbers, Numbers]:
    """The first row of each combination of values, and the number of its combination for each row.

    The values are numbered first, so that a combination is one number.
    """
    whole = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        values, places = np.unique(column, return_inverse=True)
        whole = whole * len(values) + places.reshape(-1)
        # Numbered again, so that the product stays small.
        _, whole = np.unique(whole, return_inverse=True)
        whole = whole.reshape(-1)
    _, firsts, places = np.unique(whole, return_index=True, return_inverse=True)
    return firsts, places.reshape(-1)


def _judged(history: History, terms: Terms, found: Replayed, row: int) -> tuple[int, int, int]:
    """The verdicts `again`, `strict` and `lenient` on a row that is alone in its call."""
    place, available_minor = int(history.product[row]), int(history.available[row])
    in_force, wanted = [history.products[place]], [terms.products[place]]
    (again,) = judge(asked_of(history, row, in_force, in_force)[0], in_force, available_minor)
    before = found.verdicts.all[int(found.before[row])]
    numbers = [found.verdicts.number(again)]
    for asked in asked_of(history, row, wanted, in_force):
        (verdict,) = judge(asked, wanted, available_minor)
        same = verdict.same_as == again.same_as
        numbers.append(found.verdicts.number(before if same else verdict))
    return numbers[0], numbers[1], numbers[2]


def _doubtful(history: History, terms: Terms, found: Replayed, covered: Numbers) -> Bits:
    """The rows whose verdict an earlier change of the person's line may decide."""
    less, more = _most_changes(history, found)
    if not (less.any() or more.any()):
        return np.zeros(len(history), dtype=np.bool_)
    currencies = {it.currency: place for place, it in enumerate(history.products)}
    lines = np.array([currencies[it.currency] for it in history.products], dtype=np.int64)
    line = history.users * len(history.products) + lines[history.product]
    freed, used = _sums_before(line, less), _sums_before(line, more)
    low = _covered(history, terms.products, np.maximum(0, history.available - used))
    high = _covered(history, terms.products, history.available + freed)
    doubtful: Bits = (low != covered) | (high != covered)
    return doubtful


def _most_changes(history: History, found: Replayed) -> tuple[Numbers, Numbers]:
    """The most that each row's change frees of the line at any time, and the most that it uses."""
    kinds: Callable[[Numbers], Numbers] = found.verdicts.kinds
    before = kinds(found.before)
    changed = (before != kinds(found.strict)) | (before != kinds(found.lenient))
    credit = found.verdicts.column("credit_minor", found.before)
    most = np.maximum(
        found.verdicts.column("credit_minor", found.strict),
        found.verdicts.column("credit_minor", found.lenient),
    )
    nothing = np.zeros(len(history), dtype=np.int64)
    less = np.where(changed, np.maximum(credit, history.captured_credit), nothing)
    return less, np.where(changed, most, nothing)


def _sums_before(groups: Numbers, values: Numbers) -> Numbers:
    """For each row, the sum of the values of the earlier rows of its group."""
    order = np.argsort(groups, kind="stable")
    sorted_groups, sums = groups[order], np.cumsum(values[order])
    begins = np.flatnonzero(np.r_[True, sorted_groups[1:] != sorted_groups[:-1]])
    lengths = np.diff(np.r_[begins, len(order)])
    base = np.repeat(sums[begins] - values[order][begins], lengths)
    result = np.zeros(len(values), dtype=np.int64)
    result[order] = sums - values[order] - base
    return result
