"""Claimed returns, lost items, and found items."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from google.protobuf.timestamp_pb2 import Timestamp

from tests.rpc import ready
from tests.rpc.support import BIKE_MINOR, Caller, Desks, Refused, advance, yuan

A = Authorization
HOUR_S = 3_600
DAY_S = 24 * HOUR_S


@pytest.mark.parametrize("who", ["operator", "platform"])
def test_a_return_is_claimed(desk: Desks, who: str) -> None:
    """ClaimReturn, by the operator or by the platform for the user's app, stops the fee."""
    rental = ready.active(desk)
    advance(desk, HOUR_S)
    caller: Caller = getattr(desk, who)
    claimed = caller.call("ClaimReturn", name=rental.name).authorization
    assert (claimed.state, claimed.custody) == (A.STATE_RETURN_CLAIMED, A.CUSTODY_UNKNOWN)
    assert claimed.claim_time.seconds - rental.start_time.seconds == HOUR_S
    assert claimed.claim_until_time.seconds - claimed.claim_time.seconds == 48 * HOUR_S
    advance(desk, 5 * HOUR_S)
    answer = desk.operator.call("SettleAuthorization", name=rental.name, usage={})
    assert answer.fee.total == answer.authorization.captured == yuan(550)


def test_two_claims_of_one_return(desk: Desks) -> None:
    """A second claim of a return is refused with the state RETURN_CLAIMED."""
    rental = ready.active(desk)
    desk.platform.call("ClaimReturn", name=rental.name)
    with pytest.raises(Refused) as refusal:
        desk.operator.call("ClaimReturn", name=rental.name)
    assert refusal.value.info.metadata["state"] == "RETURN_CLAIMED"


def test_a_claim_limits_the_charge(desk: Desks) -> None:
    """While a return is claimed, an amount above the fee at the claim is refused."""
    rental = ready.claimed(desk)
    with pytest.raises(Refused) as refusal:
        desk.operator.settle(rental.name, 151)
    assert refusal.value.fields == {"amount.amount_minor"}
    assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_contested_return_counts_as_never_claimed(desk: Desks) -> None:
    """ContestReturn with evidence makes the rental go on, and the fee covers the whole time."""
    rental = ready.claimed(desk)
    advance(desk, HOUR_S)
    again = desk.operator.call("ContestReturn", name=rental.name, evidence="photo/17")
    after = again.authorization
    assert (after.state, after.custody) == (A.STATE_ACTIVE, A.CUSTODY_OUT)
    assert not after.HasField("claim_time")
    assert not after.HasField("claim_until_time")
    answer = desk.operator.call("SettleAuthorization", name=rental.name, usage={})
    assert answer.fee.total == yuan(550)


def test_silence_accepts_a_claim(desk: Desks) -> None:
    """A claim that is not contested in time settles the rental with the fee at the claim."""
    rental = ready.claimed(desk)
    advance(desk, 48 * HOUR_S)
    after = desk.operator.get(rental.name)
    assert (after.state, after.custody) == (A.STATE_SETTLED, A.CUSTODY_IN_STATION)
    assert after.close_time == rental.claim_until_time
    # At the instant of the start there is only the start fee.
    assert after.captured == yuan(150)
    with pytest.raises(Refused, match="FAILED_PRECONDITION"):
        desk.operator.call("ContestReturn", name=rental.name, evidence="too-late")


def test_a_lost_item_is_bought_out(desk: Desks) -> None:
    """ReportLost captures the buy-out cap and makes the item MISSING for thirty days."""
    rental = ready.missing(desk)
    assert (rental.state, rental.custody) == (A.STATE_SETTLED, A.CUSTODY_MISSING)
    assert rental.captured == yuan(BIKE_MINOR)
    assert rental.sold_time.seconds - rental.close_time.seconds == 30 * DAY_S
    advance(desk, 30 * DAY_S)
    assert desk.operator.get(rental.name).custody == A.CUSTODY_SOLD


def test_time_alone_loses_an_item(desk: Desks) -> None:
    """At the instant at which its fee reaches the buy-out cap, a rental is settled and its item is
    lost."""
    rental = ready.active(desk)
    # 6 days at 30 yuan, and the rest of the cap on the seventh.
    advance(desk, 7 * DAY_S)
    after = desk.operator.get(rental.name)
    assert (after.state, after.custody) == (A.STATE_SETTLED, A.CUSTODY_MISSING)
    assert after.close_time == rental.lost_time
    assert 6 * DAY_S < rental.lost_time.seconds - rental.start_time.seconds < 7 * DAY_S


def test_the_charge_of_a_found_item_is_lowered(desk: Desks) -> None:
    """ReportFound lowers what is due to the fee at the return."""
    rental = ready.missing(desk)
    advance(desk, HOUR_S)
    docked = Timestamp(seconds=rental.start_time.seconds + HOUR_S)
    after: Any = desk.operator.call("ReportFound", name=rental.name, occurred_at=docked)
    found = after.authorization
    assert (found.custody, found.due) == (A.CUSTODY_IN_STATION, yuan(550))
    assert found.lowered == found.conceded == yuan(BIKE_MINOR - 550)
    assert found.fee == yuan(16)  # 3 % of what is kept
    assert not found.HasField("sold_time")


def test_the_payment_of_a_found_item_is_refunded(desk: Desks) -> None:
    """ReportFound owes back the payment beyond the fee at the return."""
    rental = ready.missing(desk)
    desk.platform.pay(rental.name, BIKE_MINOR)
    docked = Timestamp(seconds=rental.start_time.seconds + 1)
    found = desk.operator.call("ReportFound", name=rental.name, occurred_at=docked).authorization
    assert found.refund_payable == found.refunded == yuan(BIKE_MINOR - 250)
    assert found.collection == A.COLLECTION_REFUND_PENDING


def test_an_item_is_found_after_its_start(desk: Desks) -> None:
    """ReportFound with an instant before the start counts as the start; a future one counts as
    now."""
    early = ready.missing(desk)
    long_ago = Timestamp(seconds=early.start_time.seconds - 3_600)
    found = desk.operator.call("ReportFound", name=early.name, occurred_at=long_ago).authorization
    assert found.custody == A.CUSTODY_IN_STATION
    rental = ready.missing(desk)
    ahead = Timestamp(seconds=rental.close_time.seconds + 3_600)
    found = desk.operator.call("ReportFound", name=rental.name, occurred_at=ahead).authorization
    assert found.custody == A.CUSTODY_IN_STATION
