"""A random day under one policy, previewed under a stricter one, is the day of an engine that
decided under the stricter one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Start, State
from service.domain.details import ItemPlace, Order
from service.domain.documents import DocumentKind
from service.domain.listings import ListingKind
from service.domain.policy import Offer
from service.domain.policy_document import write_policy
from service.domain.rules import (
    Breaker,
    Budget,
    Closes,
    Condition,
    Counted,
    Of,
    Outcome,
    Rules,
    Signal,
    SignalRule,
    Span,
    Velocity,
)
from service.domain.rules_document import json_of_rules
from service.engine import operations as c
from service.engine.breakers import LossWatch
from service.ids import RandomIds
from service.preview.drafts import read_draft
from service.preview.history import DAY_US, RANKS
from service.preview.read import read_history
from service.preview.run import Asked, preview, window_of
from service.preview.shortcut import replay_fast
from service.preview.verdicts import of_rules
from service.storage import schema as t
from service.storage.breakers import BreakerStore
from service.storage.database import reading
from service.storage.store import SqlStore
from service.storage.terms import read_catalog
from tests.conftest import Databases
from tests.engine import acts, listing
from tests.engine.calls import authorize
from tests.engine.test_velocity import rental_in
from tests.fakes import MINUTE_US, OPERATOR, START_US, Desk
from tests.preview.plain import replay
from tests.storage.administered import apply_terms

PRODUCTS = ("bike", "bike", "bike", "umbrella", "power-bank")
PEOPLE = {f"p{number}": score for number, score in enumerate((700, 700, 680, 660, 640, 610))}
DECLINE, FULL = Outcome.DECLINE, Outcome.FULL


class Told(NamedTuple):
    """One order of a day: the minutes until it, the command, and the minutes that it is out for;
    None for an item that does not come back. It comes back at a station."""

    after: int
    command: c.Authorize
    minutes: int | None
    station: str


def day(seed: int, orders: int, *, losses: bool = False) -> list[Told]:
    """The orders of a day by chance; nobody pays a deposit."""
    chance, told = random.Random(seed), []
    for number in range(orders):
        order = Order(
            labels=chance.choice(["", '{"trip":"work"}']),
            place=ItemPlace(chance.choice(["", "pier", "hill"])),
            device_hash=chance.choice(["", "d0", "d1"]),
            payment_account_hash=chance.choice(["", "a0", "a1"]),
            time_zone=chance.choice(["", "Asia/Shanghai", "Asia/Kolkata"]),
        )
        command = authorize(
            chance.choice(list(PEOPLE)),
            chance.choice(PRODUCTS),
            "" if losses else f"item-{number % 30}",
            accept=(Offer.ZERO,),
            start=chance.choice([Start.IMMEDIATE] * 3 + [Start.ON_PICKUP]),
        )
        out = chance.randrange(5, 25)
        told.append(
            Told(
                chance.randrange(1, 20 if not losses else 300),
                command._replace(order=order),
                None if losses and chance.random() < 0.2 else chance.choice([out, out, 90, 150]),
                chance.choice(["pier", "hill"]),
            )
        )
    return told


def play(desk: Desk, told: list[Told]) -> list[tuple[int, tuple[str, ...]]]:
    """Plays the day; gives the rank and the reasons of each decision."""
    desk.put_users(**PEOPLE)
    for user_id in PEOPLE:
        # No line is exhausted: what a person would do with a milder offer nobody knows.
        desk.do(c.SetLimit(user_id, acts.money(10_000_000)), caller=PLATFORM)
    watch = LossWatch(desk.engine.terms, BreakerStore(desk.store.engine), lambda _: None)
    out: list[tuple[int, Told, Authorization]] = []
    found = []
    for number, it in enumerate(told):
        now_us = desk.clock.now_us() + it.after * MINUTE_US
        # Each step has an instant of its own, so that the order of all calls is known.
        for place, (end_us, told_then, one) in enumerate(list(out)):
            if end_us <= now_us - MINUTE_US // 2:
                out.remove((end_us, told_then, one))
                desk.clock.advance(now_us - MINUTE_US // 2 + place)
                end = acts.lost(one) if told_then.minutes is None else ended(one, told_then.station)
                desk.apply(desk.work(end))
        desk.clock.advance(now_us)
        watch.look(now_us)
        answer = rental_in(desk.do(it.command, request_id=f"order-{number}"))
        found.append((RANKS[answer.offer], of_rules(answer.reasons)))
        if answer.state in (State.ACTIVE, State.AUTHORIZED):
            minutes = 26 * 60 if it.minutes is None else it.minutes
            if answer.state is State.AUTHORIZED:
                # No reservation lapses, because no timer runs here.
                minutes = min(minutes, 8)
            out.append((now_us + minutes * MINUTE_US, it, answer))
    return found


def ended(it: Authorization, station: str) -> Any:
    """The end of a rental at a station, or of a reservation."""
    if it.state is State.AUTHORIZED:
        return c.Reverse(it.user_id, it.authorization_id)
    return replace(acts.settle_usage(it), place=ItemPlace(station))


def previewed(
    desk: Desk, rules: Rules, *, fast: bool = True
) -> list[tuple[int, int, tuple[str, ...]]]:
    """The ranks of both ends of each decision under a draft for bikes, and its reasons."""
    in_force = desk.store.catalog().products[OPERATOR, "bike"].policy
    document = write_policy(replace(in_force, rules=rules))
    until_us = desk.clock.now_us() + 1
    asked = Asked(OPERATOR, "policy", document, frozenset(), 30, until_us, 10_000)
    with reading(desk.store.engine) as connection:
        catalog = read_catalog(connection)
        draft = read_draft(connection, "policy", document, OPERATOR, catalog)
        window = window_of(asked, until_us - 30 * DAY_US, until_us, draft, catalog)
        history = read_history(connection, window, catalog)
    found = (replay_fast if fast else replay)(history, draft.terms(history))
    every = found.verdicts.all
    assert preview(desk.store.engine, asked).whole.decisions == len(history)
    return [
        (every[strict].rank, every[lenient].rank, every[strict].reasons)
        for strict, lenient in zip(found.strict.tolist(), found.lenient.tolist(), strict=True)
    ]


def condition(when: str, then: Outcome = DECLINE) -> Rules:
    """A policy with one condition."""
    return Rules(condition=(Condition("only", when, then),))


def signal(signal: Signal, most: int, **more: Any) -> Rules:
    """A policy with one signal over two days."""
    return Rules(signal=(SignalRule(signal, most, 2 * DAY_US, DECLINE, **more),))


BIKE_MINOR = 19_900
TWO_OPEN = (Velocity(Of.USER, Counted.OPEN, 1, DECLINE),)
STRICTER = {
    "the hour, in the zone of the order": condition("hour < 3 || hour >= 9"),
    "the score": condition("score < 650", FULL),
    "labels": condition("has(labels.trip) && labels.trip == 'work' && weekday <= 6"),
    "station and device": condition("station == 'pier' && (device_known || !account_known)"),
    "the band, and reservations": condition("band in ['B', 'C'] && !reserves"),
    "counts in a condition": condition("open_rentals > 0 || starts_hour > 2 || starts_day > 5"),
    "a condition that fails": condition("labels.trip == 'work'"),
    "a shared device": signal(Signal.DEVICE_SHARED, 2),
    "a shared account": signal(Signal.PAYMENT_ACCOUNT_SHARED, 3),
    "many devices": signal(Signal.MANY_DEVICES, 1),
    "new accounts": signal(Signal.NEW_ACCOUNTS_ON_DEVICE, 3),
    "the same item again": signal(Signal.ITEM_REPEATED, 1),
    "returns too soon": signal(Signal.IMPLAUSIBLE_RETURNS, 0, within_us=60 * MINUTE_US),
    "a budget of open exposure": Rules(budget=(Budget("CNY", Span.OPEN, 3 * BIKE_MINOR, 0),)),
    "a budget of a day": Rules(budget=(Budget("CNY", Span.DAY, 9 * BIKE_MINOR, BIKE_MINOR),)),
    "all together": Rules(
        velocity=TWO_OPEN,
        condition=(Condition("c", "starts_day > 9 || hour == 1", DECLINE),),
        signal=(SignalRule(Signal.DEVICE_SHARED, 4, DAY_US, FULL),),
        budget=(Budget("CNY", Span.OPEN, 4 * BIKE_MINOR, BIKE_MINOR),),
    ),
}


@pytest.fixture
def desks(store: SqlStore, databases: Databases) -> Iterator[tuple[Desk, Desk]]:
    """An engine under the terms in force, and one for the draft's."""
    url = databases.new()
    other = SqlStore(databases.engine(url))
    yield Desk(store, ids=RandomIds()), Desk(other, ids=RandomIds())
    other.close()
    databases.drop(url)


def compare(desks: tuple[Desk, Desk], told: list[Told], rules: Rules) -> int:
    """Compares the preview with the engine under the draft; the number of stricter answers."""
    first, second = desks
    acts.change_terms(second, t.policies, "bike", rules=json_of_rules(rules))
    before, expected = play(first, told), play(second, told)
    for fast in (True, False):
        found = previewed(first, rules, fast=fast)
        assert [(rank, rank) for rank, _ in expected] == [it[:2] for it in found]
        assert [reasons for _, reasons in expected] == [it[2] for it in found]
    return sum(one[0] < other[0] for one, other in zip(before, expected, strict=True))


@pytest.mark.parametrize("name", STRICTER)
def test_a_preview_is_the_day_of_an_engine_under_the_draft(
    desks: tuple[Desk, Desk], name: str
) -> None:
    """Each decision of a day under no rules has in the preview of stricter rules the answer and the
    reasons of an engine that decided the day under them."""
    assert compare(desks, day(1, 60), STRICTER[name]) > 1


def test_a_breaker_opens_as_in_an_engine(desks: tuple[Desk, Desk]) -> None:
    """A breaker of the draft opens by the losses of the day, in the order of time."""
    rules = Rules(breaker=(Breaker("CNY", 3 * DAY_US, 2 * BIKE_MINOR, 2, Closes.WHEN_UNDER),))
    assert compare(desks, day(2, 60, losses=True), rules) > 2


def test_a_snooze_counts_for_its_time(desks: tuple[Desk, Desk]) -> None:
    """A listing that skips a rule until a time is skipped in the preview until that time."""
    rules = Rules(velocity=TWO_OPEN, condition=(Condition("night", "hour < 6", DECLINE),))
    night: dict[str, Any] = {"name": "night", "when": "hour < 6", "then": "DECLINE"}
    cut_offs = {"zero_from_score": 600, "reduced_from_score": 520, "reduced_credit_share_bp": 0}
    for desk in desks:
        draft = {"name": "draft", **cut_offs, "condition": [night]}
        apply_terms(desk.store.engine, PLATFORM, DocumentKind.POLICY, draft, activate=False)
        for user_id in ("p0", "p1"):
            names = ("VELOCITY_USER_OPEN", "CONDITION/night")
            expire_us = START_US + 5 * 3_600_000_000
            listing.add(desk, user_id, ListingKind.USER, owner="platform", rules=names,
                        expire_us=expire_us)  # fmt: skip
        listing.add(desk, "d1", ListingKind.DEVICE, owner="platform",
                    rules=("VELOCITY_USER_OPEN",))  # fmt: skip
    assert compare(desks, day(3, 60), rules) > 2
