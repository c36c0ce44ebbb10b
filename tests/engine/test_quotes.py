"""Quotes decide as Authorize does, on a rough sight of the line, and write nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import insert, select

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.attestations import Cause, Source
from service.domain.authorization import Authorization, Start, State
from service.domain.details import Order
from service.domain.errors import (
    FreeholdError,
    IllegalState,
    InvalidInput,
    NotFound,
    ProductMisconfigured,
)
from service.domain.ledger import Standing
from service.domain.meter import Pause
from service.domain.money import Money
from service.domain.policy import Offer
from service.domain.rules import Of, Rules
from service.domain.rules_document import json_of_rules
from service.engine.calls import Cut, Group, Settled
from service.engine.operations import (
    Authorize,
    Item,
    PauseRental,
    ResumeRental,
    Reverse,
    SetLimit,
    SetStanding,
    Settle,
    WaiveFee,
)
from service.engine.quotes import Quotes, Usage
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.quoting import QuoteStore
from tests.engine.test_velocity import at_most
from tests.engine.test_wrong_terms import BAD_BIKE, MEND
from tests.fakes import MINUTE_US, OPERATOR, OTHER_OPERATOR, Desk
from tests.terms import plant

ON_BOTH = "a quote reads by statements of its own"

NOW = Usage(None, None, ())
WORD = (Cause.ITEM_AT_FAULT, Source.USER)
DAY_US = 24 * 60 * MINUTE_US


def quotes_of(desk: Desk) -> Quotes:
    """The quotes beside an engine."""
    return Quotes(desk.engine, QuoteStore(desk.store), desk.clock)


def ask(user_id: str, *products: str, start: Start = Start.IMMEDIATE, asset: str = "") -> Authorize:
    """A request for these products."""
    items = tuple(Item(it, asset) for it in products)
    return Authorize(user_id, items, start, (), grouped=True, rental_period_us=40 * DAY_US)


def everything(desk: Desk) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables."""
    with desk.store.engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in t.metadata.sorted_tables
        }


def add_trike(desk: Desk, rules: str | None = None) -> None:
    """Adds the product "trike", which is a bike under a policy with these rules,
    without documents."""
    p = t.products.c
    with desk.store.engine.begin() as connection:
        mine = (p.operator_id == OPERATOR, p.product_id == "bike")
        bike = connection.execute(select(t.products).where(*mine)).mappings().one()
        of_bikes = t.policies.c.policy_id == "bike"
        policy = connection.execute(select(t.policies).where(of_bikes)).mappings().one()
        named = {"policy_id": "trike"}
        connection.execute(insert(t.policies), {**policy, **named, "rules": rules})
        connection.execute(insert(t.products), {**bike, **named, "product_id": "trike"})
    desk.engine.terms.follow()


def make_ready(desk: Desk, user_id: str, limit_minor: int) -> None:
    """Fixes a person's limit."""
    desk.do(SetLimit(user_id, Money("CNY", limit_minor)), caller=PLATFORM)


def exhaust(desk: Desk) -> None:
    make_ready(desk, "ann", 25_000)
    desk.do(ask("ann", "bike"))


def keep_a_lapsed_hold(desk: Desk) -> None:
    """A reservation that is over and not yet ended takes the whole line."""
    make_ready(desk, "ann", 20_000)
    desk.do(ask("ann", "bike", start=Start.ON_PICKUP))
    desk.clock.advance(desk.clock.now_us() + DAY_US)


def watch(desk: Desk) -> None:
    desk.do(SetStanding("ann", Standing.WATCHED), caller=PLATFORM)


def suspend(desk: Desk) -> None:
    desk.do(SetStanding("ann", Standing.SUSPENDED), caller=PLATFORM)


def authorized(desk: Desk, command: Authorize) -> Group:
    """The answer to a grouped Authorize, without the times that were cut."""
    answer = desk.do(command)
    group = answer.answer if isinstance(answer, Cut) else answer
    assert isinstance(group, Group)
    return group


def nothing(_desk: Desk) -> None:
    """Changes nothing."""


@dataclass(frozen=True)
class Seen:
    """The parts of an authorization that a quote tells."""

    state: State
    offer: Offer | None
    reasons: tuple[str, ...]
    band: str
    credit_minor: int
    cash_minor: int
    terms: tuple[str, int, int]

    @classmethod
    def of(cls, it: Authorization) -> Seen:
        terms = (it.product_id, it.product_revision, it.policy_revision)
        return cls(it.state, it.offer, it.reasons, it.band, it.credit_minor, it.cash_minor, terms)


@pytest.mark.parametrize(
    ("before", "command", "state"),
    [
        (nothing, ask("ann", "bike"), State.ACTIVE),
        (nothing, ask("ann", "bike", start=Start.ON_PICKUP), State.AUTHORIZED),
        (nothing, ask("ben", "bike"), State.OFFERED),
        (nothing, ask("cem", "bike"), State.OFFERED),
        (nothing, ask("stranger", "bike"), State.OFFERED),
        (nothing, ask("ben", "bike", "umbrella"), State.OFFERED),
        (exhaust, ask("ann", "bike", "umbrella"), State.OFFERED),
        (keep_a_lapsed_hold, ask("ann", "bike"), State.ACTIVE),
        (watch, ask("ann", "bike"), State.REVIEW),
        (suspend, ask("ann", "bike"), State.DECLINED),
        (exhaust, ask("ann", "bike")._replace(accept_offers=(Offer.ZERO,)), State.DECLINED),
    ],
)
def test_a_quote_is_what_authorize_answers(
    desk: Desk, before: Callable[[Desk], None], command: Authorize, state: State
) -> None:
    """A quote has the state, offer, reasons, band, both parts of the deposit, revisions and cut
    times of the answer of Authorize; and no row of any table changes."""
    before(desk)
    rows = everything(desk)
    quote = quotes_of(desk).authorization(OPERATOR, command)
    assert everything(desk) == rows
    answer = desk.do(command)
    times = answer.times if isinstance(answer, Cut) else ()
    made = answer.answer if isinstance(answer, Cut) else answer
    assert isinstance(made, Group)
    assert list(map(Seen.of, quote.authorizations)) == list(map(Seen.of, made.authorizations))
    assert quote.cuts == times
    assert quote.authorizations[0].state is state
    assert desk.faults == []


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (ask("ben", "boat"), "PRODUCT_NOT_FOUND"),
        (ask("ben", "bike", asset="b-1"), "ASSET_IN_USE"),
        (ask("ben", "bike")._replace(items=(Item("bike", "", "0" * 64),)), "PRICE_CHANGED"),
    ],
)
def test_a_quote_is_refused_as_authorize_is(desk: Desk, command: Authorize, reason: str) -> None:
    """A quote is refused with the error of Authorize, which is not kept."""
    desk.do(ask("ann", "bike", asset="b-1"))
    rows = everything(desk)
    with pytest.raises(FreeholdError) as quoted:
        quotes_of(desk).authorization(OPERATOR, command)
    assert everything(desk) == rows
    with pytest.raises(FreeholdError) as refused:
        desk.do(command)
    assert quoted.value.reason == refused.value.reason == reason
    assert quoted.value.metadata == refused.value.metadata


def test_a14_a_quote_sees_the_line_roughly(desk: Desk) -> None:
    """A14: a quote takes a free part of 199.99 as 150.00, so a deposit of 199.00 does not fit;
    Authorize holds it. A free part of 200.00 is seen as it is."""
    for limit_minor, offer in ((19_999, Offer.REDUCED), (20_000, Offer.ZERO)):
        make_ready(desk, "ann", limit_minor)
        quote = quotes_of(desk).authorization(OPERATOR, ask("ann", "bike"))
        assert quote.authorizations[0].offer is offer
    make_ready(desk, "ann", 19_999)
    (it,) = authorized(desk, ask("ann", "bike")).authorizations
    assert it.state is State.ACTIVE


@pytest.mark.parametrize("of", list(Of))
def test_a_quote_counts_rentals_and_is_none(desk: Desk, of: Of) -> None:
    """Under a bound of one open rental of a person, a device or an account, quotes do not count,
    and the quote after a rental is the decline that Authorize answers."""
    add_trike(desk, json_of_rules(Rules(velocity=(at_most(1, of=of),))))
    order = Order(device_hash="device", payment_account_hash="account")
    command = ask("ann", "trike")._replace(order=order)
    quotes = quotes_of(desk)
    for _ in range(3):
        assert quotes.authorization(OPERATOR, command).authorizations[0].state is State.ACTIVE
    assert authorized(desk, command).authorizations[0].state is State.ACTIVE
    (quoted,) = quotes.authorization(OPERATOR, command).authorizations
    (made,) = authorized(desk, command).authorizations
    assert Seen.of(quoted) == Seen.of(made)
    assert made.state is State.DECLINED


@pytest.mark.parametrize(
    "change", ["start_fee_minor = 151", "cancellation_fee_minor = 1", "day_cap_minor = 2999"]
)
def test_verify_finds_a_price_that_was_not_told(desk: Desk, change: str) -> None:
    """`freehold verify` finds a tariff that was changed by SQL after it was rented under, because
    the event tells the price's hash."""
    add_trike(desk)
    authorized(desk, ask("ann", "trike"))
    engine, p = desk.store.engine, t.products.c
    mine = (p.operator_id == OPERATOR, p.product_id == "trike")
    with engine.connect() as connection:
        row = connection.execute(select(t.products).where(*mine)).mappings().one()
        before = dict(row)
    of_trikes = "WHERE operator_id = 'city' AND product_id = 'trike'"
    plant(engine, f"UPDATE products SET {change} {of_trikes}")
    fault = verify_books(engine, read_payload=read_payload).fault
    assert fault is not None
    assert fault.detail.startswith("price_hash")
    name = change.split(" ")[0]
    plant(engine, f"UPDATE products SET {name} = {before[name]} {of_trikes}")


def test_another_servers_product_is_quoted(desk: Desk) -> None:
    """A product that another server added is loaded for a quote of its fee."""
    other = Desk(desk.store)
    with desk.store.engine.begin() as connection:
        bikes = select(t.products).where(t.products.c.product_id == "bike")
        row = connection.execute(bikes).mappings().first()
        assert row is not None
        operator = {"operator_id": OPERATOR, "product_id": "kayak"}
        connection.execute(insert(t.products), {**row, **operator})
    assert ("city", "kayak") not in other.engine.terms.used.catalog.products
    assert quotes_of(other).usage(OPERATOR, "kayak", NOW).product.product_id == "kayak"
    quote = quotes_of(desk).authorization(OPERATOR, ask("ann", "kayak"))
    assert quote.products[0].product_id == "kayak"


@pytest.mark.parametrize("minutes", [0, 1, 15, 61, 24 * 60, 3 * 24 * 60 + 7])
def test_a_fee_quoted_ahead_is_the_fee_charged(desk: Desk, minutes: int) -> None:
    """The fee quoted at the start for a later time, with a pause and a waiver reported before, is
    the fee of the settlement at that time."""
    (it,) = authorized(desk, ask("ann", "bike")).authorizations
    name = (it.user_id, it.authorization_id)
    paused = PauseRental(*name, *WORD, evidence="case-1")
    desk.do(paused)
    desk.clock.advance(desk.clock.now_us() + 10 * MINUTE_US)
    desk.do(ResumeRental(*name, evidence=""))
    desk.do(WaiveFee(*name, Money("CNY", 120), *WORD, evidence="case-1"))
    end_us = desk.clock.now_us() + minutes * MINUTE_US
    rows = everything(desk)
    quoted = quotes_of(desk).rental(OPERATOR, name, Usage(None, end_us, ()))
    assert everything(desk) == rows
    desk.clock.advance(end_us)
    assert quotes_of(desk).rental(OPERATOR, name, NOW) == quoted
    settled = desk.do(Settle(*name, None, final=True))
    assert isinstance(settled, Settled)
    assert settled.fee == quoted.fee
    assert quotes_of(desk).rental(OPERATOR, name, Usage(None, end_us, ())).fee == quoted.fee


def test_a_fee_is_quoted_with_the_part_captured_before(desk: Desk) -> None:
    """The quote of a rental has the part of the fee that was captured before."""
    (it,) = authorized(desk, ask("ann", "bike")).authorizations
    name = (it.user_id, it.authorization_id)
    desk.do(Settle(*name, Money("CNY", 100), final=False))
    assert quotes_of(desk).rental(OPERATOR, name, NOW).captured_minor == 100


def test_a_reservation_is_quoted_like_its_product(desk: Desk) -> None:
    """A rental that has not started takes a start, an end and pauses, and the tariff under which
    it was reserved."""
    reserve = ask("ann", "bike", start=Start.ON_PICKUP)
    (it,) = authorized(desk, reserve).authorizations
    name = (it.user_id, it.authorization_id)
    now_us = desk.clock.now_us()
    usage = Usage(now_us, now_us + 3_600 * 10**6, (Pause(now_us, now_us + MINUTE_US),))
    quoted = quotes_of(desk).rental(OPERATOR, name, usage)
    assert quoted == quotes_of(desk).usage(OPERATOR, "bike", usage)
    assert quoted.fee.total_minor == 150 + 4 * 100


def test_fees_that_cannot_be_quoted(desk: Desk) -> None:
    """Refused are an unknown product, another operator's product or rental, a rental that ended
    before it began, a damage charge, and a start or pauses for a rental that has its own."""
    quotes = quotes_of(desk)
    (it,) = authorized(desk, ask("ann", "bike")).authorizations
    out = (it.user_id, it.authorization_id)
    now_us = desk.clock.now_us()
    for field, usage in (
        ("start_time", Usage(now_us, None, ())),
        ("pauses", Usage(None, None, (Pause(now_us, now_us),))),
    ):
        with pytest.raises(InvalidInput) as invalid:
            quotes.rental(OPERATOR, out, usage)
        assert [one.field for one in invalid.value.violations] == [field]
    for caller, name in ((OTHER_OPERATOR, out), (OPERATOR, ("ann", "0" * 20))):
        with pytest.raises(NotFound):
            quotes.rental(caller, name, NOW)
    for caller, product in ((OPERATOR, "boat"), ("nowhere", "bike")):
        with pytest.raises(NotFound):
            quotes.usage(caller, product, NOW)
    desk.do(Settle(*out, Money("CNY", 100), final=True))
    charge = Authorize("ann", (Item("bike", ""),), Start.IMMEDIATE, (), parent_id=out[1])
    damage = desk.do(charge)
    assert isinstance(damage, Authorization)
    reserved = authorized(desk, ask("ann", "umbrella", start=Start.ON_PICKUP)).authorizations[0]
    ended = (reserved.user_id, reserved.authorization_id)
    desk.do(Reverse(*ended))
    for name, reason in (
        ((damage.user_id, damage.authorization_id), "DAMAGE_CHARGE"),
        (ended, "NOT_STARTED"),
    ):
        with pytest.raises(IllegalState) as illegal:
            quotes.rental(OPERATOR, name, NOW)
        assert illegal.value.reason == reason


def test_wrong_terms_are_not_quoted(desk: Desk) -> None:
    """The fee of a product whose terms are wrong is not quoted."""
    plant(desk.store.engine, BAD_BIKE)
    desk.engine.terms.follow()
    with pytest.raises(ProductMisconfigured):
        quotes_of(desk).usage(OPERATOR, "bike", NOW)
    with pytest.raises(ProductMisconfigured):
        quotes_of(desk).authorization(OPERATOR, ask("ann", "bike"))
    plant(desk.store.engine, MEND)
    desk.engine.terms.follow()
    assert quotes_of(desk).usage(OPERATOR, "bike", NOW).fee.total_minor == 150
