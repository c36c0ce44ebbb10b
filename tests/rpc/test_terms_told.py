"""Every answer that names an amount of a rental tells the revision of its terms and the hash of its
price."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from freehold.v1.authorization_pb2 import Authorization
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import insert, select

from service.domain.details import price_hash
from service.storage import schema as t
from service.storage.database import writing
from tests.fakes import OPERATOR
from tests.rpc import ready
from tests.rpc.examples import passing
from tests.rpc.support import RPCS, Desks, Refused, advance, yuan

TERMS = frozenset({"product_revision", "price_hash"})
APART = {
    "case": "a question about an authorization, which it names; the call may be the user's",
    "cases": "as above",
    "charge_backs": "a payment that a bank took back; it names its authorization",
    "held": "a pass; it names the revision of the product whose tariff sold it",
    "passes": "as above",
    "item": "money that matches no authorization yet",
    "items": "as above",
    "paid": "a payment to or from an operator",
    "payable": "a payment to or from an operator",
    "payables": "the balance of an operator",
    "profiles": "the line of a person",
    "profile": "the line of a person",
    "line": "the line of a person",
    "entries": "an entry of the books; it names its authorization",
    "transfer": "a transfer of the payment rail; it names its authorization",
    "transfers": "as above",
}
"""The fields of answers with amounts that are not those of one tariff, and the reasons."""


def amounts(of: Any, told: bool, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths to the amounts of a message beside which nothing tells the terms.

    An authorization in a message tells the terms of all amounts in it.
    """
    fields = [it for it in of.fields if it.message_type is not None]
    told = told or {it.name for it in of.fields} >= TERMS
    told = told or any(it.message_type.name == "Authorization" for it in fields)
    for it in fields:
        kind, here = it.message_type, (*path, it.name)
        if kind.name in ("Money", "SignedMoney"):
            if not told:
                yield here
        elif kind.file.package.startswith("freehold"):
            yield from amounts(kind, told, here)


@pytest.mark.parametrize("method", sorted(RPCS))
def test_every_message_with_an_amount_tells_the_terms(method: str) -> None:
    """In the contract, each amount in an answer stands in or beside a message with the revision of
    the terms and the hash of the price, unless it is no amount of a tariff."""
    found = {path[0] for path in amounts(RPCS[method].response.DESCRIPTOR, told=False)}
    if method == "QuoteAuthorization":
        assert found == set()
    assert found <= APART.keys()


def test_every_exception_exists() -> None:
    """Each exception is a field of an answer."""
    found = {
        path[0] for it in RPCS.values() for path in amounts(it.response.DESCRIPTOR, told=False)
    }
    assert found == APART.keys()


def told(message: Any) -> Iterator[Any]:
    """The messages in an answer that have an authorization's terms, the answer included."""
    fields = message.DESCRIPTOR.fields_by_name
    if {*fields} >= TERMS:
        yield message
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for part in value if field.is_repeated else [value]:
            yield from told(part)


def check(desk: Desks, answer: Any, kind: str = "") -> None:
    """Requires terms in an answer: those in force of the product of each part."""
    parts = list(told(answer))
    assert parts, kind
    products = desk.served.app.terms.used.catalog.revisions
    known = {price_hash(it): it.revision for it in products.values()}
    for part in parts:
        assert known[part.price_hash] == part.product_revision == 1, kind
        if isinstance(part, Authorization):
            product = products[OPERATOR, part.product_id, part.product_revision]
            assert part.price_hash == price_hash(product), kind


CALLS_WITH_TERMS = sorted(
    name
    for name, it in RPCS.items()
    if "request_id" in it.request.DESCRIPTOR.fields_by_name
    and any(field.name.startswith("authorization") for field in it.response.DESCRIPTOR.fields)
)


@pytest.mark.parametrize("method", CALLS_WITH_TERMS)
def test_every_call_on_an_authorization_tells_its_terms(desk: Desks, method: str) -> None:
    """The answer of each call that changes an authorization has the revision and the hash of its
    terms, and so has its replay."""
    caller, request = desk.caller_for(method), passing(desk, method)
    first = caller.send(method, request)
    assert caller.send(method, request) == first
    answer: Any = RPCS[method].response.FromString(first)
    if method not in ("MatchSuspense", "RefundPass") or answer.HasField("authorization"):
        check(desk, answer, method)


def test_every_read_of_an_authorization_tells_its_terms(desk: Desks) -> None:
    """GetAuthorization, GetReceipt, both lists and both quotes have the revision and the hash."""
    it, review = ready.settled(desk), ready.under_review(desk)
    user_id = it.name.split("/")[1]
    for caller, method, parts in (
        (desk.operator, "GetAuthorization", {"name": it.name}),
        (desk.operator, "GetReceipt", {"name": it.name}),
        (desk.operator, "ListAuthorizations", {"user_id": user_id}),
        (desk.platform, "ListReviews", {"page_size": 1000}),
        (desk.operator, "QuoteAuthorization", {"user_id": user_id, "items": [BIKE]}),
        (desk.operator, "QuoteFee", {"name": it.name}),
        (desk.operator, "QuoteFee", {"product_id": "bike"}),
        (desk.operator, "GetAuthorization", {"name": review.name}),
    ):
        check(desk, caller.call(method, **parts), method)


BIKE = {"product_id": "bike"}


def test_a_rental_keeps_the_terms_under_which_it_began(desk: Desks) -> None:
    """After a new revision of a bike's terms a rental still tells revision 1 and its hash, in the
    answer of its settlement too; a new rental tells revision 2, and the old hash is refused."""
    engine, p = desk.served.store.engine, t.products.c
    with writing(engine) as connection:
        mine = (p.operator_id == OPERATOR, p.product_id == "umbrella")
        row = connection.execute(select(t.products).where(*mine)).mappings().one()
        named = {**row, "product_id": "tandem"}
        connection.execute(insert(t.products), named)
    old = desk.operator.authorize(desk.platform.person(700), "tandem")
    with writing(engine) as connection:
        connection.execute(insert(t.products), {**named, "revision": 2, "start_fee_minor": 77})
    desk.served.app.terms.follow()
    new = desk.operator.authorize(desk.platform.person(700), "tandem")
    assert (old.product_revision, new.product_revision) == (1, 2)
    assert old.price_hash != new.price_hash
    for it, revision in ((old, 1), (new, 2)):
        assert desk.operator.get(it.name).product_revision == revision
        settled = desk.operator.call("SettleAuthorization", name=it.name, usage={}).authorization
        assert (settled.product_revision, settled.price_hash) == (revision, it.price_hash)
        receipt = desk.operator.call("GetReceipt", name=it.name)
        assert (receipt.product_revision, receipt.price_hash) == (revision, it.price_hash)
        quote = desk.operator.call("QuoteFee", name=it.name)
        assert (quote.product_revision, quote.price_hash) == (revision, it.price_hash)
    shown = {"price_hash": old.price_hash, "product_id": "tandem"}
    both = [{"product_id": "bike"}, shown]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("Authorize", shown),
        ("AuthorizeGroup", {"items": both}),
        ("QuoteAuthorization", {"items": both}),
    ]
    for method, parts in calls:
        with pytest.raises(Refused) as caught:
            desk.operator.call(method, user_id=desk.platform.person(700), **parts)
        assert caught.value.reason == "PRICE_CHANGED"
        assert caught.value.info.metadata["price_hash"] == new.price_hash
    assert desk.platform.verify().verified


def test_a_late_pick_up_and_an_increment_keep_the_price(desk: Desks) -> None:
    """A reservation whose pick-up is told late, and a rental that holds more, keep the price that
    was shown, although the tariff has changed since."""
    engine, p = desk.served.store.engine, t.products.c
    with writing(engine) as connection:
        mine = (p.operator_id == OPERATOR, p.product_id == "umbrella")
        row = connection.execute(select(t.products).where(*mine)).mappings().one()
        named = {**row, "product_id": "canoe"}
        connection.execute(insert(t.products), named)
    desk.served.app.terms.follow()
    user_id = desk.platform.person(700)
    reserved = desk.operator.authorize(user_id, "canoe", start=ready.ON_PICKUP)
    rented = desk.operator.authorize(user_id, "canoe")
    with writing(engine) as connection:
        connection.execute(insert(t.products), {**named, "revision": 2, "start_fee_minor": 55})
    desk.served.app.terms.follow()
    advance(desk, 60)
    picked_up_at = Timestamp()
    picked_up_at.FromMicroseconds(desk.served.clock.now_us())
    advance(desk, 3_600)
    late = desk.operator.call("StartRental", name=reserved.name, occurred_at=picked_up_at)
    assert late.reservation == reserved.name
    more = desk.operator.call("IncrementAuthorization", name=rented.name, amount=yuan(100))
    for it in (late.authorization, more.authorization):
        assert (it.product_revision, it.price_hash) == (1, reserved.price_hash)
