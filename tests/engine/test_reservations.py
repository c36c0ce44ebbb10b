"""The price of a reservation: billed with the rental, at a cancellation and at the expiry."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select, update

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Custody, State
from service.domain.details import price_hash
from service.domain.fee_lines import FeeItem
from service.domain.segment_tariff import (
    FreeMinutes,
    Reservation,
    Rounding,
    Segment,
    SegmentTariff,
)
from service.engine import operations as c
from service.engine.calls import Settled
from service.engine.quotes import Quotes, Usage
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.charges import docked, told
from service.storage.quoting import QuoteStore
from tests.engine import acts
from tests.engine.acts import Books
from tests.engine.calls import balances, confirm, pick_up, rental, reverse, stored
from tests.engine.test_quotas import offer
from tests.fakes import MINUTE_US, OPERATOR, START_US, Desk

ON_BOTH = "a receipt is made again from rows that few others read"

RESERVATION = Reservation(10, 1, 20, 300)
TARIFF = SegmentTariff(
    Rounding.STARTED, 100, 0, FreeMinutes.DEDUCTED, 0, 19_900, (Segment(0, None, 10, 100),),
    reservation=RESERVATION,
)  # fmt: skip
"""1.00 to start, and for each started 10 minutes; after 10 free minutes a reservation costs 0.20
a minute, at most 3.00."""


@pytest.fixture(autouse=True)
def scooters(desk: Desk) -> None:
    """The operator rents out scooters by the tariff."""
    offer(desk, TARIFF)


def reserve(desk: Desk, user_id: str = "ann", asset_id: str = "s-1") -> Authorization:
    """A reserved scooter."""
    order = pick_up(user_id, product_id="scooter", asset_id=asset_id)
    return rental(desk, order)


def cancel(it: Authorization) -> c.Reverse:
    """The user cancels."""
    return replace(reverse(it), by_user=True)


def pass_time(desk: Desk, us: int) -> None:
    """Lets so much time pass since the beginning."""
    desk.clock.advance(START_US + us)


def test_a_rental_bills_its_reservation_with_its_fee(desk: Desk) -> None:
    """Of a reservation of 15 minutes 10 are free and 5 cost 0.20 each; the settlement bills them
    before the usage, and the receipt and the books say the same."""
    it = reserve(desk)
    pass_time(desk, 15 * MINUTE_US)
    it = rental(desk, acts.picked_up(it, None))
    assert it.reserve_us == START_US
    pass_time(desk, 25 * MINUTE_US)
    answer = desk.do(acts.settle_usage(it))
    assert isinstance(answer, Settled)
    assert answer.fee is not None
    lines = [(line.item, line.quantity, line.amount_minor) for line in answer.fee.lines]
    assert lines == [
        (FeeItem.RESERVATION, 5, 100), (FeeItem.START_FEE, 1, 100), (FeeItem.STARTED_UNITS, 1, 100),
    ]  # fmt: skip
    assert answer.authorization.captured_minor == 300


@pytest.mark.parametrize(("minutes", "more_us", "fee_minor"), [
    (10, 0, 0), (10, 1, 20), (24, 0, 280), (25, 0, 300), (25, 1, 300), (29, 0, 300),
])  # fmt: skip
def test_a_cancelled_reservation_costs_its_time(
    desk: Desk, minutes: int, more_us: int, fee_minor: int
) -> None:
    """A reservation that the user cancels costs each started minute after the free ones, at most
    the cap; without a fee it is reversed."""
    it = reserve(desk)
    pass_time(desk, minutes * MINUTE_US + more_us)
    it = rental(desk, cancel(it))
    assert it.captured_minor == fee_minor
    assert it.state is (State.SETTLED if fee_minor else State.REVERSED)
    assert (it.custody, it.held_minor) == (Custody.IN_STATION, 0)


def test_an_expired_reservation_costs_its_time(desk: Desk) -> None:
    """A reservation that ends by time is billed at that instant, however late the timer runs: 20
    minutes of 0.20 are above the cap of 3.00; drawn / held 300, avail / held 19,600."""
    it = reserve(desk)
    books = Books(desk)
    it = acts.woken(desk, it, START_US + 40 * MINUTE_US)
    rows = [
        ("line", "drawn / held", 300),
        ("money", "receivable / operator_payable", 291),
        ("money", "receivable / fee_income", 9),
        ("line", "available / held", 19_600),
    ]
    books.expect(rows, "authorization.expired")
    assert (it.state, it.close_us) == (State.SETTLED, START_US + 30 * MINUTE_US)
    assert balances(desk) == (50_000, 49_700, 0, 300)
    # The item is free again.
    assert reserve(desk, "bob").state is State.OFFERED


def test_the_receipt_of_an_ended_reservation_is_made_again(desk: Desk) -> None:
    """A reservation that was billed at its end has a receipt, from its beginning to its end, with
    its lines; it can be made again from the rows."""
    it = reserve(desk)
    pass_time(desk, 12 * MINUTE_US)
    it = rental(desk, cancel(it))
    with desk.store.engine.connect() as connection:
        found = told(connection, it.user_id, it.authorization_id)
        assert found is not None
        again = docked(connection, found)
        event = (
            connection.execute(
                t.outbox.select().where(t.outbox.c.authorization_version == it.version)
            )
            .mappings()
            .one()
        )
    assert again is not None
    receipt = read_payload(event["payload"]).receipt
    assert receipt is not None
    assert (receipt.start_us, receipt.end_us) == (START_US, START_US + 12 * MINUTE_US)
    lines = [(line.item, line.quantity, line.minutes, line.from_minute, line.amount_minor)
             for line in receipt.lines]  # fmt: skip
    assert lines == [(FeeItem.RESERVATION, 2, 1, 10, 40)]
    assert (receipt.total_minor, receipt.released_minor) == (40, 19_860)


def test_only_the_user_pays_for_a_reservation(desk: Desk) -> None:
    """A reservation that the operator releases costs nothing, however long it lasted."""
    it = reserve(desk)
    pass_time(desk, 25 * MINUTE_US)
    it = rental(desk, reverse(it))
    assert (it.state, it.captured_minor) == (State.REVERSED, 0)


def test_an_extension_moves_no_beginning(desk: Desk) -> None:
    """An extended reservation is billed from its own beginning."""
    it = rental(desk, acts.extend(reserve(desk), 20 * MINUTE_US))
    pass_time(desk, 12 * MINUTE_US)
    assert rental(desk, cancel(it)).captured_minor == 40


def test_an_offer_is_no_reservation(desk: Desk) -> None:
    """The time for which an offer waits for its deposit is no part of the reservation."""
    it = reserve(desk, "cem")
    pass_time(desk, 10 * MINUTE_US)
    it = rental(desk, confirm(it))
    assert it.reserve_us == START_US + 10 * MINUTE_US
    pass_time(desk, 22 * MINUTE_US)
    it = rental(desk, cancel(it))
    # The fee is taken from the deposit in cash.
    assert (it.captured_minor, it.captured_credit_minor) == (40, 0)


def test_a_hold_lowered_to_nothing_pays_no_reservation(desk: Desk) -> None:
    """The price of a reservation is taken out of its hold; nothing is charged without one."""
    it = rental(desk, acts.decrease(reserve(desk), 19_900))
    pass_time(desk, 25 * MINUTE_US)
    assert rental(desk, cancel(it)).state is State.REVERSED


def test_the_flat_fee_of_a_late_cancellation_is_added(desk: Desk) -> None:
    """If the product has a fee for a late cancellation too, both are due. Its free time counts from
    the beginning of the reservation, also after an extension."""
    acts.change_terms(desk, t.products, "scooter", cancellation_fee_minor=150)
    acts.change_terms(desk, t.policies, "bike", free_cancellation_us=5 * MINUTE_US)
    it = rental(desk, acts.extend(reserve(desk), 20 * MINUTE_US))
    pass_time(desk, 11 * MINUTE_US)
    assert rental(desk, cancel(it)).captured_minor == 170


def test_a_rental_that_is_cancelled_in_time_costs_its_reservation(desk: Desk) -> None:
    """A rental that counts as cancelled in time still costs the time of its reservation, by a
    cancellation and by a settlement."""
    acts.change_terms(desk, t.policies, "bike", free_cancellation_us=5 * MINUTE_US)
    both = [reserve(desk, "ann", "s-1"), reserve(desk, "ann", "s-2")]
    pass_time(desk, 12 * MINUTE_US)
    one, other = [rental(desk, acts.picked_up(it, None)) for it in both]
    pass_time(desk, 15 * MINUTE_US)
    assert rental(desk, cancel(one)).captured_minor == 40
    assert rental(desk, acts.settle_usage(other)).captured_minor == 40


def test_the_buy_out_bounds_rental_and_reservation_together(desk: Desk) -> None:
    """A lost item costs the buy-out cap, its reservation included."""
    it = reserve(desk)
    pass_time(desk, 25 * MINUTE_US)
    it = rental(desk, acts.picked_up(it, None))
    desk.clock.advance((it.due_us or 0) + 1)
    it = rental(desk, acts.lost(it))
    assert it.captured_minor == 19_900


def test_a_late_pick_up_bills_the_reservation_until_it(desk: Desk) -> None:
    """If a pick-up within an expired reservation is told later, the fee of the reservation is given
    back whole, and the rental bills the time until the pick-up with its own fee."""
    it = reserve(desk)
    it = acts.woken(desk, it, START_US + 40 * MINUTE_US)
    assert it.captured_minor == 300
    begun = rental(desk, acts.picked_up(it, START_US + 12 * MINUTE_US))
    with desk.store.engine.connect() as connection:
        found = told(connection, it.user_id, it.authorization_id)
    assert found is not None
    given = found.authorization
    assert (given.conceded_minor, given.due_minor, given.fee_minor) == (300, 0, 0)
    assert begun.held_minor == 19_900
    assert rental(desk, acts.settle_usage(begun)).captured_minor == 40 + 100 + 300


def test_a_late_pick_up_follows_a_cancellation_for_a_fee(desk: Desk) -> None:
    """A reservation that was picked up before it was cancelled for its time begins a rental too."""
    it = reserve(desk)
    pass_time(desk, 20 * MINUTE_US)
    it = rental(desk, cancel(it))
    assert it.captured_minor == 200
    begun = rental(desk, acts.picked_up(it, START_US + 11 * MINUTE_US))
    assert (begun.state, begun.reserve_us) == (State.ACTIVE, START_US)


def test_a_late_pick_up_ends_the_dispute_about_the_reservation(desk: Desk) -> None:
    """The fee of a reservation that a late pick-up gives back is not disputed any more: the dispute
    ends for the user, and the books verify."""
    it = reserve(desk)
    pass_time(desk, 20 * MINUTE_US)
    it = rental(desk, cancel(it))
    rental(desk, acts.dispute(it, 200), caller=PLATFORM)
    rental(desk, acts.picked_up(it, START_US + 11 * MINUTE_US))
    it = stored(desk, it)
    assert (it.disputed_minor, it.lowered_minor, it.conceded_minor) == (0, 200, 200)
    with desk.store.engine.connect() as connection:
        outcomes = connection.execute(select(t.cases.c.kind, t.cases.c.outcome)).all()
    assert [tuple(row) for row in outcomes] == [("DISPUTE", "FOR_USER")]
    assert verify_books(desk.store.engine, read_payload=read_payload).fault is None


def test_a_quote_of_a_reservation_is_the_later_fee(desk: Desk) -> None:
    """QuoteFee of a reserved item has the price of its reservation until the start that is asked
    about, and that of a product takes the beginning of a reservation."""
    it = reserve(desk)
    quotes = Quotes(desk.engine, QuoteStore(desk.store), desk.clock)
    start_us = START_US + 15 * MINUTE_US
    usage = Usage(start_us, start_us + 10 * MINUTE_US, ())
    name = (it.user_id, it.authorization_id)
    assert quotes.rental(OPERATOR, name, usage).fee.total_minor == 300
    asked = usage._replace(reserve_us=START_US)
    assert quotes.usage(OPERATOR, "scooter", asked).fee.total_minor == 300
    assert quotes.usage(OPERATOR, "scooter", usage).fee.total_minor == 200


def test_the_price_of_a_reservation_is_part_of_the_hash(desk: Desk) -> None:
    """Another price of a reservation is another price."""
    known = desk.engine.terms.used.catalog.products[OPERATOR, "scooter"]
    dearer = RESERVATION._replace(price_minor=21)
    assert price_hash(known) != price_hash(
        replace(known, tariff=TARIFF._replace(reservation=dearer))
    )


@pytest.mark.parametrize("change", [{"reserve_us": START_US + 1}, {"reserve_us": None}])
def test_the_verifier_sees_another_beginning(desk: Desk, change: dict[str, int | None]) -> None:
    """A beginning of a reservation that was changed or removed is found."""
    reserve(desk)
    for values, found in ((change, True), ({"reserve_us": START_US}, False)):
        with desk.store.engine.begin() as connection:
            connection.execute(update(t.authorizations).values(values))
        fault = verify_books(desk.store.engine, read_payload=read_payload).fault
        assert (fault is not None) is found
