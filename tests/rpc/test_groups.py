"""Several items for one person: all or none."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, ReverseAuthorizationRequest
from freehold.v1.credit_service_pb2 import STANDING_WATCHED, ResolveReviewRequest
from freehold.v1.types_pb2 import OFFER_REDUCED, OFFER_ZERO

from tests.rpc.support import BIKE_MINOR, UMBRELLA_MINOR, Caller, Desks, Refused, yuan

A = Authorization
UMBRELLA = {"product_id": "umbrella"}
BIKE = {"product_id": "bike"}


def group(caller: Caller, user_id: str, *items: dict[str, str], **parts: Any) -> list[A]:
    """An AuthorizeGroup."""
    response = caller.call("AuthorizeGroup", user_id=user_id, items=items, **parts)
    return list(response.authorizations)


def test_a_group_is_granted_in_the_order_of_its_items(desk: Desks) -> None:
    """Each item has its own authorization, in the items' order, with a common group id."""
    user_id, asset_id = desk.platform.person(), desk.operator.fresh("asset")
    bike, umbrella = group(desk.operator, user_id, {**BIKE, "asset_id": asset_id}, UMBRELLA)
    assert (bike.product_id, bike.asset_id, bike.held) == ("bike", asset_id, yuan(BIKE_MINOR))
    assert (umbrella.product_id, umbrella.held) == ("umbrella", yuan(UMBRELLA_MINOR))
    assert bike.state == umbrella.state == A.STATE_ACTIVE
    assert bike.group
    assert bike.group == umbrella.group
    assert bike.name != umbrella.name
    assert desk.platform.profile(user_id).held == yuan(BIKE_MINOR + UMBRELLA_MINOR)
    # The members are settled separately.
    assert desk.operator.settle(umbrella.name, 100).state == A.STATE_SETTLED
    assert desk.operator.get(bike.name) == bike


def test_a_group_of_one_is_a_rental(desk: Desks) -> None:
    """A group of one item is answered as a group, and has no group id."""
    (only,) = group(desk.operator, desk.platform.person(), UMBRELLA)
    assert (only.state, only.group) == (A.STATE_ACTIVE, "")


def test_a_group_gets_the_strictest_offer_of_its_items(desk: Desks) -> None:
    """At a score that gives the umbrella zero deposit and the bike half, both get half."""
    bike, umbrella = group(desk.operator, desk.platform.person(560), BIKE, UMBRELLA)
    assert bike.offer == umbrella.offer == OFFER_REDUCED
    assert (bike.state, umbrella.state) == (A.STATE_OFFERED, A.STATE_OFFERED)
    assert (bike.deposit_asked, umbrella.deposit_asked) == (yuan(9_950), yuan(2_950))


def test_a_group_beyond_the_line_is_declined_as_a_whole(desk: Desks) -> None:
    """When the line is too small for all items, no item is held."""
    user_id = desk.platform.person(600)  # 300 yuan
    declined = group(desk.operator, user_id, BIKE, BIKE, accept_offers=[OFFER_ZERO])
    assert [it.state for it in declined] == [A.STATE_DECLINED] * 2
    assert {tuple(it.reasons) for it in declined} == {("LINE_EXHAUSTED",)}
    assert desk.platform.profile(user_id).held == yuan(0)


def test_an_item_in_use_refuses_the_group(desk: Desks) -> None:
    """When one item is in an open rental, nothing is authorized."""
    user_id, asset_id = desk.platform.person(), desk.operator.fresh("asset")
    desk.operator.authorize(desk.platform.person(), "umbrella", asset_id=asset_id)
    with pytest.raises(Refused) as refusal:
        group(desk.operator, user_id, BIKE, {**UMBRELLA, "asset_id": asset_id})
    assert refusal.value.reason == "ASSET_IN_USE"
    assert list(desk.operator.page(user_id=user_id).authorizations) == []


def test_a_groups_items_are_checked(desk: Desks) -> None:
    """A repeated item, or more than twenty items, is refused at the items."""
    user_id, asset_id = desk.platform.person(), desk.operator.fresh("asset")
    twice = [{**UMBRELLA, "asset_id": asset_id}] * 2
    for items, field in ((twice, "items[1].asset_id"), ([UMBRELLA] * 21, "items")):
        with pytest.raises(Refused) as refusal:
            group(desk.operator, user_id, *items)
        assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refusal.value.fields == {field}


@pytest.mark.parametrize("place", [0, 1])
def test_one_payment_confirms_the_group(desk: Desks, place: int) -> None:
    """A group's offer is confirmed under any member's name, with the sum of all cash parts."""
    user_id = desk.platform.person(560)
    offered = group(desk.operator, user_id, BIKE, UMBRELLA)
    with pytest.raises(Refused) as refusal:
        desk.operator.confirm(offered[place].name, 9_950)
    assert refusal.value.fields == {"paid.amount_minor"}
    named = desk.operator.confirm(offered[place].name, 9_950 + 2_950 + 7)
    assert (named.name, named.refund_payable) == (offered[place].name, yuan(7))
    after = [desk.operator.get(it.name) for it in offered]
    assert [it.state for it in after] == [A.STATE_ACTIVE] * 2
    assert [it.held_cash for it in after] == [yuan(9_950), yuan(2_950)]
    assert after[1 - place].refund_payable == yuan(0)
    assert desk.platform.profile(user_id).deposit == yuan(12_900)


def test_a_group_without_room_on_the_line_is_declined(desk: Desks) -> None:
    """When the line no longer has room, the whole group is declined and the payment owed back."""
    user_id = desk.platform.person(560)  # 200 yuan
    offered = group(desk.operator, user_id, BIKE, UMBRELLA)
    desk.other.authorize(user_id, "power-bank")
    named = desk.operator.confirm(offered[0].name, 12_900)
    assert (named.state, named.reasons[0]) == (A.STATE_DECLINED, "LINE_EXHAUSTED")
    assert named.refund_payable == yuan(12_900)
    other = desk.operator.get(offered[1].name)
    assert (other.state, other.refund_payable) == (A.STATE_DECLINED, yuan(0))


def test_a_group_is_reversed_by_its_origin(desk: Desks) -> None:
    """A reversal by the request id of an AuthorizeGroup reverses all of it."""
    user_id, request_id = desk.platform.person(), desk.operator.fresh("origin")
    made = group(desk.operator, user_id, BIKE, UMBRELLA, request_id=request_id)
    origin = {"user_id": user_id, "authorize_request_id": request_id}
    answer = desk.operator.call("ReverseAuthorization", origin=origin)
    assert answer.authorization.name == made[0].name
    assert {desk.operator.get(it.name).state for it in made} == {A.STATE_REVERSED}
    assert desk.platform.profile(user_id).held == yuan(0)


def test_r21_a_refused_reversal_names_the_member(desk: Desks) -> None:
    """R21: over the wire, the refusal to reverse a group has the name of the member that cannot be
    reversed, in its text and in the metadata of its ErrorInfo."""
    user_id, request_id = desk.platform.person(), desk.operator.fresh("origin")
    made = group(desk.operator, user_id, BIKE, UMBRELLA, request_id=request_id)
    desk.operator.settle(made[1].name, 100)
    request = ReverseAuthorizationRequest(request_id=desk.operator.fresh())
    request.origin.user_id, request.origin.authorize_request_id = user_id, request_id
    refusal = desk.operator.refused("ReverseAuthorization", request)
    assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
    assert dict(refusal.info.metadata) == {"state": "SETTLED", "authorization": made[1].name}
    assert made[1].name in refusal.message
    assert desk.operator.get(made[0].name).state == A.STATE_ACTIVE


def test_a_tombstone_stops_a_late_group(desk: Desks) -> None:
    """A reversal before its AuthorizeGroup declines all of the late group."""
    user_id, late_id = desk.platform.person(), desk.operator.fresh("late")
    origin = {"user_id": user_id, "authorize_request_id": late_id}
    assert desk.operator.call("ReverseAuthorization", origin=origin).tombstone
    late = group(desk.operator, user_id, BIKE, UMBRELLA, request_id=late_id)
    assert [it.state for it in late] == [A.STATE_DECLINED] * 2
    assert {tuple(it.reasons) for it in late} == {("CANCELLED_BEFORE_ARRIVAL",)}


def test_one_verdict_for_the_group(desk: Desks) -> None:
    """A verdict on one member of a group under review applies to all."""
    user_id = desk.platform.person()
    desk.platform.call("SetStanding", user_id=user_id, standing=STANDING_WATCHED)
    waiting = group(desk.operator, user_id, BIKE, UMBRELLA, start=AuthorizeRequest.START_ON_PICKUP)
    assert {it.state for it in waiting} == {A.STATE_REVIEW}
    verdict = ResolveReviewRequest.VERDICT_APPROVED
    named = desk.platform.call("ResolveReview", name=waiting[1].name, verdict=verdict)
    assert named.authorization.name == waiting[1].name
    assert {desk.operator.get(it.name).state for it in waiting} == {A.STATE_AUTHORIZED}
