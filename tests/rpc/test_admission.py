"""AdmissionService: listings over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from freehold.v1 import admission_service_pb2 as pb
from freehold.v1.authorization_pb2 import Authorization
from google.protobuf.timestamp_pb2 import Timestamp

from service.config import Limits
from tests.fakes import OPERATOR, serving
from tests.rpc.support import START_S, Desks, desks, until

DENY, ALLOW = pb.LISTING_EFFECT_DENY, pb.LISTING_EFFECT_ALLOW
USER = pb.LISTING_KIND_USER


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desks]:
    """A server that looks for new terms every 50 ms, and its callers."""
    limits = Limits(catalog_interval_s=0.05)
    with serving(tmp_path, limits=limits) as served, desks(served) as made:
        yield made


def denied(subject: str, **more: Any) -> dict[str, Any]:
    """The fields of an AddListings that denies a user."""
    listed = pb.ListedSubject(kind=USER, subject=subject)
    return {"effect": DENY, "subjects": [listed], "reason": "theft", **more}


def test_a_listed_user_is_declined_within_a_second(desk: Desks) -> None:
    """After the operator's AddListings its Authorize of the user is declined; after EndListings it
    is decided by the policy again. Another operator's Authorize was never affected."""
    person = desk.platform.person()
    (made,) = desk.operator.call("AddListings", **denied(person)).listings
    assert (made.number, made.operator_id, made.subject) == (1, OPERATOR, person)

    def is_declined() -> bool:
        it = desk.operator.authorize(person, "umbrella")
        return list(it.reasons) == ["LISTED_DENY"] and it.state == Authorization.STATE_DECLINED

    until(is_declined, "the listing counts")
    assert desk.other.authorize(person, "umbrella").reasons != ["LISTED_DENY"]
    (ended,) = desk.operator.call("EndListings", numbers=[1], reason="cleared").listings
    assert (ended.end_reason, bool(ended.ended_by)) == ("cleared", True)
    assert not is_declined()


def test_an_operator_sees_its_own_listings_only(desk: Desks) -> None:
    """An operator neither lists, adds nor ends listings of another, whose existence it does not
    learn either. The platform does so by naming the operator; the operator then sees `platform` as
    the maker."""
    desk.other.call("AddListings", **denied("ann"))
    assert list(desk.operator.call("ListListings").listings) == []
    for name, parts in (
        ("AddListings", denied("ann")),
        ("EndListings", {"numbers": [1], "reason": "x"}),
        ("ListListings", {}),
    ):
        reasons = set()
        for owner in ("other", "nowhere"):
            with pytest.raises(Exception, match="NOT_FOUND") as refused:
                desk.operator.call(name, operator_id=owner, **parts)
            reasons.add(str(refused.value).replace(owner, ""))
        assert len(reasons) == 1
    desk.platform.call("AddListings", operator_id=OPERATOR, **denied("eve"))
    (seen,) = desk.operator.call("ListListings").listings
    assert (seen.subject, seen.created_by) == ("eve", "platform")
    (told,) = desk.platform.call("ListListings", operator_id=OPERATOR).listings
    assert told.created_by.startswith("platform/keys/")


def test_listings_come_in_pages(desk: Desks) -> None:
    """A list is in the order of the numbers; its pages leave out and repeat nothing. It may name a
    kind and a subject."""
    for place in range(5):
        desk.operator.call("AddListings", **denied(f"u{place}"))
    token, seen = "", list[str]()
    while not seen or token:
        page = desk.operator.call("ListListings", page_size=2, page_token=token)
        seen += [it.subject for it in page.listings]
        token = page.next_page_token
    assert seen == ["u0", "u1", "u2", "u3", "u4"]
    found = desk.operator.call("ListListings", kind=USER, subject="u3").listings
    assert [it.number for it in found] == [4]
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        desk.operator.call("ListListings", subject="u3")


def test_expired_listings_are_not_active(desk: Desks) -> None:
    """A list of active listings leaves out those that ended."""
    expiry = Timestamp(seconds=START_S + 60)
    desk.operator.call("AddListings", **denied("a", expire_time=expiry))
    desk.operator.call("AddListings", **denied("b"))
    desk.operator.call("EndListings", numbers=[2], reason="x")
    found = desk.operator.call("ListListings", active_only=True).listings
    assert [(it.subject, it.expire_time) for it in found] == [("a", expiry)]


def test_a_retry_gets_the_first_answer(desk: Desks) -> None:
    """The same request id adds its listings once, and answers the same bytes."""
    parts = denied("ann")
    first = desk.operator.call("AddListings", request_id="once", **parts)
    assert desk.operator.call("AddListings", request_id="once", **parts) == first
    assert len(desk.operator.call("ListListings").listings) == 1


def test_wrong_listings_name_their_fields(desk: Desks) -> None:
    """A refusal names the field of each wrong listing."""
    subjects = [pb.ListedSubject(kind=USER, subject=it) for it in ("ann", "a+b")]
    request = pb.AddListingsRequest(
        request_id="r", effect=ALLOW, subjects=subjects, rules=["LINE_EXHAUSTED"], reason="x"
    )
    refused = desk.operator.refused("AddListings", request)
    assert refused.fields == {"subjects[1].subject", "rules[0]"}
