"""An item is in at most one open rental of its operator."""

from __future__ import annotations

import pytest

from service.domain.authorization import Authorization, State
from service.domain.errors import AssetInUse
from service.domain.policy import Offer
from service.engine.operations import Wake
from tests.engine.acts import group
from tests.engine.calls import (
    authorize,
    confirm,
    counts,
    pick_up,
    reason,
    refused,
    rental,
    reverse,
    settle,
    start,
    stored,
)
from tests.fakes import MINUTE_US, OTHER_OPERATOR, START_US, Desk

ITEM = "bike-7"


def test_an_item_is_rented_once(desk: Desk) -> None:
    """An item in an open rental cannot be authorized again; the refusal writes nothing but
    its record."""
    rental(desk, authorize(asset_id=ITEM))
    before = counts(desk)
    error = refused(desk, authorize("ben", "umbrella", ITEM))
    assert error.reason == "ASSET_IN_USE"
    assert counts(desk) == {**before, "requests": before["requests"] + 1}


def in_use(error: object, held: Authorization) -> None:
    """Requires a refusal that names the item, and the rental and the product that have it."""
    assert isinstance(error, AssetInUse)
    assert error.metadata == {
        "state": "IN_USE",
        "asset": ITEM,
        "authorization": held.name,
        "product": held.product_id,
    }
    rented = f"{held.name} of the product {held.product_id}"
    assert error.message == f"the item {ITEM} is in another open rental: {rented}"


@pytest.mark.parametrize("product_id", ["bike", "umbrella", "power-bank"])
def test_r15_an_item_is_one_item_under_every_product(desk: Desk, product_id: str) -> None:
    """R15: an item that is out under one product cannot be rented out under another of the same
    operator; the refusal names the rental and the product that have it."""
    held = rental(desk, authorize(asset_id=ITEM))
    before = counts(desk)
    in_use(refused(desk, authorize("ben", product_id, ITEM)), held)
    in_use(refused(desk, group("ben", ("power-bank", ""), (product_id, ITEM))), held)
    waiting = rental(desk, pick_up("ann", "umbrella"))
    in_use(refused(desk, start(waiting, ITEM)), held)
    assert counts(desk)["open_items"] == before["open_items"]
    rental(desk, settle(held, 0))
    assert rental(desk, authorize("ben", product_id, ITEM)).product_id == product_id


def test_r15_the_product_of_the_same_batch_is_named(desk: Desk) -> None:
    """R15: if two calls of one batch ask for one item under two products, the refusal of the second
    call names the product of the first."""
    first, second = desk.apply(
        desk.work(authorize("ann", "umbrella", ITEM), request_id="r"),
        desk.work(authorize("ben", "bike", ITEM)),
    )
    assert isinstance(first, bytes)
    held = desk.answers["r"]
    assert isinstance(held, Authorization)
    in_use(second, held)


def test_r15_the_same_item_of_another_operator_is_not_named(desk: Desk) -> None:
    """R15: an item belongs to its operator. Another operator's rental of an item with the same name
    does not block this item, and is never named."""
    theirs = rental(desk, authorize(asset_id=ITEM), caller=OTHER_OPERATOR)
    ours = rental(desk, authorize("ben", "umbrella", ITEM, accept=(Offer.ZERO,)))
    assert (theirs.state, ours.state) == (State.ACTIVE, State.ACTIVE)


def test_an_item_is_rented_once_in_a_batch(desk: Desk) -> None:
    """When two people ask for one item in the same batch, the first gets it."""
    first, second = desk.apply(
        desk.work(authorize(asset_id=ITEM)), desk.work(authorize("ben", "umbrella", ITEM))
    )
    assert isinstance(first, bytes)
    assert reason(second) == "ASSET_IN_USE"
    assert counts(desk)["open_items"] == 1


def test_items_belong_to_their_operator(desk: Desk) -> None:
    """Two operators may use the same item id."""
    rental(desk, authorize(asset_id=ITEM))
    assert rental(desk, authorize(asset_id=ITEM), caller=OTHER_OPERATOR).state is State.ACTIVE


def test_rentals_without_item_claim_none(desk: Desk) -> None:
    """Rentals without an item id do not exclude each other."""
    rental(desk, authorize())
    rental(desk, authorize())
    assert counts(desk)["open_items"] == 0


@pytest.mark.parametrize("end", ["settle", "reverse", "expire"])
def test_an_item_is_free_after_its_rental(desk: Desk, end: str) -> None:
    """Settling, reversing and expiring free the item, even within the same batch."""
    it = rental(desk, pick_up(asset_id=ITEM) if end == "expire" else authorize(asset_id=ITEM))
    if end == "expire":
        desk.clock.advance(START_US + 30 * MINUTE_US)
        last = desk.work(Wake("ann", it.authorization_id), request_id="")
    else:
        last = desk.work(settle(it, 0) if end == "settle" else reverse(it))
    _, second = desk.apply(last, desk.work(authorize("ben", "umbrella", ITEM), request_id="r"))
    assert isinstance(second, bytes)
    assert refused(desk, authorize(asset_id=ITEM)).reason == "ASSET_IN_USE"


def test_a_partial_capture_keeps_the_item(desk: Desk) -> None:
    """After a capture that is not final the item stays in its rental."""
    rental(desk, settle(rental(desk, authorize(asset_id=ITEM)), 100, final=False))
    assert refused(desk, authorize(asset_id=ITEM)).reason == "ASSET_IN_USE"


def test_an_offer_does_not_claim(desk: Desk) -> None:
    """An offer leaves the item free; the first to confirm gets it, and the second is declined with
    the payment owed back."""
    ben, cem = (rental(desk, authorize(who, asset_id=ITEM)) for who in ("ben", "cem"))
    assert counts(desk)["open_items"] == 0
    rental(desk, confirm(cem, reference="p"))
    late = rental(desk, confirm(ben, reference="q"))
    assert (late.state, late.reasons[0]) == (State.DECLINED, "ASSET_IN_USE")
    assert late.refund_payable_minor == 9_950
    assert stored(desk, cem).state is State.ACTIVE


def test_a_payment_for_a_declined_confirmation_counts(desk: Desk) -> None:
    """A payment for an item that is gone is recorded: the same payment counts once."""
    ben = rental(desk, authorize("ben", asset_id=ITEM))
    rental(desk, authorize(asset_id=ITEM))
    rental(desk, confirm(ben, reference="p"))
    other = rental(desk, authorize("ben", "umbrella", accept=(Offer.FULL,)))
    assert refused(desk, confirm(other, reference="p")).reason == "PAYMENT_REFERENCE_USED"


@pytest.mark.parametrize("end", ["expire", "reverse", "pay late"])
def test_the_end_of_an_offer_frees_no_other_claim(desk: Desk, end: str) -> None:
    """If somebody else has taken the item of an offer since, the end of the offer does not free the
    item."""
    offer = rental(desk, authorize("ben", asset_id=ITEM))
    taken = rental(desk, authorize(asset_id=ITEM))
    if end == "reverse":
        rental(desk, reverse(offer))
    else:
        desk.clock.advance(START_US + 15 * MINUTE_US)
        if end == "expire":
            rental(desk, Wake("ben", offer.authorization_id), request_id="")
        else:
            assert rental(desk, confirm(offer)).state is State.EXPIRED
    assert refused(desk, authorize("cem", asset_id=ITEM)).reason == "ASSET_IN_USE"
    rental(desk, settle(taken, 0))
    assert counts(desk)["open_items"] == 0


def test_a_late_payment_frees_no_later_claim(desk: Desk) -> None:
    """A payment after the end of a hold does not free the item from its next rental."""
    held = rental(desk, confirm(rental(desk, pick_up("ben", asset_id=ITEM)), reference="p"))
    desk.clock.advance(START_US + 30 * MINUTE_US)
    rental(desk, Wake("ben", held.authorization_id), request_id="")
    rental(desk, authorize(asset_id=ITEM))
    rental(desk, confirm(held, reference="q"))
    assert refused(desk, authorize("cem", asset_id=ITEM)).reason == "ASSET_IN_USE"


def test_a_declined_authorize_claims_nothing(desk: Desk) -> None:
    """A declined Authorize leaves the item to others."""
    assert rental(desk, authorize("cem", "bike", ITEM, accept=(Offer.ZERO,))).offer is None
    assert counts(desk)["open_items"] == 0


def test_an_item_named_at_the_pick_up(desk: Desk) -> None:
    """An item first named at the pick-up is claimed there, and refused when in use."""
    one, other = rental(desk, pick_up()), rental(desk, pick_up())
    assert rental(desk, start(one, ITEM)).asset_id == ITEM
    assert refused(desk, start(other, ITEM)).reason == "ASSET_IN_USE"
    assert refused(desk, authorize("cem", asset_id=ITEM)).reason == "ASSET_IN_USE"
    assert rental(desk, start(other, "bike-8")).state is State.ACTIVE


def test_two_pick_ups_of_one_item_in_a_batch(desk: Desk) -> None:
    """When two pick-ups in one batch name one item, the first gets it."""
    one, other = rental(desk, pick_up()), rental(desk, pick_up())
    first, second = desk.apply(desk.work(start(one, ITEM)), desk.work(start(other, ITEM)))
    assert isinstance(first, bytes)
    assert reason(second) == "ASSET_IN_USE"


def test_a_pick_up_of_the_authorized_item(desk: Desk) -> None:
    """Naming the authorized item again at the pick-up claims it only once."""
    it = rental(desk, pick_up(asset_id=ITEM))
    assert rental(desk, start(it, ITEM)).state is State.ACTIVE
    rental(desk, settle(it, 0))
    assert counts(desk)["open_items"] == 0
