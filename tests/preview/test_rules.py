"""Rules of admission that are decided again: velocity, new people, cut-offs and ladders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.admission import Past
from service.domain.details import ItemPlace, Order
from service.domain.errors import InvalidInput
from service.domain.policy import Offer
from service.domain.policy_document import write_policy
from service.domain.rules import (
    Breaker,
    Budget,
    Closes,
    Condition,
    Counted,
    CutOff,
    NewUser,
    Of,
    Outcome,
    Rules,
    Rung,
    Signal,
    SignalRule,
    Span,
    Velocity,
)
from service.domain.rules_document import json_of_rules
from service.ids import RandomIds
from service.preview.history import DAY_US, NEVER, Beside, Happened, History, Loss
from service.preview.history import Told as OrderTold
from service.preview.own_view import own_view
from service.preview.replay import Replayed, Terms
from service.preview.report import Preview, Range
from service.preview.run import Asked, preview
from service.preview.shortcut import replay_fast
from service.storage import schema as t
from service.storage.store import SqlStore
from tests.engine.acts import change_terms, settle_usage
from tests.engine.calls import authorize, pick_up, start
from tests.engine.test_velocity import rental_in
from tests.fakes import MINUTE_US, OPERATOR, Desk
from tests.preview.histories import Told, changed, history, play, with_rules
from tests.preview.plain import replay
from tests.preview.test_replay import DECLINED, FULL, HISTORIES, REDUCED, ZERO, whole

TWO_OPEN = Rules(velocity=(Velocity(Of.USER, Counted.OPEN, 2, Outcome.DECLINE),))
ONE_AN_HOUR = Rules(velocity=(Velocity(Of.USER, Counted.HOUR, 1, Outcome.DECLINE),))
ONE_A_DEVICE = Rules(velocity=(Velocity(Of.DEVICE, Counted.OPEN, 1, Outcome.FULL),))


def ends(
    told: list[Told], rules: Rules, pasts: dict[int, Past] | None = None, **values: Any
) -> list[tuple[int, int]]:
    """The ranks of both ends under rules; the shortcut gives the same."""
    made = history(told, pasts=pasts)
    terms = Terms(with_rules(changed(made.products, **values), rules))
    found = replay(made, terms)
    assert whole(replay_fast(made, terms)) == whole(found)
    return ranks(found)


def ranks(found: Replayed) -> list[tuple[int, int]]:
    """The ranks of both ends."""
    every = found.verdicts.all
    return [
        (every[strict].rank, every[lenient].rank)
        for strict, lenient in zip(found.strict.tolist(), found.lenient.tolist(), strict=True)
    ]


def banks(*minutes: int, **values: Any) -> list[Told]:
    """Banks of a person with a long line, out for an hour each."""
    return [Told(0, 1, 700, 90_000, minute, **values) for minute in minutes]


def test_a_third_open_rental_is_declined() -> None:
    """Under at most two open rentals the third of three at the same time is declined."""
    assert ends(banks(0, 1, 2), TWO_OPEN) == [(ZERO, ZERO), (ZERO, ZERO), (DECLINED, DECLINED)]


def test_a_declined_rental_does_not_count_for_later_ones() -> None:
    """Under one open rental, of rentals of an hour at minutes 0, 1 and 61 the second is declined,
    and so the third is granted; at minute 59 the first is still out."""
    one = Rules(velocity=(Velocity(Of.USER, Counted.OPEN, 1, Outcome.DECLINE),))
    assert ends(banks(0, 1, 61), one) == [(ZERO, ZERO), (DECLINED, DECLINED), (ZERO, ZERO)]
    assert ends(banks(0, 1, 59), one) == [(ZERO, ZERO), (DECLINED, DECLINED), (DECLINED, DECLINED)]


def test_a_window_of_an_hour_slides() -> None:
    """Under one an hour, a rental exactly an hour after the first is granted, and one a minute
    earlier is declined."""
    short = [it._replace(minutes=5) for it in banks(0, 59, 60)]
    assert ends(short, ONE_AN_HOUR) == [(ZERO, ZERO), (DECLINED, DECLINED), (ZERO, ZERO)]


def test_a_rental_that_the_cut_off_declines_frees_its_velocity() -> None:
    """A person whose first rental is declined by the draft's cut-off has none open when the score
    has risen."""
    first = Told(0, 1, 620, 90_000, 0, accepted=(Offer.ZERO,))
    second = Told(0, 1, 700, 90_000, 10)
    one = Rules(velocity=(Velocity(Of.USER, Counted.OPEN, 1, Outcome.DECLINE),))
    assert ends([first, second], one) == [(ZERO, ZERO), (DECLINED, DECLINED)]
    assert ends([first, second], one, zero_from_score=640) == [
        (DECLINED, DECLINED),
        (ZERO, ZERO),
    ]


def test_a_rental_that_may_not_have_happened_makes_a_bound_uncertain() -> None:
    """A person who is asked for cash may have gone away: the next rental is declined or not."""
    first, second = Told(0, 1, 620, 90_000, 0), Told(0, 1, 700, 90_000, 10)
    one = Rules(velocity=(Velocity(Of.USER, Counted.OPEN, 1, Outcome.DECLINE),))
    assert ends([first, second], one, zero_from_score=640) == [
        (REDUCED, REDUCED),
        (DECLINED, ZERO),
    ]


def test_a_device_counts_over_people() -> None:
    """Under one open rental a device, a second person on the same device is asked for the full
    deposit, and a person on another device is not."""
    told = [
        Told(0, 1, 700, 90_000, 0, device=7),
        Told(0, 2, 700, 90_000, 5, device=7),
        Told(0, 3, 700, 90_000, 6, device=8),
        Told(0, 4, 700, 90_000, 7),
    ]
    assert ends(told, ONE_A_DEVICE) == [(ZERO, ZERO), (FULL, FULL), (ZERO, ZERO), (ZERO, ZERO)]


def test_rentals_from_before_the_window_count() -> None:
    """Two rentals that are out since before the window count for the first decision in it."""
    assert ends(banks(-30, -20, 0), TWO_OPEN)[2] == (DECLINED, DECLINED)


def test_new_people_get_a_stricter_offer_until_they_are_known() -> None:
    """A person without a settled rental is asked for the full deposit, and is known once the first
    rental, in which nobody knows whether it was taken, is settled."""
    new = Rules(new_user=NewUser(until_settled=1, mildest_offer=Outcome.FULL))
    told = [it._replace(minutes=10) for it in banks(0, 30)]
    assert ends(told, new) == [(FULL, FULL), (FULL, ZERO)]
    assert ends(told, new, {1: Past(1, 0)}) == [(ZERO, ZERO), (ZERO, ZERO)]


def test_cut_offs_of_a_category_and_a_ladder_are_decided_again() -> None:
    """A cut-off of power banks does not touch bikes; a ladder gives the share of its rung."""
    told = [Told(0, 1, 620, 90_000, 0), Told(1, 2, 620, 90_000, 1)]
    power_banks = Rules(cut_off=(CutOff("POWER_BANK", 650, 600),))
    assert ends(told, power_banks) == [(REDUCED, REDUCED), (ZERO, ZERO)]
    ladder = Rules(ladder=(Rung(650, 10_000), Rung(600, 8_000), Rung(500, 2_000)))
    made = history(told)
    found = replay_fast(made, Terms(with_rules(made.products, ladder)))
    assert [found.verdicts.all[it].credit_minor for it in found.strict.tolist()] == [7_920, 15_920]


VELOCITIES = st.builds(
    Velocity,
    st.sampled_from(Of),
    st.sampled_from(Counted),
    st.integers(0, 3),
    st.sampled_from([Outcome.FULL, Outcome.REVIEW, Outcome.DECLINE]),
)
NEW = st.builds(
    NewUser,
    until_settled=st.sampled_from([None, 1, 3]),
    until_us=st.sampled_from([None, 60 * MINUTE_US]),
    mildest_offer=st.sampled_from([None, Outcome.REDUCED, Outcome.FULL]),
    most_waived_minor=st.sampled_from([None, 0, 5_000]),
    most_open=st.sampled_from([None, 1]),
)
OUTCOMES = st.sampled_from([Outcome.REDUCED, Outcome.FULL, Outcome.REVIEW, Outcome.DECLINE])
TOLD = (
    OrderTold(),
    OrderTold(time_zone="Asia/Tokyo", device=True),
    OrderTold(station="north", time_zone="America/New_York"),
    OrderTold(station="north", band="A", account=True),
)
CONDITIONS = st.builds(
    Condition,
    st.sampled_from(["one", "two"]),
    st.sampled_from(
        [
            "score < 640",
            "order_minor > 15000",
            "open_rentals > 1 && hour > 2",
            "items > 1",
            "reserves",
            "score < 640 && hour < 2 || order_minor > 15000 && hour > 2",
            "score < 600 || labels['kind'] == 'a'",
            "hour < 3 && 100 / (score - 640) < 2",
        ]
    ),
    OUTCOMES,
)
SIGNALS = st.builds(
    SignalRule,
    st.sampled_from([Signal.DEVICE_SHARED, Signal.MANY_DEVICES, Signal.NEW_ACCOUNTS_ON_DEVICE]),
    st.integers(0, 3),
    st.sampled_from([60 * MINUTE_US, 600 * MINUTE_US]),
    st.sampled_from([Outcome.FULL, Outcome.DECLINE]),
    st.none(),
)
BUDGETS = st.builds(
    Budget,
    st.just("CNY"),
    st.sampled_from(Span),
    st.sampled_from([0, 20_000, 60_000, 200_000]),
    st.just(0),
)
BREAKERS = st.builds(
    Breaker,
    st.just("CNY"),
    st.just(DAY_US),
    st.sampled_from([0, 6_000, 20_000]),
    st.sampled_from([0, 2]),
    st.sampled_from(Closes),
)
SHARED = st.builds(
    Rules,
    cut_off=st.none(),
    ladder=st.sampled_from([None, (Rung(640, 10_000), Rung(500, 3_000))]),
    condition=st.none(),
    signal=st.none(),
    velocity=st.none(),
    new_user=st.none(),
    budget=st.lists(BUDGETS, min_size=1, max_size=2, unique_by=lambda it: it.span).map(tuple),
    breaker=st.none() | BREAKERS.map(lambda it: (it,)),
)
RULES = st.builds(
    Rules,
    cut_off=st.none(),
    condition=st.none() | st.lists(CONDITIONS, min_size=1, max_size=2, unique=True).map(tuple),
    signal=st.none() | st.lists(SIGNALS, min_size=1, max_size=2).map(tuple),
    budget=st.none() | BUDGETS.map(lambda it: (it,)),
    breaker=st.none(),
    ladder=st.sampled_from([None, (Rung(640, 10_000), Rung(560, 7_000), Rung(500, 3_000))]),
    velocity=st.none() | st.lists(VELOCITIES, min_size=1, max_size=2).map(tuple),
    new_user=st.none() | NEW,
)


@st.composite
def told_histories(draw: st.DrawFn) -> History:
    """Histories with details of the orders, in half of them; the others have none."""
    made = draw(HISTORIES)
    if draw(st.booleans()):
        return made
    places = draw(st.lists(st.integers(0, 3), min_size=len(made), max_size=len(made)))
    beside = made.beside._replace(told=TOLD, told_of=np.array(places, dtype=np.int64))
    return replace(made, beside=beside)


@given(made=told_histories(), rules=RULES, zero=st.integers(560, 680))
def test_the_shortcut_gives_the_same_under_rules(made: History, rules: Rules, zero: int) -> None:
    """Every verdict of the shortcut is that of the plain replay, whatever the rules."""
    terms = Terms(with_rules(changed(made.products, zero_from_score=zero), rules))
    assert whole(replay_fast(made, terms)) == whole(replay(made, terms))


@st.composite
def bound_histories(draw: st.DrawFn) -> History:
    """Histories under rules in force, in which some holds began late or perhaps, and some rentals
    are lost. In half of them each item has a call of its own."""
    made = draw(HISTORIES)
    happened, held_us, losses = made.happened.copy(), made.held_us.copy(), []
    courses = st.sampled_from(["", "", "", "late", "perhaps", "lost"])
    for row, course in enumerate(draw(st.lists(courses, min_size=len(made), max_size=len(made)))):
        if course == "perhaps" and not happened[row] & Happened.HELD:
            happened[row] |= Happened.MAYBE_HELD
        elif course == "late" and happened[row] & Happened.HELD:
            happened[row] &= ~(Happened.EXACT | Happened.AT_ONCE)
            late_us = int(held_us[row]) + 20 * MINUTE_US
            held_us[row] = late_us if made.close_us[row] == NEVER else made.close_us[row]
        elif course == "lost" and happened[row] & Happened.HELD:
            at_us = int(made.at_us[row]) + 30 * MINUTE_US
            losses.append(Loss(at_us, f"rental-{row}", row, "careful", "CNY", 3_000, 6_000))
    beside = Beside(losses=tuple(sorted(losses)))
    rules = draw(st.none() | SHARED)
    made = replace(made, happened=happened, held_us=held_us, beside=beside)
    if draw(st.booleans()):
        made = replace(made, calls=np.arange(len(made)))
    made = replace(made, products=with_rules(made.products, rules))
    return own_view(made) if draw(st.booleans()) else made


@given(made=bound_histories(), rules=SHARED, zero=st.integers(560, 680))
def test_the_shortcut_gives_the_same_under_shared_rules(
    made: History, rules: Rules, zero: int
) -> None:
    """Every verdict of the shortcut is that of the plain replay under budgets and breakers, in
    force and under the draft."""
    terms = Terms(with_rules(changed(made.products, zero_from_score=zero), rules))
    assert whole(replay_fast(made, terms)) == whole(replay(made, terms))


@pytest.mark.parametrize("span", Span)
def test_a_hold_that_does_not_repeat_uses_up_a_budget(span: Span) -> None:
    """A score of 620 was held 99 yuan on credit, and would get half of it under the terms in force
    now. All 99 yuan count for a budget of 150 yuan, so that a score of 700 gets half of it too."""
    told = [Told(0, 1, 620, 90_000, 0), Told(0, 2, 700, 90_000, 10)]
    budget = Budget("CNY", span, 15_000, 0)
    stricter = changed(history(told).products, zero_from_score=640)
    made = replace(history(told), products=with_rules(stricter, Rules(budget=(budget,))))
    terms = Terms(stricter)
    found = replay_fast(made, terms)
    assert whole(found) == whole(replay(made, terms))
    assert [found.verdicts.all[it].rank for it in found.again.tolist()] == [REDUCED, REDUCED]


@pytest.fixture
def city(store: SqlStore) -> Desk:
    """An engine whose ids begin with the time, where Ann scores 700."""
    desk = Desk(store, ids=RandomIds())
    desk.put_users(ann=700)
    return desk


def previewed(desk: Desk, **values: Any) -> Preview:
    """The preview of the bikes' policy with more sections."""
    in_force = desk.store.catalog().products[OPERATOR, "bike"].policy
    document = {**write_policy(in_force), **values}
    until_us = desk.clock.now_us() + 1
    asked = Asked(OPERATOR, "policy", document, frozenset(), 30, until_us, 1_000)
    return preview(desk.store.engine, asked)


def test_a_draft_with_velocity_is_previewed_from_the_database(city: Desk) -> None:
    """Ann took two bikes at once, returned them, and took a third. Under one open rental a user,
    the second is declined, with a reason of its own."""
    for number in range(2):
        city.do(authorize("ann", asset_id=f"bike-{number}"))
        city.clock.advance(city.clock.now_us() + MINUTE_US)
    velocity = [{"of": "USER", "counted": "OPEN", "most": 1, "then": "DECLINE"}]
    whole_part = previewed(city, velocity=velocity).whole
    assert whole_part.offers == {"ZERO": {"ZERO": 1, "DECLINED": 1}}
    assert whole_part.exact
    reasons = {it.reason: it.after for it in whole_part.refusals}
    assert reasons == {"VELOCITY_USER_OPEN": Range(1, 1)}


def test_rules_that_are_not_replayed_are_named(city: Desk) -> None:
    """A draft that counts the rentals of all operators is previewed by its other rules, and the
    answer says so first. A draft that has nothing else changes nothing."""
    for number in range(2):
        city.do(authorize("ann", asset_id=f"bike-{number}"))
        city.clock.advance(city.clock.now_us() + MINUTE_US)
    own = {"of": "USER", "counted": "OPEN", "most": 1, "then": "DECLINE"}
    over_all = {**own, "counted": "HOUR", "then": "FULL", "over": "ALL_OPERATORS"}
    alone = previewed(city, velocity=[over_all])
    assert alone.whole.offers == {"ZERO": {"ZERO": 2}}
    text = "The draft has rules over all operators. They are not decided again"
    assert alone.notes[0].startswith(text)
    with_own = previewed(city, velocity=[over_all, own])
    assert with_own.whole.offers == {"ZERO": {"ZERO": 1, "DECLINED": 1}}
    assert with_own.notes[0] == alone.notes[0]
    assert not any("not decided again" in it for it in previewed(city, velocity=[own]).notes)


def reserved(desk: Desk, station: str) -> None:
    """Ann reserves a bike at the pier, and takes it at a station."""
    order = Order(place=ItemPlace("pier"))
    it = rental_in(desk.do(pick_up("ann")._replace(order=order)))
    desk.clock.advance(desk.clock.now_us() + MINUTE_US)
    desk.do(replace(start(it), place=ItemPlace(station)))
    desk.do(settle_usage(it))
    desk.clock.advance(desk.clock.now_us() + MINUTE_US)


AT_THE_PIER = {"name": "pier", "when": "station == 'pier'", "then": "DECLINE"}


def test_a_value_that_no_decision_kept_is_not_guessed(city: Desk) -> None:
    """The pick-up told another station, and no rule in force read that of the order: a condition
    on the station is not known for this decision, which is counted apart. It is known for an order
    that was taken at once."""
    reserved(city, "hill")
    found = previewed(city, condition=[AT_THE_PIER])
    assert found.whole.offers == {"ZERO": {"UNCERTAIN": 1}}
    assert found.notes[0].startswith("Not known for 1 decisions: a condition reads station")
    city.do(authorize("ann")._replace(order=Order(place=ItemPlace("pier"))))
    assert previewed(city, condition=[AT_THE_PIER]).whole.offers == {
        "ZERO": {"UNCERTAIN": 1, "DECLINED": 1}
    }


def test_a_value_that_the_decision_kept_is_known(city: Desk) -> None:
    """A condition in force read the station of the order, so the decision kept it."""
    reads = (Condition("reads", "station == 'nowhere'", Outcome.DECLINE),)
    change_terms(city, t.policies, "bike", rules=json_of_rules(Rules(condition=reads)))
    reserved(city, "hill")
    assert previewed(city, condition=[AT_THE_PIER]).whole.offers == {"ZERO": {"DECLINED": 1}}


def test_a_score_of_features_that_were_too_old_is_not_guessed(city: Desk) -> None:
    """Features too old in force may be scored under the draft: a condition on the score is not
    known, so that the answer is a range from a decline on."""
    policies = t.policies
    change_terms(city, policies, "bike", max_feature_age_us=MINUTE_US)
    city.clock.advance(city.clock.now_us() + 3 * MINUTE_US)
    city.do(authorize("ann"))
    low = {"name": "low", "when": "score < 600", "then": "DECLINE"}
    days: dict[str, Any] = {"max_feature_age_days": 400, "condition": [low]}
    in_force = city.store.catalog().products[OPERATOR, "bike"].policy
    document = {**write_policy(in_force), **days}
    del document["max_feature_age_us"]
    asked = Asked(OPERATOR, "policy", document, frozenset(), 30, city.clock.now_us() + 1, 9)
    found = preview(city.store.engine, asked)
    assert found.whole.offers == {"FULL": {"UNCERTAIN": 1}}
    assert "a condition reads score" in found.notes[0]


def test_an_operators_draft_does_not_read_scores(city: Desk) -> None:
    """A condition on the score is refused for an operator, and so is one that makes no sense, with
    its place."""
    low = {"name": "low", "when": "score < 600", "then": "DECLINE"}
    in_force = city.store.catalog().products[OPERATOR, "bike"].policy
    until_us = city.clock.now_us() + 1
    for condition, least_people in ((low, 1), ({**low, "when": "band ="}, 0)):
        document = {**write_policy(in_force), "condition": [condition]}
        asked = Asked(OPERATOR, "policy", document, frozenset(), 30, until_us, 9, least_people)
        with pytest.raises(InvalidInput) as refusal:
            preview(city.store.engine, asked)
        assert refusal.value.violations[0].field == "condition[0].when"


@pytest.mark.parametrize("seed", range(3))
def test_rules_in_force_change_nothing(city: Desk, seed: int) -> None:
    """Over rentals by chance under rules that count rentals, the policy in force changes no
    decision, and nearly every decision is repeated."""
    two = Velocity(Of.USER, Counted.OPEN, 2, Outcome.FULL)
    day = Velocity(Of.USER, Counted.DAY, 4, Outcome.DECLINE)
    new = NewUser(until_settled=1, most_waived_minor=5_000)
    rules = json_of_rules(Rules(velocity=(two, day), new_user=new))
    for policy in ("bike", "small-item"):
        change_terms(city, t.policies, policy, rules=rules)
    play(city, seed, 80)
    whole_part = previewed(city).whole
    # A payment whose time is not known may have been later than the next decision.
    assert whole_part.decisions >= whole_part.repeated > 0.9 * whole_part.decisions
    assert (whole_part.changed, whole_part.exact) == (Range(0, 0), True)
    told = {it.reason for it in whole_part.refusals}
    assert told.intersection({"VELOCITY_USER_OPEN", "VELOCITY_USER_DAY", "NEW_USER"})
