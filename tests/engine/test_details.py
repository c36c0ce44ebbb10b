"""Details of orders are kept, and the price shown is the price charged."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from service.domain.authorization import Authorization
from service.domain.details import ItemPlace, Order, price_hash
from service.domain.errors import PriceChanged
from service.domain.tariff import Tariff
from service.engine import operations as c
from service.engine.calls import Priced
from service.engine.records.details import DetailsRecord
from service.engine.tables import DETAILS
from tests.engine import acts
from tests.engine.calls import authorize, pick_up, rental, settle
from tests.fakes import OPERATOR, Desk

ORDER = Order(
    "order-1", '{"lane":"3"}', ItemPlace("dock-1", "80 %"), "d", "a", "wechat", "Asia/Urumqi"
)


def ordered(desk: Desk, command: c.Authorize, order: Order | None = ORDER) -> Authorization:
    """The authorization of an order."""
    answer = desk.do(command._replace(order=order))
    assert isinstance(answer, Priced)
    assert isinstance(answer.answer, Authorization)
    return answer.answer


def details(desk: Desk, it: Authorization) -> DetailsRecord | None:
    """The details of an authorization as they are read."""
    told = desk.store.told(*acts.name(it))
    assert told is not None
    return told.details


def in_force(desk: Desk, product_id: str = "bike") -> str:
    """The hash of the price in force."""
    return price_hash(desk.engine.terms.used.catalog.products[OPERATOR, product_id])


def test_an_order_is_kept_whole(desk: Desk) -> None:
    """The details of an order in Authorize are stored with its authorization, and read with it."""
    desk.put_user("ann", 700)
    it = ordered(desk, authorize())
    kept = details(desk, it)
    assert kept is not None
    assert kept[3:-3] == (
        *("order-1", '{"lane":"3"}', "d", "a", "wechat", "Asia/Urumqi", ""),
        *("dock-1", "80 %", "", ""),
    )
    assert (kept.operator_id, kept.authorization_version) == (OPERATOR, it.version)


def test_a_place_replaces_its_own_side(desk: Desk) -> None:
    """StartRental records the hand-over to the user, and the settlement records the return. Each
    replaces only the details of its own side, and makes the row of details if there is none."""
    desk.put_users(ann=700, ben=700)
    it = ordered(desk, pick_up())
    out = ItemPlace("dock-2", "wet")
    it = rental(desk, c.StartRental(*acts.name(it), "", None, out))
    bare = rental(desk, authorize("ben"))
    back = ItemPlace("dock-3")
    for each in (it, bare):
        rental(desk, c.Settle(*acts.name(each), acts.money(100), True, place=back))
    kept, opened = details(desk, it), details(desk, bare)
    assert kept is not None
    assert opened is not None
    assert kept[10:14] == ("dock-2", "wet", "dock-3", "")
    assert (kept.order_reference, kept.labels) == ("order-1", '{"lane":"3"}')
    assert opened[3:14] == (*[""] * 9, "dock-3", "")


def test_an_order_without_details_has_no_row(desk: Desk) -> None:
    """A rental has no details if the operator sends none."""
    desk.put_user("ann", 700)
    it = rental(desk, settle(rental(desk, authorize()), 500))
    assert details(desk, it) is None


def test_the_price_shown_is_the_price_charged(desk: Desk) -> None:
    """The hash of the tariff in force is accepted and kept. Any other hash is refused with
    PRICE_CHANGED, which names the hash in force, and nothing is held."""
    desk.put_user("ann", 700)
    asked = authorize()
    (item,) = asked.items
    shown = in_force(desk, item.product_id)
    right = asked._replace(items=(item._replace(price_hash=shown),))
    it = ordered(desk, right, None)
    kept = details(desk, it)
    assert kept is not None
    assert kept.price_hash == shown
    wrong = asked._replace(items=(item._replace(price_hash="0" * 64),))
    with pytest.raises(PriceChanged) as caught:
        desk.do(wrong)
    assert caught.value.metadata == {"product": item.product_id, "price_hash": shown}
    line = desk.store.line("ann", "CNY")
    assert line is not None
    assert line.held_minor == it.held_minor


def test_the_hash_of_a_price_is_as_the_contract_says(desk: Desk) -> None:
    """The hash is SHA-256 over the currency and the six numbers of the tariff, a line each; each
    number changes it."""
    product = desk.engine.terms.used.catalog.products[OPERATOR, "bike"]
    text = "\n".join(["CNY", *map(str, product.tariff)])
    assert price_hash(product) == hashlib.sha256(text.encode()).hexdigest()
    others = {
        price_hash(replace(product, tariff=Tariff(**{**product.tariff._asdict(), name: 7_777})))
        for name in Tariff._fields
    }
    assert len(others | {price_hash(product)}) == 7


def test_an_answer_has_the_hash_of_the_price(desk: Desk) -> None:
    """The answer to an order has the hash of the price in force, and every group member its
    details."""
    desk.put_users(ann=700, ben=800)
    answer = desk.do(authorize()._replace(order=ORDER))
    assert isinstance(answer, Priced)
    assert answer.price_hash == in_force(desk, authorize().items[0].product_id)
    group = acts.group("ben", ("umbrella", ""), ("umbrella", ""))._replace(order=ORDER)
    for it in acts.members(desk, group):
        assert details(desk, it) is not None


def test_a_refused_call_writes_no_details(desk: Desk) -> None:
    """A refused settlement leaves the details as they were."""
    desk.put_user("ann", 700)
    it = ordered(desk, authorize())
    before = details(desk, it)
    over = c.Settle(*acts.name(it), acts.money(1_000_000), True, place=ItemPlace("dock-9"))
    (result,) = desk.apply(desk.work(over))
    assert isinstance(result, Exception)
    assert details(desk, it) == before
    assert DETAILS.name == "authorization_details"
