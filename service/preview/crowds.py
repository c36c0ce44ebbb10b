"""The decisions that a rule of admission may concern: so many rentals may have been counted.

All others are judged without counting. The numbers here are at least as large as those that a rule
counts, under the terms in force and under the draft.
"""

from __future__ import annotations

import numpy as np

from service.domain.admission import HOUR_US, Past
from service.domain.product import Product
from service.domain.rules import Counted, NewUser, Of, Signal
from service.preview.history import DAY_US, FOREVER_US, NEVER, Bits, Happened, History, Numbers
from service.preview.replay import Terms
from service.preview.rulebook import conditions_count
from service.preview.steps import Steps
from service.preview.traces import signals_of
from service.preview.verdicts import unique_rows

UNBOUNDED = 2**40
"""More rentals than anybody has."""


def crowded(history: History, terms: Terms, possible: Bits) -> Bits:
    """The judged rows that a bound of rentals may concern, or whose person may be new.

    `possible` are the rows whose rental may have happened, in fact or under the draft.
    """
    found = np.zeros(len(history), dtype=np.bool_)
    for of, bearers in (
        (Of.USER, history.users),
        (Of.DEVICE, history.devices),
        (Of.PAYMENT_ACCOUNT, history.accounts),
    ):
        for counted in Counted:
            bounds = np.array(
                [
                    min(_bound(one, of, counted), _bound(other, of, counted))
                    for one, other in zip(history.products, terms.products, strict=True)
                ],
                dtype=np.int64,
            )
            if bounds.min(initial=UNBOUNDED) < UNBOUNDED:
                most = _most(history, bearers, _ended(history, counted), possible)
                found |= (most >= bounds[history.product]) & (bearers != NEVER)
    found |= _suspect(history, terms, possible)
    counting = [
        conditions_count(one) or conditions_count(other)
        for one, other in zip(history.products, terms.products, strict=True)
    ]
    found |= np.array(counting or [False])[history.product]
    return (found | _maybe_new(history, terms)) & history.judged


def _suspect(history: History, terms: Terms, possible: Bits) -> Bits:
    """The rows on which a signal may apply.

    It counts at most the rentals in its window and one, and no more than in all of the history.
    """
    found = np.zeros(len(history), dtype=np.bool_)
    rules = [signals_of(it) for it in zip(history.products, terms.products, strict=True)]
    for kind in {(it.signal, it.window_us, it.within_us) for one in rules for it in one}:
        mine = [[it.most for it in one if (it.signal, it.window_us, it.within_us) == kind]
                for one in rules]  # fmt: skip
        bounds = np.array([min(it, default=UNBOUNDED) for it in mine])[history.product]
        bearers, most = _whole(history, *kind[::2])
        ended = np.searchsorted(history.at_us, history.at_us + kind[1], side="left")
        many = (most > bounds) & (bearers != NEVER)
        if many.any():
            found |= many & (_most(history, bearers, ended, possible) + 1 > bounds)
    return found


def _whole(history: History, signal: Signal, within_us: int | None) -> tuple[Numbers, Numbers]:
    """The bearers of a signal, and for each row the most that it counts in the whole history."""
    users, devices, accounts = history.users, history.devices, history.accounts
    beside, none = history.beside, np.full(len(history), NEVER)
    assets = beside.assets if len(beside.assets) else none
    match signal:
        case Signal.DEVICE_SHARED | Signal.NEW_ACCOUNTS_ON_DEVICE:
            return devices, _distinct(devices, users)
        case Signal.PAYMENT_ACCOUNT_SHARED | Signal.NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT:
            return accounts, _distinct(accounts, users)
        case Signal.MANY_DEVICES:
            return users, _distinct(users, devices)
        case Signal.MANY_PAYMENT_ACCOUNTS:
            return users, _distinct(users, accounts)
        case Signal.ITEM_REPEATED:
            pairs = unique_rows([users, assets])[1]
            repeated = np.where(assets == NEVER, 0, np.bincount(pairs)[pairs])
            return users, _of_bearer(users, repeated, np.maximum)
    if not len(beside.start_us):
        return users, np.zeros(len(history), dtype=np.int64)
    starts, ends = beside.start_stations, beside.end_stations
    back = (starts != NEVER) & (ends != NEVER) & (starts != ends) & (beside.start_us != NEVER)
    soon = back & (history.close_us - beside.start_us < (within_us or 0))
    return users, _of_bearer(users, soon.astype(np.int64), np.add)


def _distinct(bearers: Numbers, others: Numbers) -> Numbers:
    """For each row the number of different others of its bearer; NEVER is none."""
    firsts, _ = unique_rows([bearers, others])
    each = np.zeros(len(bearers), dtype=np.int64)
    each[firsts] = others[firsts] != NEVER
    return _of_bearer(bearers, each, np.add)


def _of_bearer(bearers: Numbers, values: Numbers, add: np.ufunc) -> Numbers:
    """For each row the values of all rows of its bearer together."""
    together = np.zeros(int(bearers.max(initial=NEVER)) + 2, dtype=np.int64)
    add.at(together, bearers + 1, values)
    return together[bearers + 1]


def _bound(product: Product, of: Of, counted: Counted) -> int:
    """The least number of earlier rentals with which one more breaks a rule."""
    rules = product.policy.rules
    velocity = () if rules is None else rules.velocity or ()
    bounds = [it.most for it in velocity if (it.of, it.counted) == (of, counted)]
    return min(bounds, default=UNBOUNDED)


def _ended(history: History, counted: Counted) -> Numbers:
    """The first row that surely does not count the rental of each row any more."""
    if counted is Counted.OPEN:
        later = np.searchsorted(history.at_us, history.close_us, side="right")
        held = (history.happened & Happened.HELD) != 0
        return np.where(held & (history.close_us != NEVER), later, len(history))
    span_us = HOUR_US if counted is Counted.HOUR else DAY_US
    return np.searchsorted(history.at_us, history.at_us + span_us, side="left")


def _most(history: History, bearers: Numbers, ended: Numbers, possible: Bits) -> Numbers:
    """For each row, the most earlier rentals of its bearer that may be counted."""
    size = len(history)
    # A bearer and the number of a row are one number.
    bearer = (bearers + 1) * (size + 1)
    rows = bearer + np.arange(size, dtype=np.int64)
    begun = Steps(rows[possible], np.ones(int(possible.sum()), dtype=np.int64))
    over = Steps((bearer + ended)[possible], np.ones(int(possible.sum()), dtype=np.int64))
    return begun.between(bearer, rows, "left") - over.between(bearer, rows, "right")


def _maybe_new(history: History, terms: Terms) -> Bits:
    """The rows whose person may be new under a rule for new people."""
    rules = [(_new(one), _new(other)) for one, other in
             zip(history.products, terms.products, strict=True)]  # fmt: skip
    found = np.zeros(len(history), dtype=np.bool_)
    if not any(one or other for one, other in rules):
        return found
    count = int(history.users.max(initial=-1)) + 1
    pasts = [history.pasts.get(user, Past()) for user in range(count)]
    settled = np.array([it.settled for it in pasts], dtype=np.int64)[history.users]
    first = [FOREVER_US if it.first_us is None else it.first_us for it in pasts]
    age_us = history.at_us - np.array(first, dtype=np.int64)[history.users]
    for both in set(rules):
        own = np.array([it == both for it in rules])[history.product]
        for rule in both:
            if rule is not None:
                few = settled < (rule.until_settled or 0)
                found |= own & (few | (age_us < (rule.until_us or 0)))
    return found


def _new(product: Product) -> NewUser | None:
    return None if product.policy.rules is None else product.policy.rules.new_user
