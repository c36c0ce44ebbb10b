"""Histories for the tests of previews: made by hand, by chance, or by a real engine."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from service.domain.admission import Past
from service.domain.authorization import Authorization
from service.domain.policy import ALL_OFFERS, Offer, Policy
from service.domain.product import Product
from service.domain.rules import Rules
from service.domain.tariff import Tariff
from service.preview.history import DAY_US, DECLINED, NEVER, UNSCORED, Fact, Happened, History
from service.preview.read import Window, read_history
from service.preview.verdicts import Asked, Verdict, judge
from service.storage.database import reading
from service.storage.store import SqlStore
from service.storage.terms import read_catalog
from tests.engine.acts import claim_return, increment, lost, review, settle_usage
from tests.engine.calls import authorize, confirm, pick_up, reverse, settle, start
from tests.fakes import MINUTE_US, OPERATOR, OTHER_OPERATOR, Desk

HOUR_US = 60 * MINUTE_US
FROM_US = 1_780_272_000_000_000
UNTIL_US = FROM_US + 30 * DAY_US
POLICY = Policy(
    policy_id="careful",
    revision=1,
    zero_from_score=600,
    reduced_from_score=500,
    reduced_credit_share_bp=5_000,
    offer_window_us=15 * MINUTE_US,
    pickup_window_us=30 * MINUTE_US,
    max_feature_age_us=400 * DAY_US,
    review_window_us=DAY_US,
    rental_period_us=DAY_US,
    claim_window_us=2 * DAY_US,
    missing_window_us=30 * DAY_US,
)
TARIFF = Tariff(0, 5, 30, 150, 3_000, 9_900)
BANK = Product("city", "bank", 1, "POWER_BANK", "CNY", 9_900, 8_000, TARIFF, POLICY)
BIKE = replace(BANK, product_id="bike", category="BIKE", deposit_minor=19_900)
PRODUCTS = (BANK, BIKE)


class Told(NamedTuple):
    """One item of a history in short: the product's number and the person's, the score, the free
    part of the line, the minute of the decision, and how the rental went on."""

    product: int
    user: int
    score: int
    available: int
    minute: int
    accepted: tuple[Offer, ...] = ()
    facts: int = 0
    taken: bool = True
    minutes: int | None = 60
    captured_minor: int = 0
    call: int | None = None
    device: int = NEVER


def history(
    told: Iterable[Told],
    products: Sequence[Product] = PRODUCTS,
    pasts: dict[int, Past] | None = None,
) -> History:
    """The history of these items: each got the offer that the terms in force give.

    An offer that was `taken` was held at once, for so many minutes (None: to this day).
    """
    rows = sorted(told, key=lambda it: it.minute)
    calls: dict[int, list[int]] = {}
    for row, it in enumerate(rows):
        calls.setdefault(-row - 1 if it.call is None else it.call, []).append(row)
    accepted = sorted({it.accepted for it in rows})
    reason_lists: list[tuple[str, ...]] = []
    numbers = {number: place for place, number in enumerate(calls)}
    values: dict[int, tuple[int, ...]] = {}
    for number, members in calls.items():
        first = rows[members[0]]
        asked = Asked(first.score, first.facts, first.accepted)
        wanted = [products[rows[row].product] for row in members]
        for row, verdict in zip(members, judge(asked, wanted, first.available), strict=True):
            if verdict.reasons not in reason_lists:
                reason_lists.append(verdict.reasons)
            reasons = reason_lists.index(verdict.reasons)
            accept = accepted.index(rows[row].accepted)
            head = (numbers[number], rows[row].user, rows[row].product, accept)
            values[row] = _values(rows[row], verdict, head, reasons)
    columns = np.array([values[row] for row in range(len(rows))], dtype=np.int64).T
    return History(
        OPERATOR, FROM_US, UNTIL_US, tuple(products), tuple(accepted), tuple(reason_lists),
        **dict(zip(COLUMNS, columns, strict=True)), most_available=columns[7], pasts=pasts or {},
    )  # fmt: skip


COLUMNS = (
    *("at_us", "calls", "users", "product", "accept", "score", "facts", "available", "offers"),
    *("reasons", "as_of_us", "happened", "held_us", "close_us", "captured", "captured_fee"),
    *("captured_credit", "unpaid", "written_off", "devices", "accounts"),
)


def _values(
    it: Told, verdict: Verdict, head: tuple[int, int, int, int], reasons: int
) -> tuple[int, ...]:
    """The columns of one item, in their order."""
    at_us = FROM_US + it.minute * MINUTE_US
    held = it.taken and verdict.rank != DECLINED
    close_us = at_us
    if held:
        close_us = NEVER if it.minutes is None else at_us + it.minutes * MINUTE_US
    happened = 0
    if held:
        happened = Happened.HELD | Happened.STARTED | Happened.EXACT | Happened.AT_ONCE
        happened |= 0 if it.minutes is None else Happened.SETTLED
    captured = it.captured_minor if held else 0
    credit = min(captured, verdict.credit_minor)
    return (
        *(at_us, *head, it.score, it.facts, it.available, verdict.rank, reasons, at_us),
        *(happened, at_us, close_us),
        *(captured, captured, credit, credit, 0, it.device, NEVER),
    )


def by_chance(seed: int, items: int, people: int) -> History:
    """A history by chance: few people with short lines, so that decisions depend on each other."""
    chance = random.Random(seed)
    told = []
    for call in range(items):
        user, minute = chance.randrange(people), chance.randrange(-90, 600)
        common = {
            "accepted": chance.choice([(), (), ALL_OFFERS[:1], ALL_OFFERS[:2], ALL_OFFERS[::-1]]),
            "facts": chance.choice([0] * 8 + [Fact.WATCHED, Fact.SUSPENDED, Fact.CANCELLED]),
            "score": chance.choice([UNSCORED, *range(450, 700, 10)]),
            "device": chance.choice([NEVER, NEVER, 1, 2]),
            "available": chance.choice([0, 4_950, 9_900, 9_950, 14_900, 19_900, 30_000]),
        }
        for _ in range(chance.choice([1, 1, 1, 1, 2])):
            told.append(
                Told(
                    chance.randrange(2), user, minute=minute, call=call,
                    taken=chance.random() < 0.8, minutes=chance.choice([None, 30, 90, 500]),
                    captured_minor=chance.choice([0, 150, 3_000]), **common,
                )
            )  # fmt: skip
    return history(told)


def changed(products: Sequence[Product], **values: Any) -> tuple[Product, ...]:
    """The products with other values of the policy, or another deposit."""
    deposit_minor = values.pop("deposit_minor", None)
    return tuple(
        replace(
            it,
            policy=replace(it.policy, **values),
            deposit_minor=it.deposit_minor if deposit_minor is None else deposit_minor,
        )
        for it in products
    )


def read(store: SqlStore, until_us: int, **values: Any) -> History:
    """The history of 30 days of the first operator in a database."""
    window = Window(OPERATOR, until_us - 30 * DAY_US, until_us, 100_000, **values)
    with reading(store.engine) as connection:
        return read_history(connection, window, read_catalog(connection))


def play(desk: Desk, seed: int, calls: int) -> None:
    """Plays rentals of both operators by chance: granted, paid, returned, claimed, lost and
    declined."""
    chance = random.Random(seed)
    people = [f"p{number}" for number in range(8)]
    desk.put_users(**{it: chance.choice([470, 510, 560, 620, 700]) for it in people})
    open_rentals: list[Authorization] = []
    for number in range(calls):
        desk.clock.advance(desk.clock.now_us() + chance.randrange(2 * HOUR_US))
        caller = chance.choice([OPERATOR, OPERATOR, OTHER_OPERATOR])
        product_id = chance.choice(["bike", "umbrella", "power-bank"])
        accept = chance.choice([(), (), (Offer.ZERO,), (Offer.ZERO, Offer.REDUCED)])
        ask = chance.choice([authorize, authorize, pick_up])
        command = ask(chance.choice(people), product_id)._replace(accept_offers=accept)
        made = desk.work(command, caller=caller)
        desk.apply(made)
        answer = desk.answers.get(made.request_id)
        if not isinstance(answer, Authorization):
            continue
        if answer.state == "OFFERED" and chance.random() < 0.6:
            desk.apply(desk.work(confirm(answer, reference=f"pay-{number}"), caller=caller))
        open_rentals.append(answer)
        if len(open_rentals) > 5:
            it = open_rentals.pop(chance.randrange(len(open_rentals)))
            end = chance.choice(
                [settle_usage(it), settle_usage(it), settle(it, 0), claim_return(it), lost(it),
                 reverse(it), start(it), increment(it, 100), review(it, approve=True)]
            )  # fmt: skip
            desk.apply(desk.work(end, caller=it.operator_id))


def with_rules(products: Sequence[Product], rules: Rules | None) -> tuple[Product, ...]:
    """The products under rules of admission."""
    return tuple(replace(it, policy=replace(it.policy, rules=rules)) for it in products)
