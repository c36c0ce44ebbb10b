"""The verdict on one requested item, under the terms in force or under a draft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from service.domain import admission
from service.domain.graded_offers import choose_graded
from service.domain.listings import CONDITION_PREFIX
from service.domain.policy import (
    MAX_REASONS,
    Choice,
    Offer,
    Part,
    Reason,
    Split,
    Wanted,
    choose,
    decline,
    split_deposit,
)
from service.domain.product import Product
from service.engine.budgets import within_budget
from service.preview.history import (
    DECLINED,
    OFFERS,
    RANKS,
    UNSCORED,
    Fact,
    History,
    Numbers,
    OrderedProduct,
    asked_minor,
)


class Verdict(NamedTuple):
    """The offer for one item by its rank, the two parts of its deposit in minor units, and the
    reasons, without those of the model. With `review` a person of the platform decides first."""

    rank: int
    review: bool
    credit_minor: int
    cash_minor: int
    reasons: tuple[str, ...]

    @property
    def same_as(self) -> tuple[int, bool, int, int]:
        """The part that makes a difference for the person."""
        return self[:4]


class Said(NamedTuple):
    """The verdict of the rules on an order, and the amount that budgets leave; None for none."""

    verdict: admission.Verdict | None = None
    left_minor: int | None = None


NOTHING_SAID = Said()


class Asked(NamedTuple):
    """The part of a request that an offer depends on, besides the line: the same for all items."""

    score: int
    facts: int
    accepted: tuple[Offer, ...]


class Verdicts:
    """All verdicts of a preview, each once; columns refer to them by number."""

    def __init__(self) -> None:
        self.all: list[Verdict] = []
        self._numbers: dict[Verdict, int] = {}

    def number(self, verdict: Verdict) -> int:
        """The number of a verdict."""
        known = self._numbers.get(verdict)
        if known is None:
            known = self._numbers[verdict] = len(self.all)
            self.all.append(verdict)
        return known

    def column(self, name: str, numbers: Numbers) -> Numbers:
        """One field of each verdict in a column of numbers."""
        values = np.array([getattr(it, name) for it in self.all] or [0], dtype=np.int64)
        return values[numbers]

    def kinds(self, numbers: Numbers) -> Numbers:
        """A number for each verdict; it is the same for verdicts that differ only in reasons."""
        known: dict[tuple[int, bool, int, int], int] = {}
        kinds = [known.setdefault(it.same_as, len(known)) for it in self.all]
        return np.array(kinds or [0], dtype=np.int64)[numbers]


_RULES = frozenset(str(it) for it in Reason)
_REVIEW = str(Reason.UNDER_REVIEW)


def of_rules(reasons: Sequence[str]) -> tuple[str, ...]:
    """The reasons that are not the model's."""
    return tuple(str(it) for it in reasons if it in _RULES or it.startswith(CONDITION_PREFIX))


def judge(
    asked: Asked,
    wanted: Sequence[Product],
    available_minor: int,
    found: Said = NOTHING_SAID,
) -> tuple[Verdict, ...]:
    """The verdict on each item of a request, by the rules that Authorize follows.

    `available_minor` is the free part of the line before the request, and `found` has the verdict
    of rules on it.
    """
    amounts: Sequence[Wanted] = wanted
    if any(isinstance(it, OrderedProduct) for it in wanted):
        amounts = [Part(asked_minor(it), it.policy, it.category) for it in wanted]
    choice = _choice(asked, amounts, available_minor, found)
    reasons = of_rules(choice.reasons)
    review = _REVIEW in reasons
    rank = RANKS[choice.offer]
    return tuple(Verdict(rank, review, *split, reasons) for split in choice.splits)


def is_stricter(before: Verdict, after: Verdict) -> bool:
    """True if a person who took the first offer might not take the second one."""
    if before.rank == DECLINED:
        return False
    if after.rank == DECLINED:
        return True
    return after.cash_minor > before.cash_minor or (after.review and not before.review)


def carried(before: Verdict, again: Verdict, after: Verdict) -> Verdict:
    """The verdict under a draft: the stored one if the draft makes no difference to the person.

    A repeated decision has the draft's reasons. `again` is the verdict under the terms in force.
    """
    if after.same_as != again.same_as or again == before:
        return after
    return before


def as_stored(before: Verdict, again: Verdict, product: Product) -> Verdict:
    """The stored verdict, with the parts of the deposit that rules of the policy gave it.

    A decision does not store the parts. Without rules they follow from the offer.
    """
    if product.policy.rules is None or before[:2] != again[:2]:
        return before
    return before._replace(credit_minor=again.credit_minor, cash_minor=again.cash_minor)


_REFUSALS = {
    Fact.CANCELLED: Reason.CANCELLED_BEFORE_ARRIVAL,
    Fact.SUSPENDED: Reason.USER_SUSPENDED,
    Fact.LISTED: Reason.LISTED_DENY,
    Fact.ANOTHER: Reason.IDENTITY_MISMATCH,
}
_REFUSED = sum(_REFUSALS)


def _choice(
    asked: Asked,
    wanted: Sequence[Wanted],
    available_minor: int,
    found: Said,
) -> Choice:
    if asked.facts & _REFUSED:
        reason = next(reason for fact, reason in _REFUSALS.items() if asked.facts & fact)
        return decline(len(wanted), reason)
    score = None if asked.score == UNSCORED else asked.score
    why = (Reason.FEATURES_STALE,) if asked.facts & Fact.STALE else ()
    if all(it.policy.rules is None for it in wanted):
        choice = choose(score, why, asked.accepted, available_minor, wanted)
    else:

        def choose_within(minor: int) -> Choice:
            return choose_graded(score, why, asked.accepted, minor, wanted, found.verdict)

        choice = within_budget(choose_within, available_minor, found.left_minor)
    if asked.facts & Fact.WATCHED and choice.offer is not None:
        reasons = tuple(dict.fromkeys((Reason.UNDER_REVIEW, *choice.reasons)))
        return choice._replace(reasons=reasons[:MAX_REASONS])
    return choice


def stored(history: History, verdicts: Verdicts) -> Numbers:
    """The verdict that each item got, by number."""
    firsts, places = unique_rows([history.product, history.offers, history.reasons])
    numbers = []
    for row in firsts.tolist():
        it, rank = history.products[history.product[row]], int(history.offers[row])
        told = of_rules(history.reason_lists[history.reasons[row]])
        offer, split = OFFERS[rank], Split(0, 0)
        if offer is not None:
            split = split_deposit(offer, asked_minor(it), it.policy)
        review = offer is not None and _REVIEW in told
        numbers.append(verdicts.number(Verdict(rank, review, *split, told)))
    return np.array(numbers, dtype=np.int64)[places]


def unique_rows(columns: Sequence[Numbers]) -> tuple[Numbers, Numbers]:
    """The first row of each combination of values, and the number of its combination for each row.

    A combination is one number, in which each column has its own digit.
    """
    count = len(columns[0])
    whole, size = np.zeros(count, dtype=np.int64), 1
    for column in columns:
        if not len(column):
            break
        least = int(column.min())
        digits, base = column - least, int(column.max()) - least + 1
        if base > MOST_DIGITS:
            digits, base = _ranks(digits, base)
        if size * base > SHARE_OF_PLACES * count:
            whole, size = _ranks(whole, size)
        whole, size = whole * base + digits, size * base
    whole, size = _ranks(whole, size)
    firsts = np.full(size, count, dtype=np.int64)
    np.minimum.at(firsts, whole, np.arange(count, dtype=np.int64))
    return firsts, whole


def _ranks(numbers: Numbers, size: int) -> tuple[Numbers, int]:
    """The ranks of numbers from 0 to below `size` among the different ones, and how many these
    are."""
    if size > SHARE_OF_PLACES * len(numbers):
        values, ranks = np.unique(numbers, return_inverse=True)
        return ranks.reshape(-1), len(values)
    # Nothing is sorted: each number has a place.
    there = np.zeros(size, dtype=np.bool_)
    there[numbers] = True
    return (np.cumsum(there) - 1)[numbers], int(np.count_nonzero(there))


MOST_DIGITS, SHARE_OF_PLACES = 2**16, 8
"""The largest digit, and the places for each number up to which numbers are not sorted."""
