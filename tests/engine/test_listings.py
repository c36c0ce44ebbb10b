"""Listings decide: a listed user, device or payment account is declined."""

from __future__ import annotations

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.domain.details import Order
from service.domain.ledger import Standing
from service.domain.listings import ListingKind
from service.engine import operations as c
from service.engine.calls import Priced
from tests.engine import listing
from tests.engine.acts import group, members
from tests.engine.calls import authorize, refused, rental, settle
from tests.engine.test_merges import merge, merging
from tests.fakes import OTHER_OPERATOR, Desk

DEVICE, ACCOUNT, EVERYBODY = (
    ListingKind.DEVICE,
    ListingKind.PAYMENT_ACCOUNT,
    ListingKind.EVERYBODY,
)


def is_denied(it: Authorization) -> bool:
    """True if a listing declined the rental."""
    return (it.state, it.reasons) == (State.DECLINED, ("LISTED_DENY",))


def test_a_listed_user_is_declined_until_the_listing_ends(desk: Desk) -> None:
    """Authorize of a user whom the operator lists is DECLINED with the reason LISTED_DENY; after
    the end of the listing it is decided by the policy. Other users are not affected."""
    it = listing.add(desk, "ann")
    assert is_denied(rental(desk, authorize("ann")))
    assert not is_denied(rental(desk, authorize("ben", "umbrella")))
    listing.end(desk, it)
    assert rental(desk, authorize("ann")).state is State.ACTIVE


def test_a_listing_expires(desk: Desk) -> None:
    """A listing declines to the microsecond before its expiry."""
    listing.add(desk, "ann", expire_us=desk.clock.now_us() + 10)
    desk.clock.advance(desk.clock.now_us() + 9)
    assert is_denied(rental(desk, authorize("ann")))
    desk.clock.advance(desk.clock.now_us() + 1)
    assert not is_denied(rental(desk, authorize("ann")))


def test_an_operators_listing_counts_for_its_own_decisions_only(desk: Desk) -> None:
    """A listing of one operator does not change the decisions of another; the platform's changes
    those of all."""
    listing.add(desk, "ann")
    command = authorize("ann", "bike")
    assert not is_denied(rental(desk, command, caller=OTHER_OPERATOR))
    listing.add(desk, "ben", owner=PLATFORM)
    for place, caller in enumerate((OTHER_OPERATOR, "city")):
        assert is_denied(rental(desk, authorize("ben"), caller=caller, request_id=f"b{place}"))


@pytest.mark.parametrize("kind", [DEVICE, ACCOUNT])
def test_a_listed_device_or_account_is_declined(desk: Desk, kind: ListingKind) -> None:
    """An order whose device hash or payment-account hash is listed is declined for every user;
    another hash, and an order without any, is not. A device is no account."""
    listing.add(desk, "bad0", kind)
    orders = {
        DEVICE: Order(device_hash="bad0", payment_account_hash="good"),
        ACCOUNT: Order(device_hash="good", payment_account_hash="bad0"),
    }
    plain = authorize("ann", "umbrella")
    for of, order in orders.items():
        answer = desk.do(plain._replace(order=order))
        assert isinstance(answer, Priced)
        assert isinstance(answer.answer, Authorization)
        assert is_denied(answer.answer) == (of is kind)
    assert not is_denied(rental(desk, plain))


def test_everybody_is_stopped_until_a_time(desk: Desk) -> None:
    """A listing for everybody stops all new rentals of the operator, and none that is out."""
    out = rental(desk, authorize("ben", "umbrella"), request_id="before")
    listing.add(desk, "", EVERYBODY, expire_us=desk.clock.now_us() + 60_000_000)
    for user_id in ("ann", "nobody-known"):
        assert is_denied(rental(desk, authorize(user_id)))
    assert rental(desk, settle(out, 0)).state is State.SETTLED


def test_one_listed_user_declines_no_other_call_of_the_batch(desk: Desk) -> None:
    """Calls of one batch follow their own listings."""
    listing.add(desk, "ann")
    works = [desk.work(authorize(name, "umbrella"), request_id=name) for name in ("ann", "ben")]
    desk.apply(*works)
    again = [rental(desk, work.command, request_id=work.request_id) for work in works]
    assert [is_denied(it) for it in again] == [True, False]


def test_a_group_is_declined_as_a_whole(desk: Desk) -> None:
    """AuthorizeGroup of a listed user is declined for all items."""
    listing.add(desk, "ann")
    assert all(map(is_denied, members(desk, group("ann", ("bike", "b1"), ("umbrella", "u1")))))


def test_the_survivor_of_a_merge_is_as_listed_as_the_merged_person(desk: Desk) -> None:
    """A listing of a merged person declines the survivor, under either id."""
    desk.put_user("dan", 700)
    merge(desk)
    listing.add(desk, "ann")
    for user_id in ("ann", "dan"):
        assert is_denied(rental(desk, authorize(user_id, "umbrella")))


def test_a_merge_in_the_same_batch_brings_the_listings(desk: Desk) -> None:
    """If one batch merges a listed person, a later order of the survivor in it is declined."""
    desk.put_user("dan", 700)
    listing.add(desk, "ann")
    works = [desk.work(it, caller=PLATFORM) for it in merging("ann", "dan")]
    order = desk.work(authorize("dan", "umbrella"), request_id="order")
    desk.apply(*works, order)
    it = desk.answers["order"]
    assert isinstance(it, Authorization)
    assert is_denied(it)


def test_a_damage_charge_follows_no_listing(desk: Desk) -> None:
    """A charge for damage of an earlier rental is decided as if nobody were listed."""
    out = rental(desk, authorize("ann", "umbrella"))
    rental(desk, settle(out, 0))
    listing.add(desk, "ann")
    charge = authorize("ann", "umbrella")._replace(parent_id=out.authorization_id)
    assert not is_denied(rental(desk, charge))


def test_a_suspension_comes_before_a_listing(desk: Desk) -> None:
    """No listing hides or lifts a suspension: its reason is told."""
    listing.add(desk, "ann")
    desk.do(c.SetStanding("ann", Standing.SUSPENDED), caller=PLATFORM)
    assert rental(desk, authorize("ann")).reasons == ("USER_SUSPENDED",)


def test_a_retry_gets_the_first_answer(desk: Desk) -> None:
    """A retry of a call from before the listing gets its first answer; the same item is taken."""
    first = rental(desk, authorize("ann", asset_id="b7"), request_id="one")
    listing.add(desk, "ann")
    assert rental(desk, authorize("ann", asset_id="b7"), request_id="one") == first
    assert refused(desk, authorize("ben", asset_id="b7")).reason == "ASSET_IN_USE"
