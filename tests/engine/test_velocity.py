"""Bounds of the number of rentals: of a person, a device and a payment account."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.domain.details import Order
from service.domain.policy import Offer, Reason
from service.domain.rules import (
    Condition,
    Counted,
    NewUser,
    Of,
    Outcome,
    Over,
    Rules,
    Signal,
    SignalRule,
    Velocity,
)
from service.domain.rules_document import json_of_rules
from service.engine import operations as c
from service.engine.calls import Priced
from service.storage import schema as t
from tests.engine import acts
from tests.engine.calls import authorize, confirm, pick_up, rental, reverse, settle
from tests.fakes import OTHER_OPERATOR, Desk

ON_BOTH = "traces are counted by statements of their own"

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def under(desk: Desk, *velocity: Velocity, policy: str = "bike") -> None:
    """Puts a policy under bounds of the number of rentals."""
    rules = json_of_rules(Rules(velocity=velocity))
    acts.change_terms(desk, t.policies, policy, rules=rules)


def at_most(
    most: int,
    counted: Counted = Counted.OPEN,
    of: Of = Of.USER,
    then: Outcome = Outcome.DECLINE,
    over: Over = Over.OPERATOR,
) -> Velocity:
    return Velocity(of, counted, most, then, over)


def ordered(desk: Desk, user_id: str = "ann", device: str = "", account: str = "") -> Authorization:
    """An authorization of a bike, ordered with a device and a payment account."""
    order = Order(device_hash=device, payment_account_hash=account)
    answer = desk.do(authorize(user_id)._replace(order=order))
    return rental_in(answer)


def rental_in(answer: object) -> Authorization:
    it = answer.answer if isinstance(answer, Priced) else answer
    assert isinstance(it, Authorization)
    return it


def read_values(desk: Desk, it: Authorization) -> dict[str, Any] | None:
    """The values that the decision of an authorization has read."""
    d = t.decisions.c
    with desk.store.engine.connect() as connection:
        found = connection.scalar(select(d.read_values).where(d.decision_id == it.decision_id))
    return None if found is None else dict(json.loads(found))


def test_a_person_has_at_most_so_many_open_rentals(desk: Desk) -> None:
    """Two open rentals are allowed, the third is declined, and a return makes room again."""
    under(desk, at_most(2))
    desk.put_user("ann", 700)
    first, second, third = (rental(desk, authorize()) for _ in "abc")
    assert (first.state, second.state, third.state) == (State.ACTIVE, State.ACTIVE, State.DECLINED)
    assert third.reasons == (Reason.VELOCITY_USER_OPEN,)
    assert [read_values(desk, it) for it in (first, second, third)] == [
        {"user.open": 0},
        {"user.open": 1},
        {"user.open": 2},
    ]
    rental(desk, settle(first, 0))
    assert rental(desk, authorize()).state is State.ACTIVE


@pytest.mark.parametrize(
    ("beside", "reason"),
    [
        (Rules(new_user=NewUser(until_settled=1, mildest_offer=Outcome.FULL)), "NEW_USER"),
        (Rules(condition=(Condition("any", "items > 0", Outcome.FULL),)), "CONDITION/any"),
        (
            Rules(signal=(SignalRule(Signal.ITEM_REPEATED, 1, DAY_US, Outcome.FULL),)),
            "SIGNAL_ITEM_REPEATED",
        ),
    ],
)
def test_a_bound_stands_beside_other_rules(desk: Desk, beside: Rules, reason: str) -> None:
    """Beside a bound that allows a rental, each other rule of the policy counts."""
    rules = json_of_rules(beside._replace(velocity=(at_most(5),)))
    acts.change_terms(desk, t.policies, "bike", rules=rules)
    desk.put_user("ann", 700)
    asked = authorize()._replace(items=(c.Item("bike", "b-1"),))
    it = rental(desk, asked)
    if it.state is State.ACTIVE:  # a signal needs a second rental of the item
        rental(desk, settle(it, 0))
        it = rental(desk, asked)
    assert it.offer is Offer.FULL
    assert reason in it.reasons


def test_rentals_of_another_operator_do_not_count(desk: Desk) -> None:
    """An operator's bound counts its own rentals only."""
    under(desk, at_most(1))
    desk.put_user("ann", 700)
    assert rental(desk, authorize()).state is State.ACTIVE
    other = desk.do(authorize(), caller=OTHER_OPERATOR)
    assert rental_in(other).state is State.ACTIVE
    assert rental(desk, authorize()).state is State.DECLINED


@pytest.mark.parametrize(("counted", "window_us"), [(Counted.HOUR, HOUR_US), (Counted.DAY, DAY_US)])
def test_a_window_slides_by_the_microsecond(desk: Desk, counted: Counted, window_us: int) -> None:
    """A start counts for exactly 60 minutes, or 24 hours: a microsecond earlier it still counts."""
    under(desk, at_most(1, counted))
    desk.put_user("ann", 700)
    begun_us = desk.clock.now_us()
    rental(desk, settle(rental(desk, authorize()), 0))
    move(desk, begun_us + window_us - 1)
    third = rental(desk, authorize())
    assert third.reasons == (f"VELOCITY_USER_{counted}",)
    move(desk, begun_us + window_us)
    assert rental(desk, authorize()).state is State.ACTIVE


def move(desk: Desk, to_us: int) -> None:
    """Moves the clock."""
    assert desk.clock.advance(to_us)


@pytest.mark.parametrize("of", [Of.DEVICE, Of.PAYMENT_ACCOUNT])
@pytest.mark.parametrize("counted", list(Counted))
def test_a_device_and_an_account_are_bounded(desk: Desk, of: Of, counted: Counted) -> None:
    """Rentals of several people on one device, or with one payment account, count together; an
    order without the hash is not counted."""
    under(desk, at_most(1, counted, of))
    key = "device" if of is Of.DEVICE else "account"
    for user_id in ("ann", "ben", "cleo", "dan"):
        desk.put_user(user_id, 700)
    first = ordered(desk, "ann", **{key: "x"})
    second = ordered(desk, "ben", **{key: "x"})
    assert (first.state, second.state) == (State.ACTIVE, State.DECLINED)
    assert second.reasons == (f"VELOCITY_{of}_{counted}",)
    assert read_values(desk, second) == {f"{of.lower()}.{counted.lower()}": 1}
    assert ordered(desk, "cleo", **{key: "y"}).state is State.ACTIVE
    without = rental(desk, authorize("dan"))
    assert without.state is State.ACTIVE
    assert read_values(desk, without) == {f"{of.lower()}.{counted.lower()}": None}


def test_a_bound_may_ask_for_the_full_deposit(desk: Desk) -> None:
    """Above a bound with the outcome FULL the whole deposit is asked for, with the rule's
    reason."""
    under(desk, at_most(1, then=Outcome.FULL))
    desk.put_user("ann", 700)
    rental(desk, authorize())
    second = rental(desk, authorize())
    assert (second.offer, second.state) == (Offer.FULL, State.OFFERED)
    assert second.reasons == (Reason.VELOCITY_USER_OPEN,)
    assert rental(desk, confirm(second)).state is State.ACTIVE


def test_a_bound_may_ask_for_a_review(desk: Desk) -> None:
    """Above a bound with the outcome REVIEW a person decides, and an approval is not stopped by
    the same bound."""
    under(desk, at_most(1, then=Outcome.REVIEW))
    desk.put_user("ann", 700)
    rental(desk, authorize())
    second = rental(desk, authorize())
    assert second.state is State.REVIEW
    assert second.reasons == (Reason.UNDER_REVIEW, Reason.VELOCITY_USER_OPEN)
    assert rental(desk, acts.review(second, approve=True)).state is State.ACTIVE


def test_a_decline_is_stricter_than_a_review_and_a_full_deposit(desk: Desk) -> None:
    """If several rules apply, the strictest outcome counts, and each rule's reason is given."""
    under(
        desk,
        at_most(0, Counted.DAY, then=Outcome.REVIEW),
        at_most(0, Counted.HOUR, then=Outcome.DECLINE),
        at_most(0, then=Outcome.FULL),
    )
    desk.put_user("ann", 700)
    it = rental(desk, authorize())
    assert it.state is State.DECLINED
    assert it.reasons == ("VELOCITY_USER_HOUR", "VELOCITY_USER_DAY", "VELOCITY_USER_OPEN")


def test_each_item_of_a_group_counts(desk: Desk) -> None:
    """A group of two is declined as a whole where only one more rental is allowed."""
    under(desk, at_most(2))
    desk.put_user("ann", 700)
    rental(desk, authorize())
    pair = acts.members(desk, acts.group("ann", ("bike", ""), ("bike", "")))
    assert {it.state for it in pair} == {State.DECLINED}
    assert {it.reasons for it in pair} == {(Reason.VELOCITY_USER_OPEN,)}


def test_calls_of_one_batch_see_each_other(desk: Desk) -> None:
    """Of five calls in one batch, by one person or on one device, as many are granted as the bound
    allows; a return in the same batch makes room."""
    under(desk, at_most(2), at_most(3, of=Of.DEVICE))
    for user_id in ("ann", "ben"):
        desk.put_user(user_id, 700)
    held = rental(desk, authorize("ann", "umbrella"))
    order = Order(device_hash="x")
    asked = authorize("ann", "bike")._replace(order=order)
    works = [desk.work(it) for it in (asked, asked, settle(held, 0), asked)]
    works += [desk.work(authorize("ben", "bike")._replace(order=order)) for _ in "ab"]
    desk.apply(*works)
    states = [rental_in(desk.answers[it.request_id]).state for it in (*works[:2], *works[3:])]
    active, declined = State.ACTIVE, State.DECLINED
    assert states == [active, declined, active, active, declined]


def test_a_reversed_or_lapsed_rental_does_not_count(desk: Desk) -> None:
    """A rental that was reversed, and a reservation that has lapsed, count no more, even before a
    timer has ended it."""
    under(desk, at_most(1), at_most(1, Counted.DAY))
    desk.put_user("ann", 700)
    rental(desk, reverse(rental(desk, authorize())))
    waiting = rental(desk, pick_up())
    assert waiting.state is State.AUTHORIZED
    assert rental(desk, authorize()).state is State.DECLINED
    assert waiting.expire_us is not None
    move(desk, waiting.expire_us)
    assert rental(desk, authorize()).state is State.ACTIVE


def test_increments_and_charges_for_damage_do_not_count(desk: Desk) -> None:
    """A bound of one open rental stops neither an increment of it nor a charge for damage after
    it, and a charge for damage does not count as a rental."""
    under(desk, at_most(1), at_most(2, Counted.DAY))
    desk.put_user("ann", 700)
    first = rental(desk, authorize())
    assert rental(desk, acts.increment(first, 100)).state is State.ACTIVE
    rental(desk, settle(first, 0))
    charge = replace_parent(authorize(), first)
    assert rental(desk, charge).state is State.ACTIVE
    assert rental(desk, authorize()).state is State.ACTIVE


def replace_parent(command: c.Authorize, parent: Authorization) -> c.Authorize:
    """A charge for damage to a rental."""
    return command._replace(parent_id=parent.authorization_id)


def test_a_confirmation_is_bounded_too(desk: Desk) -> None:
    """Of three offers of one person within a bound of two, the last confirmation is declined and
    its money is owed back."""
    under(desk, at_most(2), policy="small-item")
    desk.put_user("ann", 549)
    offers = [rental(desk, authorize("ann", "umbrella")) for _ in "abc"]
    assert {it.state for it in offers} == {State.OFFERED}
    ends = [rental(desk, confirm(it, reference=f"pay-{place}")) for place, it in enumerate(offers)]
    assert [it.state for it in ends] == [State.ACTIVE, State.ACTIVE, State.DECLINED]
    assert ends[2].reasons[0] == Reason.VELOCITY_USER_OPEN
    assert ends[2].refund_payable_minor == offers[2].cash_minor


def test_confirmations_of_one_batch_see_each_other(desk: Desk) -> None:
    """Two confirmations on one device in one batch, where one more rental is allowed: one is
    granted."""
    under(desk, at_most(1, of=Of.DEVICE))
    offers = []
    for user_id in ("eve", "fay"):
        desk.put_user(user_id, 550)
        offers.append(ordered(desk, user_id, device="x"))
    works = [desk.work(confirm(it, reference=it.user_id)) for it in offers]
    desk.apply(*works)
    states = [rental_in(desk.answers[it.request_id]).state for it in works]
    assert states == [State.ACTIVE, State.DECLINED]


@pytest.mark.parametrize("then", [Outcome.FULL, Outcome.DECLINE])
def test_an_approval_is_bounded_too(desk: Desk, then: Outcome) -> None:
    """An approved review gets what the bounds allow at that moment: nothing, or the full
    deposit."""
    under(desk, at_most(0, Counted.DAY, then=Outcome.REVIEW), at_most(1, then=then))
    desk.put_user("ann", 700)
    first, second = (rental(desk, authorize()) for _ in "ab")
    assert {first.state, second.state} == {State.REVIEW}
    assert rental(desk, acts.review(first, approve=True)).state is State.ACTIVE
    end = rental(desk, acts.review(second, approve=True))
    if then is Outcome.FULL:
        assert (end.state, end.offer) == (State.OFFERED, Offer.FULL)
        assert rental(desk, confirm(end)).state is State.ACTIVE
    else:
        assert end.state is State.DECLINED
    assert Reason.VELOCITY_USER_OPEN in end.reasons


def test_a_bound_over_all_operators_looks_like_an_exhausted_line(desk: Desk) -> None:
    """A rule of the platform over all operators asks for the full deposit with the reason
    LINE_EXHAUSTED; only the decision's record tells the true value."""
    under(desk, at_most(1, then=Outcome.FULL, over=Over.ALL_OPERATORS))
    desk.put_user("ann", 700)
    rental(desk, authorize(), caller=OTHER_OPERATOR)
    it = rental(desk, authorize())
    assert (it.offer, it.reasons) == (Offer.FULL, (Reason.LINE_EXHAUSTED,))
    assert read_values(desk, it) == {"user.open.all_operators": 1}


def test_a_retry_gets_the_first_answer(desk: Desk) -> None:
    """A retry with the same request id gets the first answer although the bound is reached."""
    under(desk, at_most(1))
    desk.put_user("ann", 700)
    first = rental(desk, authorize(), request_id="once")
    assert rental(desk, authorize()).state is State.DECLINED
    again = rental(desk, authorize(), request_id="once")
    assert again == first


def test_products_without_a_bound_count_for_those_with_one(desk: Desk) -> None:
    """An umbrella under another policy counts as an open rental of the operator."""
    under(desk, at_most(1))
    desk.put_user("ann", 700)
    rental(desk, authorize("ann", "umbrella"))
    assert rental(desk, authorize()).state is State.DECLINED
    assert rental(desk, authorize("ann", "umbrella")).state is State.ACTIVE


def test_a_late_pick_up_counts_within_its_batch(desk: Desk) -> None:
    """A rental whose pick-up is told late counts for the next call of the same batch."""
    under(desk, at_most(1))
    desk.put_user("ann", 700)
    waiting = rental(desk, pick_up(asset_id="x-1"))
    picked_up_us = desk.clock.now_us()
    assert waiting.expire_us is not None
    move(desk, waiting.expire_us)
    works = [desk.work(acts.picked_up(waiting, picked_up_us)), desk.work(authorize())]
    desk.apply(*works)
    assert rental_in(desk.answers[works[1].request_id]).state is State.DECLINED


def merge(desk: Desk, user_id: str, survivor: str) -> None:
    """Merges a person into another, with two keys."""
    desk.do(c.ProposeMerge(user_id, survivor, "same id card", "key-1"), caller=PLATFORM)
    desk.do(c.ApproveMerge(user_id, survivor, "key-2"), caller=PLATFORM)


@pytest.mark.parametrize("asked_as", ["ann", "dan"])
@pytest.mark.parametrize("counted", list(Counted))
def test_rentals_of_a_merged_person_count(desk: Desk, counted: Counted, asked_as: str) -> None:
    """After a merge the rentals under both ids count together, whichever id the call names, and
    also for an offer from before the merge."""
    under(desk, at_most(2, counted))
    desk.put_users(ann=700, dan=550)
    rental(desk, authorize("ann"))
    waiting = rental(desk, authorize("dan"))
    assert waiting.state is State.OFFERED
    desk.put_user("dan", 700)
    rental(desk, authorize("dan"))
    merge(desk, "ann", "dan")
    third = rental(desk, authorize(asked_as))
    assert (third.user_id, third.state) == ("dan", State.DECLINED)
    assert third.reasons == (f"VELOCITY_USER_{counted}",)
    assert read_values(desk, third) == {f"user.{counted.lower()}": 2}
    late = rental(desk, confirm(waiting))
    assert (late.state, late.reasons[0]) == (State.DECLINED, f"VELOCITY_USER_{counted}")


def test_a_merge_counts_for_a_later_call_of_its_batch(desk: Desk) -> None:
    """An order behind the approval of a merge in one batch counts the rentals of both ids."""
    under(desk, at_most(1))
    desk.put_users(ann=700, dan=700)
    rental(desk, authorize("ann"))
    desk.do(c.ProposeMerge("ann", "dan", "same id card", "key-1"), caller=PLATFORM)
    approval = desk.work(c.ApproveMerge("ann", "dan", "key-2"), caller=PLATFORM)
    order = desk.work(authorize("dan"))
    desk.apply(approval, order)
    assert rental_in(desk.answers[order.request_id]).state is State.DECLINED


def test_settled_rentals_of_a_merged_person_make_nobody_new(desk: Desk) -> None:
    """A survivor is as long known as the person merged into it."""
    rules = Rules(new_user=NewUser(until_settled=2, mildest_offer=Outcome.FULL))
    acts.change_terms(desk, t.policies, "bike", rules=json_of_rules(rules))
    desk.put_users(ann=700, dan=700)
    for _ in range(2):
        rental(desk, settle(rental(desk, authorize("ann", "umbrella")), 0))
    assert rental(desk, authorize("dan")).offer is Offer.FULL
    merge(desk, "ann", "dan")
    it = rental(desk, authorize("dan"))
    assert (it.offer, read_values(desk, it)) == (Offer.ZERO, {"user.settled": 2})
