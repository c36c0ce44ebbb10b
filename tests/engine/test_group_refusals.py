"""A refusal of a whole group names the member because of which it is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.errors import FreeholdError, InvalidInput, VersionMismatch
from service.domain.ledger import Standing
from service.engine.operations import ReverseByOrigin, SetStanding
from tests.engine.acts import group, members, review
from tests.engine.calls import (
    confirm,
    counts,
    refused,
    rental,
    reverse,
    reverse_origin,
    settle,
    stored,
)
from tests.fakes import START_US, Desk
from tests.terms import BAD_POLICY, forget_documents_in, plant

BIKE, UMBRELLA, BANK = ("bike", ""), ("umbrella", ""), ("power-bank", "")
DAY_US = 86_400_000_000


def reversal(desk: Desk, request_id: str = "r") -> FreeholdError:
    """The refusal of a group's reversal, which writes nothing."""
    before = counts(desk)
    refusal = refused(desk, reverse_origin("ann", request_id))
    assert counts(desk) == before
    return refusal


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("final", [True, False])
def test_r21_the_member_that_cannot_be_reversed_is_named(
    desk: Desk, place: int, final: bool
) -> None:
    """R21: if one member prevents the reversal of its group, the refusal names this member in its
    text and in its metadata."""
    three = members(desk, group("ann", BIKE, UMBRELLA, BANK), request_id="r")
    held = rental(desk, settle(three[place], 100, final=final))
    refusal = reversal(desk)
    assert refusal.metadata == {"state": held.state, "authorization": held.name}
    assert refusal.message.endswith(f": {held.name}")
    assert refusal.reason == ("ILLEGAL_TRANSITION" if final else "CAPTURED_ALREADY")


def test_r21_members_that_ended_are_not_named(desk: Desk) -> None:
    """R21: members that ended without a charge do not prevent the reversal of a group, so the
    refusal names the member with a charge."""
    three = members(desk, group("ann", BIKE, UMBRELLA, BANK), request_id="r")
    rental(desk, reverse(three[0]))
    rental(desk, settle(three[2], 100))
    assert reversal(desk).metadata["authorization"] == three[2].name
    assert stored(desk, three[1]).held_minor


def test_r21_a_stale_version_names_its_authorization(desk: Desk) -> None:
    """R21: a reversal by request id expects the version of the group's first member. A refusal
    names that member."""
    first, _ = members(desk, group("ann", BIKE, UMBRELLA), request_id="r")
    refusal = refused(desk, ReverseByOrigin("ann", "r", first.version + 1))
    assert isinstance(refusal, VersionMismatch)
    assert refusal.metadata["authorization"] == first.name


def restarted(desk: Desk) -> Desk:
    """A process that starts after the bike's terms became wrong."""
    forget_documents_in(desk.store.engine)
    plant(desk.store.engine, f"{BAD_POLICY} AND product_id = 'bike'")
    later = Desk(desk.store, ids=desk.engine._ids)
    later._requests = desk._requests
    return later


def offered(desk: Desk) -> list[Authorization]:
    """A bike and an umbrella, offered together."""
    return members(desk, group("ben", BIKE, UMBRELLA), request_id="r")


def under_review(desk: Desk) -> list[Authorization]:
    """A bike and an umbrella, under review together."""
    desk.do(SetStanding("ann", Standing.WATCHED), caller=PLATFORM)
    return members(desk, group("ann", BIKE, UMBRELLA), request_id="r")


def confirmed(desk: Desk, both: list[Authorization]) -> FreeholdError:
    """The refusal of a confirmation that names the umbrella."""
    return refused(desk, confirm(both[1], sum(it.cash_minor for it in both)))


def approved(desk: Desk, both: list[Authorization]) -> FreeholdError:
    """The refusal of a verdict that names the umbrella."""
    return refused(desk, review(both[1], approve=True), caller=PLATFORM)


@pytest.mark.parametrize(("made", "refusal_of"), [(offered, confirmed), (under_review, approved)])
def test_r21_the_member_with_wrong_terms_is_named(
    desk: Desk,
    made: Callable[[Desk], list[Authorization]],
    refusal_of: Callable[[Desk, list[Authorization]], FreeholdError],
) -> None:
    """R21: when the terms of another member make no sense, a confirmation or a verdict is refused
    with that member's name and product."""
    both = made(desk)
    later = restarted(desk)
    before = counts(desk)
    refusal = refusal_of(later, both)
    assert refusal.reason == "PRODUCT_MISCONFIGURED"
    assert refusal.metadata == {"product": "bike", "authorization": both[0].name}
    assert counts(desk) == before


def test_r21_the_overdue_member_with_wrong_terms_is_named(desk: Desk) -> None:
    """R21: if a member's timer cannot run because the member's terms make no sense, the refusal to
    reverse its group names this member."""
    bike, umbrella = members(desk, group("ann", BIKE, UMBRELLA), request_id="r")
    rental(desk, reverse(umbrella))
    later = restarted(desk)
    later.clock.advance(START_US + 2 * DAY_US)
    assert reversal(later).metadata == {"product": "bike", "authorization": bike.name}


def test_r21_the_item_of_a_group_that_is_wrong_is_named(desk: Desk) -> None:
    """R21: a group that names an item twice is refused at the second of the two."""
    refusal = refused(desk, group("ann", BIKE, ("umbrella", "x-1"), ("umbrella", "x-1")))
    assert isinstance(refusal, InvalidInput)
    assert [it.field for it in refusal.violations] == ["items[2].asset_id"]
