"""Decides stored decisions again under a draft, one after the other.

A changed offer changes the person's credit line for later decisions: a rental that is declined
holds nothing, and a larger deposit in cash holds less. This is replayed. Where nobody can know what
a person would have done, both ends are replayed: with the strictest history that is possible and
with the mildest one. If both ends give the same verdict, it is exact.

- A person who took an offer takes it again if it asks for the same or for less cash.
- A person who left an offer leaves it again if it asks for the same or for more cash.
- A person who took an offer and is asked for more may take it or leave it.
- A person who got no rental may use a milder offer, and then for any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from service.domain.product import Product
from service.domain.rules import Of
from service.preview.conditions import Conditions, Order
from service.preview.history import (
    DECLINED,
    NEVER,
    UNSCORED,
    Bits,
    Fact,
    Happened,
    History,
    Numbers,
)
from service.preview.losses import DraftBreakers, RealBreakers
from service.preview.presence import presence_of
from service.preview.rulebook import Course, are_counting, are_shared, common_skips
from service.preview.verdicts import (
    Asked,
    Said,
    Verdict,
    Verdicts,
    as_stored,
    carried,
    is_stricter,
    judge,
    stored,
)

BEST_SCORE = 2**31 - 1
"""A score that reaches every cut-off."""


class Terms(NamedTuple):
    """The product under the draft for each product of a history, in the same order."""

    products: tuple[Product, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The verdicts on each item of a history, by number.

    `before` is the stored one. `again` is decided again under the terms in force; it is the stored
    one if the decision can be repeated. `strict` and `lenient` are the two ends under the draft.
    `conditions` notes the values that nobody knows under it.
    """

    verdicts: Verdicts
    before: Numbers
    again: Numbers
    strict: Numbers
    lenient: Numbers
    conditions: Conditions = field(default_factory=Conditions)


class Change(NamedTuple):
    """A changed use of a person's line by one rental, in minor units and microseconds.

    Of the credit `before_minor`, `sure_minor` was surely held, from `held_us` at the latest until
    `close_us`. Then at most `drawn_minor` of it was drawn. Under the draft from `least_minor` to
    `most_minor` is held. `endless` says that a rental under the draft may last for any time.
    """

    held_us: int
    close_us: int
    before_minor: int
    sure_minor: int
    drawn_minor: int
    least_minor: int
    most_minor: int
    endless: bool

    def at(self, now_us: int) -> tuple[int, int]:
        """The least and the most by which the line is used more under the draft."""
        if now_us < self.held_us:
            return -self.before_minor, self.most_minor
        if self.close_us == NEVER or now_us <= self.close_us or self.endless:
            return self.least_minor - self.before_minor, self.most_minor - self.sure_minor
        grows = self.most_minor > self.before_minor
        return -self.drawn_minor, min(self.most_minor, self.drawn_minor) if grows else 0


class Row(NamedTuple):
    """One item of a history, in plain numbers; see `History`."""

    row: int
    at_us: int
    user: int
    product: int
    accept: int
    score: int
    facts: int
    available: int
    most_available: int
    as_of_us: int
    happened: int
    held_us: int
    close_us: int
    captured_credit: int
    device: int
    account: int
    before: int

    @property
    def bearers(self) -> dict[Of, int]:
        """The bearers that the order names, by number."""
        found = {Of.USER: self.user}
        if self.device != NEVER:
            found[Of.DEVICE] = self.device
        if self.account != NEVER:
            found[Of.PAYMENT_ACCOUNT] = self.account
        return found


def rows_of(history: History, found: Replayed, rows: Numbers) -> Iterable[Row]:
    """The items of these rows."""
    columns = (
        *(history.at_us, history.users, history.product, history.accept, history.score),
        *(history.facts, history.available, history.most_available, history.as_of_us),
        *(history.happened,),
        *(history.held_us, history.close_us, history.captured_credit, history.devices),
        *(history.accounts, found.before),
    )
    return map(Row._make, zip(rows.tolist(), *(it[rows].tolist() for it in columns), strict=True))


def change_of(it: Row, before: Verdict, strict: Verdict, lenient: Verdict) -> Change | None:
    """The change of the line by one item; None if it is used as before."""
    if before.same_as == strict.same_as == lenient.same_as:
        return None
    sure = (it.happened & Happened.HELD) != 0
    maybe = sure or (it.happened & Happened.MAYBE_HELD) != 0
    least, most = [], []
    for end in (strict, lenient):
        surely = sure and end.rank != DECLINED and not is_stricter(before, end)
        least.append(end.credit_minor if surely else 0)
        most.append(end.credit_minor if maybe or is_stricter(end, before) else 0)
    return Change(
        it.held_us,
        it.close_us,
        before.credit_minor if maybe else 0,
        before.credit_minor if sure else 0,
        it.captured_credit,
        min(least),
        max(most),
        not sure and max(most) > 0,
    )


def asked_of(
    history: History, it: Row, wanted: Sequence[Product], in_force: Sequence[Product]
) -> tuple[Asked, Asked]:
    """The request of an item, at its strictest and at its mildest.

    They differ if features that were too old may be scored under the draft: nobody knows the score.
    """
    score, facts, accepted = it.score, it.facts, history.accepted[it.accept]
    most_us = min([product.policy.max_feature_age_us for product in wanted])
    age_us = it.at_us - it.as_of_us
    if facts & Fact.STALE:
        strict = Asked(UNSCORED, facts, accepted)
        limits = [product.policy.max_feature_age_us for product in in_force]
        if most_us <= min(limits) or age_us > most_us:
            return strict, strict
        return strict, Asked(BEST_SCORE, facts & ~Fact.STALE, accepted)
    if score != UNSCORED and age_us > most_us:
        score, facts = UNSCORED, facts | Fact.STALE
    asked = Asked(score, facts, accepted)
    return asked, asked


Judge = Callable[[Asked, Sequence[Product], int, Said], tuple[Verdict, ...]]
"""`verdicts.judge`, or another function with the same results."""


def replay(history: History, terms: Terms) -> Replayed:
    """Replays every decision of a history, one after the other."""
    verdicts = Verdicts()
    before = stored(history, verdicts)
    again, strict, lenient = before.copy(), before.copy(), before.copy()
    found = Replayed(verdicts, before, again, strict, lenient)
    rows = np.arange(len(history)) if is_counting(history, terms) else judged_rows(history)
    replay_rows(history, terms, found, rows, judge)
    return found


def is_counting(history: History, terms: Terms) -> bool:
    """True if a rule in force or under the draft reads other rentals."""
    return are_counting((*history.products, *terms.products))


def is_shared(history: History, terms: Terms) -> bool:
    """True if a rule in force or under the draft binds the rentals of all people together."""
    return are_shared((*history.products, *terms.products))


def judged_rows(history: History) -> Numbers:
    """The numbers of the rows that are judged."""
    return np.flatnonzero(history.judged)


class _Replay:
    """The history so far: the changes of lines, and the rentals that rules count."""

    def __init__(self, history: History, terms: Terms, conditions: Conditions) -> None:
        self.history, self.terms = history, terms
        self.changes: dict[tuple[int, str], list[Change]] = {}
        self.counting = is_counting(history, terms)
        self.real_counts = are_counting(history.products)
        both = zip(history.products, terms.products, strict=True)
        self._same = [one == other for one, other in both]
        self._touched: set[tuple[Of, int]] = set()
        self._shared = is_shared(history, terms)
        self._different = False
        self._present: dict[int, tuple[bool, bool]] = {}
        beside = history.beside
        drafted = DraftBreakers(beside.losses, beside.openings, self._is_present)
        # As it was, and under the draft.
        known = Conditions()
        real = RealBreakers(beside.openings)
        self.real = Course(history, history.products, real, known)
        self.drafted = Course(history, terms.products, drafted, conditions)

    def _is_present(self, row: int) -> tuple[bool, bool]:
        return (True, True) if row == NEVER else self._present.get(row, (True, True))

    def line(self, it: Row) -> list[Change]:
        """The changes of the line of an item."""
        key = it.user, self.history.products[it.product].currency
        return self.changes.setdefault(key, [])

    def add(self, it: Row, before: Verdict, strict: Verdict, lenient: Verdict) -> None:
        """Adds an item with its verdicts."""
        same = strict is before and lenient is before
        changed = None if same else change_of(it, before, strict, lenient)
        if changed is not None:
            self.line(it).append(changed)
            self._different = True
        if self.counting:
            times, bearers = (it.at_us, it.held_us, it.close_us), it.bearers
            real = presence_of(times, it.happened, before, (before,))
            drafted = real
            if not same:
                drafted = presence_of(times, it.happened, before, (strict, lenient))
            ends = strict.credit_minor, lenient.credit_minor
            own = (before.credit_minor,) * 2
            self.real.add(it.row, it.product, bearers, real, own)
            self.drafted.add(it.row, it.product, bearers, drafted, (min(ends), max(ends)))
            self._present[it.row] = drafted.sure, drafted.maybe
            if real != drafted:
                self._touched.update(bearers.items())
                self._different = True

    def is_as_it_was(self, items: Sequence[Row]) -> bool:
        """True if nothing that the decision on these items depends on is different."""
        first = items[0]
        return (
            all(self._same[it.product] for it in items)
            and not (self._shared and self._different)
            and not self.line(first)
            and self._touched.isdisjoint(first.bearers.items())
        )

    def order(
        self, items: Sequence[Row], asked: tuple[Asked, Asked], products: Sequence[Product]
    ) -> Order:
        """The order of one call, as conditions see it."""
        first = items[0]
        skipped = common_skips(self.history, [it.row for it in items])
        return order_of(self.history, first, asked, products, skipped)

    def said_before(self, items: Sequence[Row], order: Order) -> Said:
        """The rules in force on the items of one call."""
        return self.real.said(order, [it.row for it in items], items[0].bearers, strict=False)

    def said(self, items: Sequence[Row], order: Order, *, strict: bool) -> Said:
        """The draft's rules on the items of one call, at one end."""
        rows = [it.row for it in items]
        return self.drafted.said(order, rows, items[0].bearers, strict=strict)


def order_of(
    history: History,
    it: Row,
    asked: tuple[Asked, Asked],
    products: Sequence[Product],
    skipped: Mapping[str, str],
) -> Order:
    """The order of a call, as conditions see it, from its first item."""
    told = history.beside.told_on(it.row)
    known = asked[0].score == asked[1].score
    return Order(it.row, it.at_us, asked[0].score, known, told, products, skipped)


def replay_rows(
    history: History,
    terms: Terms,
    found: Replayed,
    rows: Numbers,
    judge: Judge,
    known: Bits | None = None,
) -> None:
    """Replays the decisions of these rows into `found`; the verdicts on `known` rows stand there.

    The rows must be all judged rows of each of their persons, in the order of the decisions. If
    rules count rentals, they must be all rows of each of their persons, devices and accounts.
    """
    calls: dict[int, list[Row]] = {}
    numbers = history.calls[rows].tolist()
    for call, it in zip(numbers, rows_of(history, found, rows), strict=True):
        calls.setdefault(call, []).append(it)
    course = _Replay(history, terms, found.conditions)
    every = found.verdicts.all
    for items in calls.values():
        if items[0].at_us < history.from_us or (known is not None and known[items[0].row]):
            for it in items:
                ends = every[found.strict[it.row]], every[found.lenient[it.row]]
                course.add(it, every[it.before], *ends)
        else:
            # The shortcut has judged single items under terms in force that count nothing.
            told = known is not None and not course.real_counts and len(items) == 1
            _replay_call(course, found, items, judge, again_known=told)


def _replay_call(
    course: _Replay,
    found: Replayed,
    items: Sequence[Row],
    judge: Judge,
    *,
    again_known: bool,
) -> None:
    """Replays one call, which may have several items."""
    first, verdicts, history = items[0], found.verdicts, course.history
    in_force = [history.products[it.product] for it in items]
    wanted = [course.terms.products[it.product] for it in items]
    least_minor, most_minor = first.available, first.most_available
    for change in course.line(first):
        least, most = change.at(first.at_us)
        least_minor, most_minor = least_minor - most, most_minor - least
    if again_known:
        at_first: tuple[Verdict, ...] = (verdicts.all[found.again[first.row]],)
    else:
        once = asked_of(history, first, in_force, in_force)
        told = course.said_before(items, course.order(items, once, in_force))
        at_first = judge(once[0], in_force, first.available, told)
    asked = asked_of(history, first, wanted, in_force)
    order = course.order(items, asked, wanted)
    strict_said = course.said(items, order, strict=True)
    lenient_said = course.said(items, order, strict=False)
    stricts = judge(asked[0], wanted, max(0, least_minor), strict_said)
    lenients = judge(asked[1], wanted, max(0, most_minor), lenient_said)
    ends = zip(items, in_force, at_first, stricts, lenients, strict=True)
    added, as_it_was = [], course.is_as_it_was(items)
    for it, product, again, strict, lenient in ends:
        before = as_stored(verdicts.all[it.before], again, product)
        strict = before if as_it_was else carried(before, again, strict)
        lenient = before if as_it_was else carried(before, again, lenient)
        found.before[it.row] = verdicts.number(before)
        found.again[it.row] = verdicts.number(again)
        found.strict[it.row] = verdicts.number(strict)
        found.lenient[it.row] = verdicts.number(lenient)
        added.append((it, before, strict, lenient))
    for one in added:
        course.add(*one)
