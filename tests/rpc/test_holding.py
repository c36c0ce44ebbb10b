"""Changes of a hold during the rental, and rentals that cite another."""

from __future__ import annotations

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from google.protobuf.duration_pb2 import Duration

from tests.rpc import ready
from tests.rpc.support import BIKE_MINOR, UMBRELLA_MINOR, Desks, Refused, advance, yuan

A = Authorization
DAY_S = 24 * 3_600


# -- more ----------------------------------------------------------------------------------


def test_an_increment_holds_more(desk: Desks) -> None:
    """An increment allowed by line and policy is held on credit."""
    rental = ready.active(desk)
    more = desk.operator.call("IncrementAuthorization", name=rental.name, amount=yuan(5_000))
    after = more.authorization
    assert (after.held, after.held_cash) == (yuan(BIKE_MINOR + 5_000), yuan(0))
    assert (after.state, after.version) == (A.STATE_ACTIVE, 2)
    assert desk.operator.settle(rental.name, BIKE_MINOR + 5_000).due == yuan(BIKE_MINOR + 5_000)


def test_an_increment_without_room_is_exhausted(desk: Desks) -> None:
    """An increment too large for the line is RESOURCE_EXHAUSTED and changes nothing."""
    rental = ready.active(desk)
    with pytest.raises(Refused) as caught:
        desk.operator.call("IncrementAuthorization", name=rental.name, amount=yuan(10_101))
    refusal = caught.value
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (refusal.reason, refusal.retry_s) == ("LINE_EXHAUSTED", None)
    assert not [sign for sign in refusal.message if sign.isdigit()]
    assert desk.operator.get(rental.name) == rental


def test_an_increment_that_needs_cash_gives_the_amount(desk: Desks) -> None:
    """If the policy asks for cash, an increment without the cash is refused with the amount, and
    passes with the cash. An overpayment is owed back."""
    offered = desk.operator.authorize(desk.platform.person(550), "bike")
    rental = desk.operator.confirm(offered.name, 9_950)
    asked = {"name": rental.name, "amount": yuan(1_001), "request_id": desk.operator.fresh()}
    with pytest.raises(Refused) as refusal:
        desk.operator.call("IncrementAuthorization", **asked)
    assert refusal.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.value.reason == "DEPOSIT_REQUIRED"
    assert refusal.value.info.metadata == {
        "state": "ACTIVE",
        "deposit_minor": "501",
        "reasons": "SCORE_BELOW_ZERO_DEPOSIT",
        "tries_left": "5",
    }
    paid = {"payment_reference": desk.operator.fresh("pay"), "paid": yuan(510)}
    after = desk.operator.call("IncrementAuthorization", **asked, **paid).authorization
    assert (after.held_credit, after.held_cash) == (yuan(9_950 + 500), yuan(9_950 + 501))
    assert after.refund_payable == yuan(9)


def test_a_payment_needs_amount_and_reference(desk: Desks) -> None:
    """A payment's amount without its reference, or the reverse, is refused at the missing field."""
    name = ready.active(desk).name
    for parts, missing in (
        ({"paid": yuan(5)}, "payment_reference"),
        ({"payment_reference": "pay-5"}, "paid"),
    ):
        with pytest.raises(Refused) as refusal:
            desk.operator.call("IncrementAuthorization", name=name, amount=yuan(5), **parts)
        assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refusal.value.fields == {missing}


# -- less ----------------------------------------------------------------------------------


def test_a_decrease_releases_the_credit_part_first(desk: Desks) -> None:
    """A decrease releases the credit part to the line first, then cash to the user."""
    user_id = desk.platform.person(550)
    rental = desk.operator.confirm(desk.operator.authorize(user_id, "bike").name, 9_950)
    less = desk.operator.call("DecreaseAuthorization", name=rental.name, amount=yuan(10_000))
    after = less.authorization
    assert (after.held_credit, after.held_cash) == (yuan(0), yuan(9_900))
    assert after.refund_payable == yuan(50)
    profile = desk.platform.profile(user_id)
    assert (profile.held, profile.deposit, profile.refund_payable) == (
        yuan(0),
        yuan(9_900),
        yuan(50),
    )


# -- longer --------------------------------------------------------------------------------


def test_the_shorter_rental_period_counts(desk: Desks) -> None:
    """A rental period shorter than the policy's is kept; a longer one is cut to the policy's."""
    for asked_s, given_s in ((600, 600), (30 * DAY_S, DAY_S)):
        rental = desk.operator.authorize(
            desk.platform.person(), "bike", rental_period=Duration(seconds=asked_s)
        )
        assert rental.due_time.seconds - rental.start_time.seconds == given_s


def test_an_extension_moves_the_due_time(desk: Desks) -> None:
    """ExtendRental moves the due time by the duration and returns it."""
    rental = ready.active(desk)
    longer = Duration(seconds=5_400)
    after = desk.operator.call("ExtendRental", name=rental.name, duration=longer).authorization
    assert after.due_time.seconds - rental.due_time.seconds == 5_400
    assert (after.state, after.lost_time) == (A.STATE_ACTIVE, rental.lost_time)


def test_an_extension_makes_an_overdue_rental_active(desk: Desks) -> None:
    """An OVERDUE rental whose new due time lies ahead is ACTIVE, and becomes overdue again."""
    rental = ready.overdue(desk)
    assert rental.state == A.STATE_OVERDUE
    hour = Duration(seconds=3_600)
    after = desk.operator.call("ExtendRental", name=rental.name, duration=hour).authorization
    assert after.state == A.STATE_ACTIVE
    advance(desk, 3_600)
    assert desk.operator.get(rental.name).state == A.STATE_OVERDUE


@pytest.mark.parametrize("seconds", [DAY_S + 1, 1])
def test_an_extension_has_bounds(desk: Desks, seconds: int) -> None:
    """An extension beyond the policy's period, or to a time in the past, is refused, and the error
    names the duration."""
    rental = ready.overdue(desk)
    advance(desk, 10)
    with pytest.raises(Refused) as refusal:
        desk.operator.call("ExtendRental", name=rental.name, duration=Duration(seconds=seconds))
    assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.fields == {"duration"}


# -- damage --------------------------------------------------------------------------------


def test_a_damage_charge_cites_its_rental(desk: Desks) -> None:
    """A late charge is a new authorization that cites the settled rental. It is held until its own
    expiry, and no item is out for it."""
    rental = ready.settled(desk)
    user_id = rental.name.split("/")[1]
    charge = desk.operator.authorize(user_id, rental.product_id, parent=rental.name)
    assert (charge.parent, charge.state) == (rental.name, A.STATE_ACTIVE)
    assert charge.custody == A.CUSTODY_IN_STATION
    times = ("expire_time", "start_time", "due_time", "lost_time")
    assert [charge.HasField(name) for name in times] == [True, False, False, False]
    assert desk.operator.settle(charge.name, UMBRELLA_MINOR).parent == rental.name


def test_a_damage_charge_cannot_cite_an_open_rental(desk: Desks) -> None:
    """A damage charge that cites an open rental is FAILED_PRECONDITION with that rental's state."""
    rental = ready.active(desk)
    with pytest.raises(Refused) as refusal:
        desk.operator.authorize(rental.name.split("/")[1], "umbrella", parent=rental.name)
    assert refusal.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.value.reason == "PARENT_OPEN"
    assert refusal.value.info.metadata["state"] == "ACTIVE"


def test_another_persons_rental_is_not_cited(desk: Desks) -> None:
    """A damage charge that cites another person's rental is refused at the parent."""
    rental = ready.settled(desk)
    with pytest.raises(Refused) as refusal:
        desk.operator.authorize(desk.platform.person(), "umbrella", parent=rental.name)
    assert refusal.value.fields == {"parent"}
