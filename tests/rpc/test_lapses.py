"""Operators list what time ended."""

from __future__ import annotations

from freehold.v1 import authorization_pb2 as pb

from tests.rpc import ready
from tests.rpc.support import Desks, advance

DAY_S = 24 * 3_600


def test_a_claim_decided_by_silence_is_listed(desk: Desks) -> None:
    """ListAuthorizations finds the claims that silence decided and the reservations that expired;
    another operator sees none of them."""
    claimed, waits = ready.claimed(desk), ready.expired(desk)
    advance(desk, 3 * DAY_S)
    desk.platform.pay(claimed.name, desk.operator.get(claimed.name).due.amount_minor)
    for lapse, it in (
        (pb.LAPSE_CLAIM_ACCEPTED, claimed), (pb.LAPSE_PICKUP_EXPIRED, waits),
    ):  # fmt: skip
        names = [each.name for each in desk.operator.page(lapse=lapse).authorizations]
        assert it.name in names
        assert not desk.other.page(lapse=lapse).authorizations
    assert claimed.name not in [
        it.name for it in desk.operator.page(lapse=pb.LAPSE_LOST).authorizations
    ]
