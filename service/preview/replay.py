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

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from service.domain.product import Product
from service.domain.rules import Of
from service.preview.conditions import Conditions, Order
from service.preview.history import (
    NEVER,
    UNSCORED,
    Fact,
    History,
    Numbers,
)
from service.preview.lines import Line, change_of
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


def is_counting(history: History, terms: Terms) -> bool:
    """True if a rule in force or under the draft reads other rentals."""
    return are_counting((*history.products, *terms.products))


def is_shared(history: History, terms: Terms) -> bool:
    """True if a rule in force or under the draft binds the rentals of all people together."""
    return are_shared((*history.products, *terms.products))


def judged_rows(history: History) -> Numbers:
    """The numbers of the rows that are judged."""
    return np.flatnonzero(history.judged)


class Replay:
    """The history so far: the changes of lines, and the rentals that rules count.

    `different` says that the use of a line or a counted rental is another one under the draft.
    """

    def __init__(self, history: History, terms: Terms, found: Replayed) -> None:
        self.history, self.terms, self.found = history, terms, found
        self.lines: dict[int, Line] = {}
        self.line_of: list[int] = line_column(history).tolist()
        self.counting = is_counting(history, terms)
        both = zip(history.products, terms.products, strict=True)
        self.same = [one == other for one, other in both]
        self.is_shared = is_shared(history, terms)
        self.different = False
        self._touched: set[tuple[Of, int]] = set()
        self._present: dict[int, tuple[bool, bool]] = {}
        beside = history.beside
        drafted = DraftBreakers(beside.losses, beside.openings, self._is_present)
        self._losing = {it.row for it in beside.losses}
        # As it was, and under the draft.
        self.real = Course(history, history.products, RealBreakers(beside.openings), Conditions())
        self.drafted = Course(history, terms.products, drafted, found.conditions)

    def _is_present(self, row: int) -> tuple[bool, bool]:
        return (True, True) if row == NEVER else self._present.get(row, (True, True))

    def line(self, row: int) -> Line:
        """The line of a row."""
        number = self.line_of[row]
        known = self.lines.get(number)
        if known is None:
            known = self.lines[number] = Line()
        return known

    def note(self, row: int, present: tuple[bool, bool]) -> None:
        """Notes for breakers whether the rental of a row surely happens under the draft, and
        whether it may happen."""
        if row in self._losing:
            self._present[row] = present

    def touch(self, row: int) -> None:
        """Notes that a rental of the bearers of a row happens otherwise under the draft."""
        self.different = True
        # If a rule binds all people together, any difference counts for everybody.
        if self.counting and not self.is_shared:
            self._touched.update(self._bearers(row))

    def is_touched(self, row: int) -> bool:
        """True if a rental of a bearer of a row happens otherwise under the draft."""
        return bool(self._touched) and not self._touched.isdisjoint(self._bearers(row))

    def _bearers(self, row: int) -> Iterator[tuple[Of, int]]:
        history = self.history
        for of, column in (
            (Of.USER, history.users),
            (Of.DEVICE, history.devices),
            (Of.PAYMENT_ACCOUNT, history.accounts),
        ):
            number = int(column[row])
            if number != NEVER:
                yield of, number

    def add(self, it: Row, before: Verdict, strict: Verdict, lenient: Verdict) -> None:
        """Adds an item with its verdicts."""
        same = strict is before and lenient is before
        changed = None if same else change_of(it.happened, before, strict, lenient)
        if changed is not None:
            times_us = it.at_us, it.held_us, it.close_us
            self.line(it.row).add(changed, times_us, it.captured_credit)
            self.different = True
        if self.counting:
            times_us, bearers = (it.at_us, it.held_us, it.close_us), it.bearers
            real = presence_of(times_us, it.happened, before, (before,))
            drafted = real
            if not same:
                drafted = presence_of(times_us, it.happened, before, (strict, lenient))
            ends = strict.credit_minor, lenient.credit_minor
            own = (before.credit_minor,) * 2
            self.real.add(it.row, it.product, bearers, real, own)
            self.drafted.add(it.row, it.product, bearers, drafted, (min(ends), max(ends)))
            self.note(it.row, (drafted.sure, drafted.maybe))
            if real != drafted:
                self.touch(it.row)

    def is_as_it_was(self, items: Sequence[Row]) -> bool:
        """True if nothing that the decision on these items depends on is different."""
        first = items[0]
        return (
            all(self.same[it.product] for it in items)
            and not (self.is_shared and self.different)
            and self.line_of[first.row] not in self.lines
            and not self.is_touched(first.row)
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


def line_column(history: History) -> Numbers:
    """The number of each row's line: a person has one for each currency."""
    places = {it.currency: place for place, it in enumerate(history.products)}
    of_product = [places[it.currency] for it in history.products] or [0]
    column: Numbers = np.array(of_product, dtype=np.int64)[history.product]
    return history.users * len(of_product) + column


def replay_call(course: Replay, items: Sequence[Row], judge: Judge) -> None:
    """Replays one call, which may have several items."""
    found, first, history = course.found, items[0], course.history
    verdicts = found.verdicts
    in_force = [history.products[it.product] for it in items]
    wanted = [course.terms.products[it.product] for it in items]
    least_minor, most_minor = first.available, first.most_available
    line = course.lines.get(course.line_of[first.row])
    if line is not None:
        least, most = line.at(first.at_us)
        least_minor, most_minor = least_minor - most, most_minor - least
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
