"""Groups: the items of one Authorize are held all or none, confirmed together and reversed
together."""

from __future__ import annotations

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Start, State
from service.domain.errors import InvalidInput
from service.domain.ledger import Standing
from service.domain.policy import Offer
from service.engine.calls import Group
from service.engine.operations import SetStanding
from service.storage import schema as t
from tests.engine.acts import MINUTE_US, Books, change_terms, group, members, review
from tests.engine.calls import (
    authorize,
    balances,
    confirm,
    counts,
    line,
    refused,
    rental,
    reverse,
    reverse_origin,
    settle,
    stored,
)
from tests.fakes import START_US, Desk

BIKE, UMBRELLA, BANK = ("bike", ""), ("umbrella", ""), ("power-bank", "")


def test_a_group_is_held_together(desk: Desk) -> None:
    """A group on credit posts held / avail for each item, and all are ACTIVE."""
    books = Books(desk)
    both = members(desk, group("ann", ("bike", "bike-7"), UMBRELLA), request_id="r")
    books.expect(
        [("line", "held / available", 19_900), ("line", "held / available", 5_900)],
        "authorization.active", "authorization.active",
    )  # fmt: skip
    assert [it.state for it in both] == [State.ACTIVE, State.ACTIVE]
    assert [(it.product_id, it.asset_id, it.request_id) for it in both] == [
        ("bike", "bike-7", "r"), ("umbrella", "", "r"),
    ]  # fmt: skip
    assert both[0].group_id == both[1].group_id != ""
    assert both[0].authorization_id != both[1].authorization_id
    assert balances(desk) == (50_000, 24_200, 25_800, 0)


def test_the_decisions_of_a_group_rest_on_the_same_balances(desk: Desk) -> None:
    """Every item of a group is decided on the line as it stood before the group's first hold."""
    members(desk, group("ann", BIKE, UMBRELLA))
    with desk.store.engine.connect() as connection:
        decided = connection.execute(
            t.decisions.select().order_by(t.decisions.c.decision_id)
        ).mappings()
        assert [(row["product_id"], row["line_held_minor"]) for row in decided] == [
            ("bike", 0), ("umbrella", 0),
        ]  # fmt: skip


def test_a_group_of_one(desk: Desk) -> None:
    """A group of one item is answered as a group, and is otherwise a rental like any other."""
    answer = desk.do(group("ann", BIKE))
    assert isinstance(answer, Group)
    (it,) = answer.authorizations
    assert (it.state, it.group_id) == (State.ACTIVE, "")


def test_the_line_is_enough_for_one_but_not_for_both(desk: Desk) -> None:
    """When the line is too small for all of a group, no item is held."""
    for _ in range(2):
        rental(desk, authorize("ann", "bike"))
    books = Books(desk)
    both = members(desk, group("ann", UMBRELLA, BANK, accept=(Offer.ZERO,)))
    books.expect([], "authorization.declined", "authorization.declined")
    assert [(it.state, it.reasons) for it in both] == [(State.DECLINED, ("LINE_EXHAUSTED",))] * 2
    assert balances(desk) == (50_000, 10_200, 39_800, 0)
    assert rental(desk, authorize("ann", "umbrella", accept=(Offer.ZERO,))).state is State.ACTIVE


def test_the_line_is_enough_for_a_stricter_offer(desk: Desk) -> None:
    """When the line is too small for a group's zero deposit, all items get the next offer."""
    for _ in range(2):
        rental(desk, authorize("ann", "bike"))
    both = members(desk, group("ann", UMBRELLA, BANK))
    assert [(it.state, it.offer, it.credit_minor, it.cash_minor) for it in both] == [
        (State.OFFERED, Offer.REDUCED, 2_950, 2_950), (State.OFFERED, Offer.REDUCED, 4_950, 4_950),
    ]  # fmt: skip
    assert {it.reasons for it in both} == {("LINE_EXHAUSTED",)}


def test_one_item_in_use(desk: Desk) -> None:
    """If one item of a group is in use or named twice, nothing of the group is written. The refusal
    for an item in use is kept."""
    rental(desk, authorize("ben", "umbrella", "u-2", accept=(Offer.ZERO,)))
    before = counts(desk)
    command = group("ann", ("umbrella", "u-1"), ("umbrella", "u-2"))
    assert refused(desk, command).reason == "ASSET_IN_USE"
    twice = refused(desk, group("ann", ("umbrella", "u-1"), ("umbrella", "u-1")))
    assert isinstance(twice, InvalidInput)
    assert counts(desk) == {**before, "requests": before["requests"] + 1}


def test_one_product_in_another_currency(desk: Desk) -> None:
    """A group is priced in one currency."""
    change_terms(desk, t.products, "umbrella", currency="EUR")
    error = refused(desk, group("ann", BIKE, UMBRELLA))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].rule == "items.currency"


@pytest.mark.parametrize("order", [(BIKE, UMBRELLA), (UMBRELLA, BIKE)])
def test_mixed_policies_take_the_strictest_offer(
    desk: Desk, order: tuple[tuple[str, str], ...]
) -> None:
    """When the policies of a group differ, all its items get the strictest offer: at 550 an
    umbrella needs no deposit, a bike a reduced one, and together both need a reduced one."""
    both = members(desk, group("ben", *order))
    assert {it.offer for it in both} == {Offer.REDUCED}
    assert {(it.product_id, it.credit_minor, it.cash_minor) for it in both} == {
        ("bike", 9_950, 9_950), ("umbrella", 2_950, 2_950),
    }  # fmt: skip
    assert both[0].reasons == ("SCORE_BELOW_ZERO_DEPOSIT",)


@pytest.mark.parametrize("place", [0, 1])
def test_a_group_is_confirmed_with_one_payment(desk: Desk, place: int) -> None:
    """One payment for all cash parts, on any member, holds the whole group; an overpayment is owed
    back on that member."""
    both = members(desk, group("ben", ("bike", "b-1"), ("umbrella", "u-1"), start=Start.ON_PICKUP))
    named = both[place]
    books = Books(desk)
    it = rental(desk, confirm(named, 12_907))
    excess = ("money", "cash / refund_payable", 7)
    first = [("line", "held / available", 9_950), ("money", "cash / deposit", 9_950)]
    second = [("line", "held / available", 2_950), ("money", "cash / deposit", 2_950)]
    books.expect(
        [*first, *([excess] if place == 0 else []), *second, *([excess] if place else [])],
        "authorization.authorized", "authorization.authorized",
    )  # fmt: skip
    assert [stored(desk, each).state for each in both] == [State.AUTHORIZED] * 2
    assert (it.authorization_id, it.refund_payable_minor) == (named.authorization_id, 7)
    assert balances(desk, "ben") == (20_000, 7_100, 12_900, 0)
    assert counts(desk)["open_items"] == 2


def test_a_group_paid_too_little(desk: Desk) -> None:
    """A payment of one cash part of a group is too small, and the refusal names the sum that is
    needed."""
    both = members(desk, group("ben", BIKE, UMBRELLA))
    error = refused(desk, confirm(both[0]))
    assert isinstance(error, InvalidInput)
    assert "12900" in error.violations[0].description


def test_a_group_with_one_item_gone(desk: Desk) -> None:
    """When one item of a group is gone at the payment, none is held: all members are DECLINED and
    the payment is owed back."""
    both = members(desk, group("ben", ("bike", "b-1"), ("umbrella", "u-1")))
    rental(desk, authorize("ann", "umbrella", "u-1"))
    books = Books(desk)
    it = rental(desk, confirm(both[0], 12_900))
    books.expect(
        [("money", "cash / refund_payable", 12_900)],
        "authorization.declined", "authorization.declined",
    )  # fmt: skip
    assert [stored(desk, each).state for each in both] == [State.DECLINED] * 2
    assert (it.refund_payable_minor, it.reasons[0]) == (12_900, "ASSET_IN_USE")
    assert line(desk, "ben").held_minor == 0


def test_a_group_is_paid_once(desk: Desk) -> None:
    """A second payment for a group, on another member, is owed back."""
    both = members(desk, group("ben", BIKE, UMBRELLA))
    rental(desk, confirm(both[0], 12_900))
    books = Books(desk)
    it = books.step(
        confirm(both[1], 12_900, reference="again"),
        [("money", "cash / refund_payable", 12_900)],
        "authorization.payment_owed_back",
    )
    assert it.state is State.ACTIVE


def test_a_group_lapses_together(desk: Desk) -> None:
    """A group's offer ends for all members with the first of their windows."""
    change_terms(desk, t.policies, "small-item", offer_window_us=10 * MINUTE_US)
    both = members(desk, group("ben", BIKE, UMBRELLA))
    assert {it.expire_us for it in both} == {START_US + 10 * MINUTE_US}
    desk.clock.advance(START_US + 10 * MINUTE_US)
    late = rental(desk, confirm(both[0], 12_900))
    assert (late.state, late.refund_payable_minor) == (State.EXPIRED, 12_900)
    assert stored(desk, both[1]).state is State.EXPIRED
    assert line(desk, "ben").held_minor == 0


def test_a_confirmation_after_a_member_was_reversed(desk: Desk) -> None:
    """After one member's offer was reversed, a payment confirms the others."""
    both = members(desk, group("ben", BIKE, UMBRELLA))
    rental(desk, reverse(both[0]))
    it = rental(desk, confirm(both[1]))
    assert (it.state, it.held_minor) == (State.ACTIVE, 5_900)
    assert balances(desk, "ben") == (20_000, 17_050, 2_950, 0)


def test_a_reversed_members_name_confirms_the_rest(desk: Desk) -> None:
    """A payment under a reversed member's name confirms the members still OFFERED; any excess is
    owed back on the named member."""
    both = members(desk, group("ben", BIKE, UMBRELLA))
    given_up = rental(desk, reverse(both[0]))
    books = Books(desk)
    it = rental(desk, confirm(both[0], 12_900))
    books.expect(
        [
            ("money", "cash / refund_payable", 9_950),
            ("line", "held / available", 2_950),
            ("money", "cash / deposit", 2_950),
        ],
        "authorization.payment_owed_back", "authorization.active",
    )  # fmt: skip
    assert (it.state, it.refund_payable_minor) == (State.REVERSED, 9_950)
    assert it.version == given_up.version + 1
    assert stored(desk, both[1]).state is State.ACTIVE


def test_the_exact_rest_under_a_reversed_members_name(desk: Desk) -> None:
    """A payment of exactly the open cash parts leaves the reversed member unchanged."""
    both = members(desk, group("ben", BIKE, UMBRELLA))
    given_up = rental(desk, reverse(both[0]))
    assert rental(desk, confirm(both[0], 2_950)) == given_up
    assert stored(desk, both[1]).held_minor == 5_900


def test_the_rest_of_a_group_cannot_be_held(desk: Desk) -> None:
    """If the rest of a group cannot be held any more, the whole payment is owed back. It is owed at
    the member that the call names, even if that member was reversed."""
    both = members(desk, group("ben", BIKE, ("umbrella", "u-1")))
    rental(desk, reverse(both[0]))
    rental(desk, authorize("ann", "umbrella", "u-1"))
    books = Books(desk)
    it = rental(desk, confirm(both[0], 2_950))
    books.expect(
        [("money", "cash / refund_payable", 2_950)],
        "authorization.payment_owed_back", "authorization.declined",
    )  # fmt: skip
    assert (it.state, it.refund_payable_minor) == (State.REVERSED, 2_950)
    assert stored(desk, both[1]).state is State.DECLINED


def test_too_little_for_the_rest_of_a_group(desk: Desk) -> None:
    """If a payment in the name of a closed member is too small for the other members, it counts as
    late: it is owed back, and the offer of the others stays."""
    both = members(desk, group("ben", BIKE, UMBRELLA))
    rental(desk, reverse(both[1]))
    it = Books(desk).step(
        confirm(both[1]),
        [("money", "cash / refund_payable", 2_950)],
        "authorization.payment_owed_back",
    )
    assert (it.state, it.refund_payable_minor) == (State.REVERSED, 2_950)
    assert stored(desk, both[0]) == both[0]


@pytest.mark.parametrize("approved", [True, False])
def test_a_group_is_reviewed_together(desk: Desk, approved: bool) -> None:
    """A verdict on one member applies to its whole group."""
    desk.do(SetStanding("ann", Standing.WATCHED), caller=PLATFORM)
    both = members(desk, group("ann", ("bike", "b-1"), ("umbrella", "u-1")))
    assert {it.state for it in both} == {State.REVIEW}
    books = Books(desk)
    it = rental(desk, review(both[1], approve=approved))
    held = [("line", "held / available", 19_900), ("line", "held / available", 5_900)]
    event = "authorization.active" if approved else "authorization.declined"
    books.expect(held if approved else [], event, event)
    assert it.authorization_id == both[1].authorization_id
    assert counts(desk)["open_items"] == (2 if approved else 0)


def test_a_reviewed_group_is_offered_together(desk: Desk) -> None:
    """A group that needs cash is OFFERED after its review, until the first of its windows ends."""
    change_terms(desk, t.policies, "small-item", offer_window_us=10 * MINUTE_US)
    desk.do(SetStanding("ben", Standing.WATCHED), caller=PLATFORM)
    both = members(desk, group("ben", BIKE, UMBRELLA))
    rental(desk, review(both[0], approve=True))
    after = [stored(desk, it) for it in both]
    assert {(it.state, it.expire_us) for it in after} == {
        (State.OFFERED, START_US + 10 * MINUTE_US)
    }


def watched_group(desk: Desk, *accept: Offer) -> list[Authorization]:
    """Ann's umbrella and power bank in review, with 10,200 left of her line, which is too
    little."""
    desk.do(SetStanding("ann", Standing.WATCHED), caller=PLATFORM)
    both = members(desk, group("ann", UMBRELLA, BANK, accept=accept))
    desk.do(SetStanding("ann", Standing.NORMAL), caller=PLATFORM)
    for _ in range(2):
        rental(desk, authorize("ann", "bike"))
    return both


def test_a_reviewed_group_gets_one_stricter_offer(desk: Desk) -> None:
    """If the line is too small for a reviewed group, all members get the next offer that fits for
    the whole group. Each member has its own parts, and one payment confirms all members."""
    both = watched_group(desk)
    books = Books(desk)
    named = rental(desk, review(both[1], approve=True))
    books.expect([], "authorization.offered", "authorization.offered")
    after = [stored(desk, it) for it in both]
    assert named == after[1]
    assert [(it.state, it.offer, it.credit_minor, it.cash_minor) for it in after] == [
        (State.OFFERED, Offer.REDUCED, 2_950, 2_950), (State.OFFERED, Offer.REDUCED, 4_950, 4_950),
    ]  # fmt: skip
    assert {it.reasons for it in after} == {("LINE_EXHAUSTED", "UNDER_REVIEW")}
    assert rental(desk, confirm(named, 7_900)).state is State.ACTIVE
    books.expect(
        [
            ("line", "held / available", 2_950), ("money", "cash / deposit", 2_950),
            ("line", "held / available", 4_950), ("money", "cash / deposit", 4_950),
        ],
        "authorization.active", "authorization.active",
    )  # fmt: skip
    assert balances(desk) == (50_000, 2_300, 47_700, 0)


def test_the_rest_of_a_reviewed_group_fits(desk: Desk) -> None:
    """A reversed member of a reviewed group needs no room on the line: the rest is granted."""
    both = watched_group(desk, Offer.ZERO)
    rental(desk, reverse(both[1]))
    it = rental(desk, review(both[0], approve=True))
    assert (it.state, it.offer, it.held_minor) == (State.ACTIVE, Offer.ZERO, 5_900)


def test_a_reviewed_group_without_an_accepted_offer(desk: Desk) -> None:
    """If the line is too small for a reviewed group and no stricter offer is accepted, the whole
    group is DECLINED, even if one member alone would fit."""
    both = watched_group(desk, Offer.ZERO)
    books = Books(desk)
    rental(desk, review(both[0], approve=True))
    books.expect([], "authorization.declined", "authorization.declined")
    after = [stored(desk, it) for it in both]
    assert [(it.state, it.offer, it.reasons) for it in after] == [
        (State.DECLINED, Offer.ZERO, ("LINE_EXHAUSTED", "UNDER_REVIEW"))
    ] * 2


def test_a_group_is_reversed_by_its_origin(desk: Desk) -> None:
    """A reverse by a group's request id reverses every member."""
    both = members(desk, group("ann", ("bike", "b-1"), UMBRELLA), request_id="r")
    books = Books(desk)
    it = rental(desk, reverse_origin("ann", "r"))
    books.expect(
        [("line", "available / held", 19_900), ("line", "available / held", 5_900)],
        "authorization.reversed", "authorization.reversed",
    )  # fmt: skip
    assert it.authorization_id == both[0].authorization_id
    assert [stored(desk, each).state for each in both] == [State.REVERSED] * 2
    assert balances(desk) == (50_000, 50_000, 0, 0)
    assert counts(desk)["open_items"] == 0


def test_a_group_is_reversed_whole_or_not_at_all(desk: Desk) -> None:
    """When one member of a group cannot be reversed any more, none is reversed."""
    both = members(desk, group("ann", BIKE, UMBRELLA), request_id="r")
    rental(desk, settle(both[1], 100))
    before = counts(desk)
    refusal = refused(desk, reverse_origin("ann", "r"))
    assert refusal.metadata == {"state": "SETTLED", "authorization": both[1].name}
    assert counts(desk) == before
    assert stored(desk, both[0]).state is State.ACTIVE


@pytest.mark.parametrize("place", [0, 1])
def test_the_rest_of_a_group_is_reversed_by_its_origin(desk: Desk, place: int) -> None:
    """A reverse by a group's request id leaves a member unchanged that was reversed before."""
    both = members(desk, group("ann", BIKE, UMBRELLA), request_id="r")
    alone = rental(desk, reverse(both[place]))
    books = Books(desk)
    it = rental(desk, reverse_origin("ann", "r"))
    rest = both[1 - place]
    books.expect([("line", "available / held", rest.held_minor)], "authorization.reversed")
    assert it.authorization_id == both[0].authorization_id
    assert it.state is stored(desk, rest).state is State.REVERSED
    assert stored(desk, alone) == alone
    refusal = refused(desk, reverse_origin("ann", "r"))
    assert refusal.metadata == {"state": "REVERSED", "authorization": both[0].name}


def test_expired_members_stay_expired(desk: Desk) -> None:
    """A reverse by a group's request id leaves members EXPIRED that were not picked up in time."""
    change_terms(desk, t.policies, "small-item", pickup_window_us=10 * MINUTE_US)
    both = members(desk, group("ann", BIKE, UMBRELLA, start=Start.ON_PICKUP), request_id="r")
    desk.clock.advance(START_US + 10 * MINUTE_US)
    assert rental(desk, reverse_origin("ann", "r")).state is State.REVERSED
    assert stored(desk, both[1]).state is State.EXPIRED
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_a_captured_member_keeps_its_group(desk: Desk) -> None:
    """A reversal by a group's request id is refused if one member has a capture, in any states of
    the others."""
    bike, umbrella, bank = members(desk, group("ann", BIKE, UMBRELLA, BANK), request_id="r")
    rental(desk, reverse(bike))
    rental(desk, settle(umbrella, 100, final=False))
    assert refused(desk, reverse_origin("ann", "r")).reason == "CAPTURED_ALREADY"
    assert stored(desk, bank).state is State.ACTIVE


def test_a_group_reversed_before_it_arrived(desk: Desk) -> None:
    """A tombstone declines all of a late group."""
    desk.do(reverse_origin("ann", "r"))
    both = members(desk, group("ann", BIKE, UMBRELLA), request_id="r")
    assert {(it.state, it.reasons) for it in both} == {
        (State.DECLINED, ("CANCELLED_BEFORE_ARRIVAL",))
    }


def test_a_group_in_one_batch(desk: Desk) -> None:
    """A group may be granted, confirmed and reversed within one batch."""
    desk.apply(
        desk.work(group("ann", BIKE, UMBRELLA), request_id="r"),
        desk.work(reverse_origin("ann", "r"), request_id="s"),
    )
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_members_are_independent_once_held(desk: Desk) -> None:
    """Once held, each member of a group is a rental by itself."""
    bike, umbrella = members(desk, group("ann", BIKE, UMBRELLA))
    assert rental(desk, settle(bike, 500)).state is State.SETTLED
    assert rental(desk, reverse(umbrella)).state is State.REVERSED
    assert balances(desk) == (50_000, 49_500, 0, 500)
