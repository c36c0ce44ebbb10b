"""The verdict on one requested item, under the terms in force or under a draft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from service.domain.policy import (
    MAX_REASONS,
    Choice,
    Offer,
    Reason,
    Split,
    Wanted,
    choose,
    decline,
    split_deposit,
)
from service.domain.product import Product
from service.preview.history import OFFERS, RANKS, UNSCORED, Fact, History, Numbers


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
    return tuple(str(it) for it in reasons if it in _RULES)


def judge(asked: Asked, wanted: Sequence[Product], available_minor: int) -> tuple[Verdict, ...]:
    """The verdict on each item of a request, by the rules that Authorize follows.

    `available_minor` is the free part of the line before the request.
    """
    choice = _choice(asked, wanted, available_minor)
    reasons = of_rules(choice.reasons)
    review = _REVIEW in reasons
    rank = RANKS[choice.offer]
    return tuple(Verdict(rank, review, *split, reasons) for split in choice.splits)


def _choice(asked: Asked, wanted: Sequence[Wanted], available_minor: int) -> Choice:
    if asked.facts & Fact.CANCELLED:
        return decline(len(wanted), Reason.CANCELLED_BEFORE_ARRIVAL)
    if asked.facts & Fact.SUSPENDED:
        return decline(len(wanted), Reason.USER_SUSPENDED)
    score = None if asked.score == UNSCORED else asked.score
    why = (Reason.FEATURES_STALE,) if asked.facts & Fact.STALE else ()
    choice = choose(score, why, asked.accepted, available_minor, wanted)
    if asked.facts & Fact.WATCHED and choice.offer is not None:
        return choice._replace(reasons=(Reason.UNDER_REVIEW, *choice.reasons)[:MAX_REASONS])
    return choice


def stored(history: History, verdicts: Verdicts) -> Numbers:
    """The verdict that each item got, by number."""
    keys = np.stack([history.product, history.offers, history.reasons], axis=1)
    unique, place = np.unique(keys, axis=0, return_inverse=True)
    numbers = []
    for product, rank, reasons in unique.tolist():
        it, told = history.products[product], of_rules(history.reason_lists[reasons])
        offer, split = OFFERS[rank], Split(0, 0)
        if offer is not None:
            split = split_deposit(offer, it.deposit_minor, it.policy)
        review = offer is not None and _REVIEW in told
        numbers.append(verdicts.number(Verdict(rank, review, *split, told)))
    return np.array(numbers, dtype=np.int64)[place.reshape(-1)]
