"""Rules that bind the rentals of all people together: the first decision that they may concern.

As long as no budget is used up and no breaker opens, every decision is the same without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.domain.product import Product
from service.domain.rules import Span
from service.preview.budgets import budgets_of
from service.preview.history import DAY_US, NEVER, Bits, Happened, History, Numbers, asked_minor
from service.preview.losses import breakers_of
from service.preview.replay import Replayed, Terms
from service.preview.steps import Steps


def without_shared(history: History, terms: Terms) -> tuple[History, Terms]:
    """The history and the draft without budgets and breakers."""
    return (
        replace(history, products=tuple(map(_without, history.products))),
        Terms(tuple(map(_without, terms.products))),
    )


def _without(product: Product) -> Product:
    rules = product.policy.rules
    if rules is None:
        return product
    rules = rules._replace(budget=None, breaker=None)
    return replace(product, policy=replace(product.policy, rules=rules))


def first_concerned(history: History, terms: Terms, found: Replayed, possible: Bits) -> int:
    """The first row that a budget or a breaker may concern, in force or under the draft.

    `found` has the verdicts without them, and `possible` the rows whose rental may have happened.
    The number of rows if there is none.
    """
    beside, size = history.beside, len(history)
    credit = [found.verdicts.column("credit_minor", it) for it in (found.strict, found.lenient)]
    maybe = (history.happened & (Happened.HELD | Happened.MAYBE_HELD)) != 0
    # What was really held follows from the stored decisions, also from those that do not repeat.
    real = np.where(maybe, found.verdicts.column("credit_minor", found.before), 0)
    first = min(
        _over_budget(history, history.products, real),
        _over_budget(history, terms.products, np.where(possible, np.maximum(*credit), 0)),
    )
    opens = [it.open_us for it in beside.openings]
    if _may_open(history, terms):
        opens += [it.at_us for it in beside.losses]
    if any(map(breakers_of, (*history.products, *terms.products))) and opens:
        first = min(first, int(np.searchsorted(history.at_us, min(opens), side="left")))
    # The items of one call are decided together.
    return size if first >= size else int(np.argmax(history.calls == history.calls[first]))


def _may_open(history: History, terms: Terms) -> bool:
    """True if all losses together are above the bound of a breaker."""
    losses = history.beside.losses
    breakers = {(it.policy.policy_id, it.currency, breaker)
                for it in terms.products for breaker in breakers_of(it)}  # fmt: skip
    for *name, breaker in breakers:
        mine = [it for it in losses if [it.policy_id, it.currency] == name]
        rentals = len({it.rental for it in mine})
        total = sum(it.most_minor for it in mine)
        if total > breaker.most_minor and rentals >= breaker.least_rentals:
            return True
    return False


def _over_budget(history: History, products: Sequence[Product], held: Numbers) -> int:
    """The first row with whose call a budget may be used up; each row holds at most `held`.

    Each asks for its whole amount: an offer that the line does not cover may be refused for the
    budget too, and the reasons tell both.
    """
    first, asked = len(history), np.array([*map(asked_minor, products), 0], dtype=np.int64)
    keys = {(it.policy.policy_id, it.currency, budget)
            for it in products for budget in budgets_of(it)}  # fmt: skip
    for policy_id, currency, budget in keys:
        own = np.array([
            (it.policy.policy_id, it.currency) == (policy_id, currency) and bool(budgets_of(it))
            for it in products
        ])  # fmt: skip
        amounts = np.where(own[history.product], asked[history.product], 0)
        of_call = np.zeros(int(history.calls.max()) + 1, dtype=np.int64)
        np.add.at(of_call, history.calls, amounts)
        alone = np.bincount(history.calls)[history.calls] == 1
        holds = np.where(own[history.product], held, 0)
        # The items of a call are decided together, before any of them holds.
        most = _together(history, holds, budget.span) - np.where(alone, holds, 0)
        over = np.flatnonzero(most + of_call[history.calls] > budget.most_minor)
        first = min(first, int(over[0]) if len(over) else first)
    return first


def _together(history: History, amounts: Numbers, span: Span) -> Numbers:
    """For each row, the most that all rows until it hold together."""
    size = len(history)
    if span is Span.DAY:
        midnight_us = (history.at_us // DAY_US + 1) * DAY_US
        ended = np.searchsorted(history.at_us, midnight_us, side="left")
    else:
        held = (history.happened & Happened.HELD) != 0
        later = np.searchsorted(history.at_us, history.close_us, side="right")
        ended = np.where(held & (history.close_us != NEVER), later, size)
    begun = np.cumsum(amounts)
    over = Steps(ended, amounts)
    rows = np.arange(size, dtype=np.int64)
    return begun - over.between(np.zeros(size, dtype=np.int64), rows, "right")
