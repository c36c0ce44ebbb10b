"""The platform's lists across people: open reviews, and transfers by state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from freehold.v1.rail_service_pb2 import Transfer

from tests.fakes import serving
from tests.rpc import ready
from tests.rpc.support import Desks, desks, yuan


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Desks]:
    """This test's own server, for its own rows."""
    with serving(tmp_path) as served, desks(served) as callers:
        yield callers


def reviews(desk: Desks, **parts: object) -> tuple[list[str], str]:
    """The names on a page of open reviews, and the token of the next page."""
    page = desk.platform.call("ListReviews", **parts)
    return [it.name for it in page.authorizations], page.next_page_token


def transfers(desk: Desks, **parts: object) -> tuple[list[str], str]:
    """The authorizations on a page of transfers, and the token of the next page."""
    page = desk.platform.call("ListTransfers", **parts)
    return [it.authorization for it in page.transfers], page.next_page_token


def test_open_reviews_are_listed_in_order(own: Desks) -> None:
    """Every open review comes once, the oldest first, and is gone after its verdict."""
    assert reviews(own) == ([], "")
    waiting = [ready.under_review(own).name for _ in range(3)]
    ready.active(own)
    first, token = reviews(own, page_size=2)
    assert first == waiting[:2]
    assert reviews(own, page_size=2, page_token=token) == (waiting[2:], "")
    own.platform.call("ResolveReview", name=waiting[0], verdict="VERDICT_APPROVED")
    own.platform.call("ResolveReview", name=waiting[1], verdict="VERDICT_DECLINED")
    assert reviews(own) == (waiting[2:], "")


def test_transfers_are_listed_by_person_and_state(own: Desks) -> None:
    """Transfers come once, the oldest first: of all people or of one, in all states or in one."""
    paid_out = []
    for _ in range(3):
        rental = ready.paid(own)
        own.operator.call("RefundCharge", name=rental.name, amount=yuan(300))
        own.platform.call("PayOutRefund", name=rental.name, amount=yuan(300))
        paid_out.append(rental.name)
    requested = Transfer.STATE_REQUESTED
    first, token = transfers(own, state=requested, page_size=2)
    assert first == paid_out[:2]
    assert transfers(own, state=requested, page_size=2, page_token=token) == (paid_out[2:], "")
    assert transfers(own, state=Transfer.STATE_SENT) == ([], "")
    assert transfers(own) == (paid_out, "")
    user_id = paid_out[1].split("/")[1]
    assert transfers(own, user_id=user_id) == (paid_out[1:2], "")
    assert transfers(own, user_id=user_id, state=requested) == (paid_out[1:2], "")
    assert transfers(own, user_id=user_id, state=Transfer.STATE_FAILED) == ([], "")
