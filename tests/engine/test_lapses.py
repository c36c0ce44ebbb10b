"""Endings and decisions by time are listed; those by a call are not."""

from __future__ import annotations

import pytest

from service.domain.authorization import Authorization
from service.domain.lapses import Lapse
from service.domain.policy import Offer
from service.engine import operations as c
from service.engine.reads import START
from service.storage import schema as t
from service.storage.database import reading
from tests.engine import acts
from tests.engine.calls import authorize, pick_up, rental, reverse, settle
from tests.fakes import OPERATOR, OTHER_OPERATOR, Desk, lists_of

ON_BOTH = "lapses are listed by a statement of their own"

DAY_US = acts.DAY_US


def listed(desk: Desk, lapse: Lapse, operator_id: str = OPERATOR) -> list[str]:
    """The authorizations that time ended in this way."""
    page = lists_of(desk.store).authorizations(
        operator_id, after=START, size=50, user_id="", state=None, lapse=lapse
    )
    return [it.authorization_id for it in page.rows]


def woken(desk: Desk, it: Authorization, after_us: int) -> Authorization:
    """The authorization after its timer, which is due by then."""
    return acts.woken(desk, it, desk.clock.now_us() + after_us)


def test_an_end_by_time_is_listed_by_its_kind(desk: Desk) -> None:
    """Six things that happen by time are listed by their kind, only for their own operator: an
    ended offer, reservation or damage charge, a claim decided by silence, a loss, and a sale."""
    desk.put_users(ann=700, ben=550, cem=700, dan=700, eve=700)
    offer = rental(desk, authorize("ben"))
    assert offer.offer is not Offer.ZERO
    waits = rental(desk, pick_up())
    claimed = rental(desk, acts.claim_return(rental(desk, authorize("cem"))))
    out = rental(desk, authorize("dan"))
    parent = rental(desk, settle(rental(desk, authorize("eve")), 0))
    charge = rental(
        desk, c.Authorize("eve", (c.Item(parent.product_id, ""),), parent.start, (),
                          parent_id=parent.authorization_id, amount=acts.money(100)),
    )  # fmt: skip
    for it, after_us in (
        (offer, DAY_US // 24),
        (waits, 0),
        (charge, DAY_US),
        (claimed, 3 * DAY_US),
    ):
        woken(desk, it, after_us)
    gone = woken(desk, out, 30 * DAY_US)
    assert gone.sold_us is not None
    acts.woken(desk, gone, gone.sold_us)
    for lapse, it in (
        (Lapse.OFFER_EXPIRED, offer), (Lapse.PICKUP_EXPIRED, waits),
        (Lapse.DAMAGE_CHARGE_ENDED, charge), (Lapse.CLAIM_ACCEPTED, claimed), (Lapse.LOST, out),
        (Lapse.SOLD, out),
    ):  # fmt: skip
        assert listed(desk, lapse) == [it.authorization_id], lapse
        assert listed(desk, lapse, OTHER_OPERATOR) == []
    assert listed(desk, Lapse.REVIEW_EXPIRED) == listed(desk, Lapse.RETURN_PRESUMED) == []


@pytest.mark.parametrize("how", ["reversed", "settled", "reported lost"])
def test_an_end_by_a_call_is_not_listed(desk: Desk, how: str) -> None:
    """A reversal, a settlement and a reported loss are no ends by time."""
    desk.put_user("ann", 700)
    it = rental(desk, authorize())
    if how == "reversed":
        rental(desk, reverse(it))
    elif how == "settled":
        rental(desk, settle(it, 100))
    else:
        rental(desk, acts.lost(woken(desk, it, DAY_US)))
    with reading(desk.store.engine) as connection:
        assert connection.execute(t.lapses.select()).all() == []
