"""Decides stored decisions again under a draft, one after the other.

A changed offer changes the person's credit line for later decisions: a rental that is declined
holds nothing, and a larger deposit in cash holds less. This is replayed. Where nobody can know what
a person would have done, both ends are replayed: with the strictest history that is possible and
with the mildest one. If both ends give the same verdict, it is exact.

- A person who took an offer takes it again if it asks for the same or for less cash.
- A person who is asked for more may take it or leave it.
- A person who got no rental may use a milder offer, and then for any time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from service.domain.product import Product
from service.preview.history import DECLINED, NEVER, UNSCORED, Fact, Happened, History, Numbers
from service.preview.verdicts import Asked, Verdict, Verdicts, judge, stored

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
    """

    verdicts: Verdicts
    before: Numbers
    again: Numbers
    strict: Numbers
    lenient: Numbers


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
        if self.close_us == NEVER or now_us < self.close_us or self.endless:
            return self.least_minor - self.before_minor, self.most_minor - self.sure_minor
        grows = self.most_minor > self.before_minor
        return -self.drawn_minor, min(self.most_minor, self.drawn_minor) if grows else 0


def change_of(
    history: History, row: int, before: Verdict, strict: Verdict, lenient: Verdict
) -> Change | None:
    """The change of the line by one item; None if it is used as before."""
    if before.same_as == strict.same_as == lenient.same_as:
        return None
    happened = int(history.happened[row])
    sure = bool(happened & Happened.HELD)
    maybe = sure or bool(happened & Happened.MAYBE_HELD)
    least, most = [], []
    for it in (strict, lenient):
        taken = sure and it.rank != DECLINED and not is_stricter(before, it)
        least.append(it.credit_minor if taken else 0)
        most.append(it.credit_minor)
    credit_minor = before.credit_minor if maybe else 0
    return Change(
        int(history.held_us[row]),
        int(history.close_us[row]),
        credit_minor,
        before.credit_minor if sure else 0,
        int(history.captured_credit[row]),
        min(least),
        max(most),
        not sure and max(most) > 0,
    )


def is_stricter(before: Verdict, after: Verdict) -> bool:
    """True if a person who took the first offer might not take the second one."""
    if before.rank == DECLINED:
        return False
    if after.rank == DECLINED:
        return True
    return after.cash_minor > before.cash_minor or (after.review and not before.review)


def asked_of(
    history: History, row: int, wanted: Sequence[Product], in_force: Sequence[Product]
) -> tuple[Asked, Asked]:
    """The request of a row, at its strictest and at its mildest.

    They differ if features that were too old may be scored under the draft: nobody knows the score.
    """
    score, facts = int(history.score[row]), int(history.facts[row])
    accepted = history.accepted[int(history.accept[row])]
    most_us = min(it.policy.max_feature_age_us for it in wanted)
    age_us = int(history.at_us[row]) - int(history.as_of_us[row])
    if facts & Fact.STALE:
        strict = Asked(UNSCORED, facts, accepted)
        if most_us <= min(it.policy.max_feature_age_us for it in in_force) or age_us > most_us:
            return strict, strict
        return strict, Asked(BEST_SCORE, facts & ~Fact.STALE, accepted)
    if score != UNSCORED and age_us > most_us:
        score, facts = UNSCORED, facts | Fact.STALE
    asked = Asked(score, facts, accepted)
    return asked, asked


def replay(history: History, terms: Terms) -> Replayed:
    """Replays every decision of a history, one after the other."""
    verdicts = Verdicts()
    before = stored(history, verdicts)
    again, strict, lenient = before.copy(), before.copy(), before.copy()
    found = Replayed(verdicts, before, again, strict, lenient)
    replay_rows(history, terms, found, np.flatnonzero(history.judged).tolist())
    return found


def replay_rows(history: History, terms: Terms, found: Replayed, rows: Iterable[int]) -> None:
    """Replays the decisions of these rows into `found`.

    The rows must be all judged rows of each of their persons, in the order of the decisions.
    """
    calls: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        calls[int(history.calls[row])].append(row)
    changes: dict[tuple[int, str], list[Change]] = defaultdict(list)
    for items in calls.values():
        _replay_call(history, terms, found, items, changes)


def _replay_call(
    history: History,
    terms: Terms,
    found: Replayed,
    items: Sequence[int],
    changes: dict[tuple[int, str], list[Change]],
) -> None:
    """Replays one call, which may have several items."""
    first, verdicts = items[0], found.verdicts
    in_force = [history.products[int(history.product[row])] for row in items]
    wanted = [terms.products[int(history.product[row])] for row in items]
    now_us, available_minor = int(history.at_us[first]), int(history.available[first])
    line = changes[int(history.users[first]), in_force[0].currency]
    uses = [it.at(now_us) for it in line]
    least_minor = max(0, available_minor - sum(it[1] for it in uses))
    most_minor = max(0, available_minor - sum(it[0] for it in uses))
    at_first = judge(asked_of(history, first, in_force, in_force)[0], in_force, available_minor)
    asked = asked_of(history, first, wanted, in_force)
    ends = judge(asked[0], wanted, least_minor), judge(asked[1], wanted, most_minor)
    for row, again, strict, lenient in zip(items, at_first, *ends, strict=True):
        before = verdicts.all[int(found.before[row])]
        if strict.same_as == again.same_as:
            strict = before
        if lenient.same_as == again.same_as:
            lenient = before
        found.again[row] = verdicts.number(again)
        found.strict[row] = verdicts.number(strict)
        found.lenient[row] = verdicts.number(lenient)
        change = change_of(history, row, before, strict, lenient)
        if change is not None:
            line.append(change)
