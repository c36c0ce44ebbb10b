"""Prices of places: the station of Authorize decides the price of a rental, from its first quote to
its receipt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from freehold.v1 import authorization_pb2 as pb
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from service.books.verify import verify_books
from service.domain.authorization import Authorization, Start
from service.domain.details import ItemPlace, Order, price_hash
from service.domain.documents import DocumentKind
from service.domain.errors import PriceChanged, ProductMisconfigured
from service.domain.fee_lines import FeeItem
from service.domain.product import Product
from service.engine.calls import Priced, Settled
from service.engine.operations import Authorize, Item, Settle, StartRental
from service.engine.quotes import Quotes, Usage
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.compatibility import PLACES_BUILD
from service.storage.database import writing
from service.storage.quoting import QuoteStore
from tests.engine.currencies import apply
from tests.fakes import MINUTE_US, OPERATOR, Desk
from tests.terms import plant

ON_BOTH = "places are stored and verified by statements of their own"

K = DocumentKind
TARIFF: dict[str, Any] = {
    "name": "by-place", "currency": "CNY", "rounding": "STARTED", "buy_out_minor": 9_900,
    "segment": [{"interval_minutes": 30, "price_minor": 150}],
    "cap": [{"window_minutes": 1_440, "most_minor": 3_000}],
    "place": [
        {"name": "centre", "stations": ["c-1"], "segment": [
            {"interval_minutes": 30, "price_minor": 200}]},
        {"name": "airport", "stations": ["t-2", "t-1"], "start_fee_minor": 500},
    ],
}  # fmt: skip
"""1.50 for each started half hour; 5.00 more at the airport, and 2.00 in the centre."""
POLICY: dict[str, Any] = {
    "name": "own", "zero_from_score": 550, "reduced_from_score": 500,
    "reduced_credit_share_bp": 5_000,
}  # fmt: skip
PRODUCT: dict[str, Any] = {
    "id": "bank", "category": "POWER_BANK", "currency": "CNY", "deposit_minor": 9_900,
    "replacement_minor": 8_000, "tariff": "by-place", "policy": "own",
}  # fmt: skip


@pytest.fixture
def city(desk: Desk) -> Desk:
    """A desk whose operator has power banks with prices of places."""
    for kind, table in ((K.TARIFF, TARIFF), (K.POLICY, POLICY), (K.PRODUCT, PRODUCT)):
        apply(desk, kind, table, OPERATOR)
    desk.engine.terms.follow()
    return desk


def order(station: str) -> Order:
    """An order at a station."""
    return Order(place=ItemPlace(station))


def rent(desk: Desk, station: str, shown: str = "", start: Start = Start.IMMEDIATE) -> Any:
    """An authorization of a power bank at a station."""
    items = (Item("bank", "", shown),)
    answer = desk.do(Authorize("ann", items, start, (), order=order(station)))
    assert isinstance(answer, Priced)
    assert isinstance(answer.answer, Authorization)
    return answer.answer


def settle(desk: Desk, it: Authorization, minutes: int, station: str = "") -> Settled:
    """The settlement after so many minutes, at a station."""
    desk.clock.advance(desk.clock.now_us() + minutes * MINUTE_US)
    place = ItemPlace(station) if station else None
    settled = desk.do(Settle(it.user_id, it.authorization_id, None, final=True, place=place))
    assert isinstance(settled, Settled)
    return settled


def product(desk: Desk) -> Product:
    """The power bank as it is rented out now."""
    return desk.engine.terms.used.catalog.products[OPERATOR, "bank"]


def fault(desk: Desk) -> Any:
    """The first fault that the verifier finds."""
    return verify_books(desk.store.engine, read_payload=read_payload).fault


@pytest.mark.parametrize(
    ("station", "place", "minor"),
    [("t-1", "airport", 800), ("c-1", "centre", 400), ("x-9", "", 300), ("", "", 300)],
)
def test_the_station_of_authorize_decides_the_price(
    city: Desk, station: str, place: str, minor: int
) -> None:
    """A rental costs the price of the place in which it was authorized, wherever it ends. A station
    of no place has the ordinary price."""
    it = rent(city, station)
    settled = settle(city, it, 60, "c-1")
    assert settled.fee is not None
    assert settled.fee.total_minor == minor
    named = [line.place for line in settled.fee.lines if line.item is FeeItem.PLACE]
    assert named == ([place] if place else [])
    assert fault(city) is None


def test_a_quote_has_the_price_of_authorize(city: Desk) -> None:
    """QuoteFee at a station has the fee and the price hash of a rental from there."""
    quotes = Quotes(city.engine, QuoteStore(city.store), city.clock)
    now_us = city.clock.now_us()
    for station, minor in (("t-2", 800), ("c-1", 400), ("x-9", 300), ("", 300)):
        usage = Usage(now_us, now_us + 60 * MINUTE_US, (), station=station)
        quoted = quotes.usage(OPERATOR, "bank", usage)
        assert quoted.fee.total_minor == minor
        it = rent(city, station, price_hash(quoted.product))
        assert it.product_revision == quoted.product.revision
    order_ = Authorize("ann", (Item("bank", ""),), Start.IMMEDIATE, (), grouped=True,
                       order=order("t-1"))  # fmt: skip
    (of,) = quotes.authorization(OPERATOR, order_).products
    assert price_hash(of) == price_hash(product(city).at("t-1"))


def test_the_price_of_another_place_is_refused(city: Desk) -> None:
    """A user who was shown the price of another place is not charged this one: PRICE_CHANGED names
    the hash of this place's price."""
    shown = price_hash(product(city))
    with pytest.raises(PriceChanged) as refused:
        rent(city, "t-1", shown)
    assert refused.value.metadata["price_hash"] == price_hash(product(city).at("t-1"))
    rent(city, "x-9", shown)


def test_the_place_of_the_pick_up_changes_no_price(city: Desk) -> None:
    """A reservation at the airport costs the airport's price, although the item is picked up in the
    centre; so does a late pick-up."""
    it = rent(city, "t-1", start=Start.ON_PICKUP)
    started = city.do(StartRental(it.user_id, it.authorization_id, "b-1", place=ItemPlace("c-1")))
    assert isinstance(started, Authorization)
    settled = settle(city, started, 60)
    assert settled.fee is not None
    assert settled.fee.total_minor == 800


def test_a_rental_keeps_its_price_when_places_change(city: Desk) -> None:
    """New places and a new policy count for rentals that begin later. Each new revision of the
    policy keeps the places."""
    it = rent(city, "t-1")
    before = product(city)
    apply(city, K.POLICY, {**POLICY, "zero_from_score": 560}, OPERATOR)
    city.engine.terms.follow()
    after = product(city)
    assert after.revision == before.revision + 3
    assert {key: one.tariff for key, one in after.by_station.items()} == {
        key: one.tariff for key, one in before.by_station.items()
    }
    assert {one.policy.revision for one in (after, *after.by_station.values())} == {2}
    moved = [{"name": "harbour", "stations": ["t-1"], "start_fee_minor": 100}]
    apply(city, K.TARIFF, {**TARIFF, "place": moved}, OPERATOR)
    city.engine.terms.follow()
    assert set(product(city).by_station) == {"t-1"}
    assert product(city).at("c-1") is product(city)
    later = rent(city, "t-1")
    for rental, minor in ((it, 800), (later, 400)):
        settled = settle(city, rental, 60 if rental is it else 0)
        assert settled.fee is not None
        assert settled.fee.total_minor == minor
    apply(city, K.TARIFF, {key: TARIFF[key] for key in TARIFF if key != "place"}, OPERATOR)
    city.engine.terms.follow()
    assert not product(city).by_station
    assert fault(city) is None


def test_a_first_place_shuts_older_builds_out(desk: Desk) -> None:
    """A tariff with places names the first build that asks for their prices."""
    oldest = select(func.max(t.compatibility.c.oldest_build))
    usual = {key: TARIFF[key] for key in TARIFF if key != "place"}
    apply(desk, K.TARIFF, usual, OPERATOR)
    with desk.store.engine.connect() as connection:
        assert connection.scalar(oldest) < PLACES_BUILD
    apply(desk, K.TARIFF, TARIFF, OPERATOR)
    with desk.store.engine.connect() as connection:
        assert connection.scalar(oldest) == PLACES_BUILD


def copy_as_earlier_server(desk: Desk) -> None:
    """Copies the newest row of the power banks, with its link, as builds without places do for a
    new policy."""
    with writing(desk.store.engine) as connection:
        for table in (t.products, t.compiled_products):
            columns = [it for it in table.columns if it.key not in ("places", "stations")]
            picked = [it + 1 if it.key == "revision" else it for it in columns]
            newest = select(*picked).where(table.c.product_id == "bank", table.c.revision == 3)
            copied = insert(table).from_select([it.key for it in columns], newest)
            connection.execute(copied)


def test_an_older_server_drops_no_places(city: Desk) -> None:
    """A running server of a build without places cannot put a policy into force for a product with
    prices of places: the database refuses the row, and the prices stay."""
    with pytest.raises(IntegrityError, match="prices of places"):
        copy_as_earlier_server(city)
    city.engine.terms.follow()
    assert (product(city).revision, set(product(city).by_station)) == (3, {"c-1", "t-1", "t-2"})
    assert fault(city) is None


AIRPORT = "operator_id = 'city' AND product_id = 'bank' AND revision = 1"
OTHERS = "operator_id = 'city' AND product_id = 'bank' AND revision = 3"


@contextmanager
def damaged(desk: Desk, damage: str) -> Iterator[None]:
    """Changes rows of products past the database's rules, and restores them."""
    with desk.store.engine.connect() as connection:
        rows = [dict(it) for it in connection.execute(select(t.products)).mappings()]
    plant(desk.store.engine, damage)
    try:
        yield
    finally:
        p = t.products.c
        with desk.store.engine.begin() as connection:
            for row in rows:
                mine = [it == row[it.key] for it in (p.operator_id, p.product_id, p.revision)]
                values = {it: row[it] for it in ("tariff", "stations", "places")}
                changed = connection.execute(t.products.update().where(*mine).values(values))
                if not changed.rowcount:
                    connection.execute(t.products.insert().values(row))


@pytest.mark.parametrize(
    "change",
    [
        f"""UPDATE products SET stations = '["t-1"]' WHERE {AIRPORT}""",
        f"UPDATE products SET stations = NULL WHERE {AIRPORT}",
        f"UPDATE products SET places = 1 WHERE {OTHERS}",
        f"UPDATE products SET places = 0 WHERE {OTHERS}",
        f"UPDATE products SET tariff = replace(tariff, 'airport', 'centre') WHERE {AIRPORT}",
        (
            "UPDATE products SET stations = '[\"c-1\"]', tariff = (SELECT b.tariff FROM products b"
            " WHERE b.operator_id = 'city' AND b.product_id = 'bank' AND b.revision = 2)"
            f" WHERE {AIRPORT}"
        ),
    ],
)
def test_verify_finds_changed_places(city: Desk, change: str) -> None:
    """`freehold verify` finds a station that was removed, a place that lost its stations, a place
    that is there twice in the place of another, and rows that are not those of the tariff."""
    assert fault(city) is None
    with damaged(city, change):
        found = fault(city)
    assert found is not None
    assert found.row.startswith("products/city/bank/")


def test_verify_finds_another_place_in_an_event(city: Desk) -> None:
    """`freehold verify` finds an event that names another place than the terms of its rental."""
    it = rent(city, "t-1")
    o = t.outbox.c
    mine = o.authorization_id == it.authorization_id
    with city.store.engine.begin() as connection:
        payload = connection.scalar(select(o.payload).where(mine))
        told = pb.Authorization.FromString(bytes(payload or b""))
        assert told.price_place == "airport"
        told.price_place = "centre"
        changed = t.outbox.update().where(mine).values(payload=told.SerializeToString())
        connection.execute(changed)
    found = fault(city)
    assert found is not None
    assert found.detail.startswith("price_place")
    with city.store.engine.begin() as connection:
        connection.execute(t.outbox.update().where(mine).values(payload=payload))


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE products SET stations = NULL WHERE {AIRPORT}",
        f"""UPDATE products SET stations = '["t 1"]' WHERE {AIRPORT}""",
        f"DELETE FROM products WHERE {OTHERS}",
    ],
)
def test_a_product_whose_places_make_no_sense_is_not_rented_out(city: Desk, change: str) -> None:
    """A product with a missing or wrong row of a place is refused, and not rented out at the price
    of other stations."""
    with damaged(city, change):
        city.engine.terms.follow()
        with pytest.raises(ProductMisconfigured):
            rent(city, "x-9")
