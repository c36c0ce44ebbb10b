"""Fees of orders: known at the start, unknown until the return, or paid elsewhere."""

from __future__ import annotations

from dataclasses import replace
from threading import Thread

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Custody, Start, State
from service.domain.captures import Purpose
from service.domain.errors import InvalidInput
from service.domain.fee_lines import FeeItem
from service.domain.ledger import Standing
from service.domain.money import Money
from service.domain.rules import Condition, Outcome, Rules
from service.domain.rules_document import json_of_rules
from service.engine import operations as c
from service.engine.calls import Settled
from service.engine.quotes import Quotes, Usage
from service.engine.records.compatibility import ORDER_FEES_BUILD
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.database import open_database, writing
from service.storage.quoting import QuoteStore
from tests.engine import acts
from tests.engine.acts import Books
from tests.engine.calls import CNY, balances, confirm, refused, rental, reverse, settle, stored
from tests.engine.test_quotas import offer
from tests.engine.test_reservations import TARIFF, pass_time
from tests.engine.test_velocity import read_values
from tests.fakes import MINUTE_US, OPERATOR, START_US, Desk

ON_BOTH = "the database refuses a fee above the order"

FEE = 1_000
DEPOSIT = 19_900


@pytest.fixture(autouse=True)
def scooters(desk: Desk) -> None:
    """The operator rents out scooters: 1.00 to start, and 1.00 for each started 10 minutes; the
    deposit is 199.00, and so is the buy-out cap."""
    offer(desk, TARIFF)
    acts.change_terms(desk, t.products, "scooter", most_hold_minor=40_000)


def order(
    fee_minor: int | None, user_id: str = "ann", start: Start = Start.IMMEDIATE
) -> c.Authorize:
    """Orders a scooter with a fee."""
    fee = None if fee_minor is None else Money(CNY, fee_minor)
    return c.Authorize(user_id, (c.Item("scooter", "", "", fee),), start, ())


def rule(desk: Desk, command: c.Command) -> str:
    """The rule that a refused command breaks."""
    error = refused(desk, command)
    assert isinstance(error, InvalidInput)
    return error.violations[0].rule


def settled(desk: Desk, it: Authorization, minutes: int) -> Settled:
    """The answer to a settlement by usage, so many minutes after the beginning."""
    pass_time(desk, minutes * MINUTE_US)
    answer = desk.do(acts.settle_usage(it))
    assert isinstance(answer, Settled)
    return answer


def verified(desk: Desk) -> None:
    """Requires that the books verify, with their events."""
    assert verify_books(desk.store.engine, read_payload=read_payload).fault is None


def test_a_known_fee_is_held_with_the_deposit(desk: Desk) -> None:
    """A known fee of 10.00 is held on credit together with the deposit of 199.00."""
    books = Books(desk)
    it = books.step(order(FEE), [("line", "held / available", 20_900)], "authorization.active")
    assert (it.order_fee_minor, it.held_minor) == (FEE, 20_900)
    assert balances(desk) == (50_000, 29_100, 20_900, 0)
    verified(desk)


def test_an_unknown_fee_holds_the_deposit_alone(desk: Desk) -> None:
    """An order without a fee holds 199.00, and 21.00 are charged for 200 minutes by the tariff."""
    it = rental(desk, order(None))
    assert (it.order_fee_minor, it.held_minor) == (None, DEPOSIT)
    assert settled(desk, it, 200).authorization.captured_minor == 2_100


def test_the_cash_part_has_a_known_fee_too(desk: Desk) -> None:
    """A person who is asked for the full deposit pays deposit and fee in cash, and gets back what
    the fee left."""
    it = rental(desk, order(FEE, "cem"))
    assert it.credit_minor + it.cash_minor == 20_900
    cash_minor = it.cash_minor
    it = rental(desk, confirm(it))
    it = settled(desk, it, 200).authorization
    assert (it.captured_minor, it.refund_payable_minor) == (FEE, cash_minor - FEE)
    verified(desk)


def test_the_usage_costs_at_most_the_known_fee(desk: Desk) -> None:
    """200 minutes cost 21.00 by the tariff; the order's 10.00 are charged, and the receipt and the
    books say so."""
    answer = settled(desk, rental(desk, order(FEE)), 200)
    assert answer.fee is not None
    assert [(it.item, it.amount_minor) for it in answer.fee.lines] == [
        (FeeItem.START_FEE, 100),
        (FeeItem.STARTED_UNITS, 2_000),
        (FeeItem.ORDER_FEE_REDUCTION, -1_100),
    ]
    it = answer.authorization
    assert (it.captured_minor, it.uncollected_minor, it.held_minor) == (FEE, 0, 0)
    verified(desk)


def test_a_shorter_usage_costs_less_than_the_known_fee(desk: Desk) -> None:
    """10 minutes cost 2.00 by the tariff, although the order's fee is 10.00."""
    assert settled(desk, rental(desk, order(FEE)), 10).authorization.captured_minor == 200
    verified(desk)


def test_captures_of_amounts_stay_within_the_known_fee(desk: Desk) -> None:
    """Of a known fee of 10.00, 6.00 and 4.00 may be captured, and not a cent more; damage comes in
    addition."""
    it = rental(desk, order(FEE))
    assert rule(desk, acts.capture(it, FEE + 1)) == "amount.exceeds_order_fee"
    it = rental(desk, acts.capture(it, 600))
    assert rule(desk, acts.capture(it, 401)) == "amount.exceeds_order_fee"
    it = rental(desk, acts.capture(it, 400))
    assert rule(desk, settle(it, 1)) == "amount.exceeds_order_fee"
    it = rental(desk, acts.capture(it, 5_000, Purpose.DAMAGE))
    it = rental(desk, settle(it, 0))
    assert (it.state, it.captured_minor, it.fee_captured_minor) == (State.SETTLED, 6_000, FEE)
    verified(desk)


def test_an_increment_raises_the_known_fee(desk: Desk) -> None:
    """After an increment of 5.00, 15.00 may be charged and not more."""
    it = rental(desk, acts.increment(rental(desk, order(FEE)), 500))
    assert (it.order_fee_minor, it.held_minor) == (1_500, 21_400)
    assert rule(desk, settle(it, 1_501)) == "amount.exceeds_order_fee"
    assert settled(desk, it, 200).authorization.captured_minor == 1_500
    verified(desk)


def test_a_decrease_leaves_the_known_fee(desk: Desk) -> None:
    """A lower hold leaves the fee, which is then bounded by the hold too."""
    it = rental(desk, acts.decrease(rental(desk, order(FEE)), 20_300))
    assert (it.order_fee_minor, it.held_minor) == (FEE, 600)
    assert rule(desk, settle(it, 601)) == "amount.exceeds_hold"
    it = settled(desk, it, 200).authorization
    assert (it.captured_minor, it.uncollected_minor) == (600, 400)
    verified(desk)


def test_a_fee_that_is_paid_elsewhere_is_not_charged(desk: Desk) -> None:
    """Of an order with the deposit only, neither the usage nor a penalty is charged, and the whole
    deposit is set free."""
    it = rental(desk, order(0))
    assert (it.order_fee_minor, it.held_minor) == (0, DEPOSIT)
    for command in (settle(it, 1), acts.capture(it, 1, Purpose.PENALTY)):
        assert rule(desk, command) == "amount.paid_elsewhere"
    answer = settled(desk, it, 200)
    assert answer.fee is not None
    assert answer.fee.lines[-1][:4] == (FeeItem.PAID_ELSEWHERE, 1, -2_100, -2_100)
    assert (answer.fee.total_minor, answer.authorization.captured_minor) == (0, 0)
    assert balances(desk) == (50_000, 50_000, 0, 0)
    verified(desk)


def test_damage_is_charged_of_a_deposit_alone(desk: Desk) -> None:
    """Damage of an order with the deposit only is captured, and an increment makes no fee."""
    it = rental(desk, acts.increment(rental(desk, order(0)), 500))
    assert it.order_fee_minor == 0
    it = rental(desk, acts.capture(it, 5_000, Purpose.DAMAGE, final=True))
    assert (it.state, it.captured_minor, it.fee_captured_minor) == (State.SETTLED, 5_000, 0)
    verified(desk)


@pytest.mark.parametrize("fee_minor", [0, FEE])
def test_a_lost_item_costs_its_price(desk: Desk, fee_minor: int) -> None:
    """An item that does not come back costs the buy-out cap, whatever the order's fee; once it is
    found, all above the order's fee is given back."""
    it = rental(desk, order(fee_minor))
    assert it.lost_us == rental(desk, order(None)).lost_us
    it = acts.woken(desk, it, it.lost_us or 0)
    assert (it.custody, it.captured_minor) == (Custody.MISSING, DEPOSIT)
    verified(desk)
    it = rental(desk, acts.found(it, it.lost_us))
    assert it.captured_minor - it.conceded_minor == fee_minor
    verified(desk)


@pytest.mark.parametrize(("fee_minor", "charged_minor"), [(None, 300), (200, 200), (0, 0)])
def test_a_cancellation_stays_within_the_fee(
    desk: Desk, fee_minor: int | None, charged_minor: int
) -> None:
    """A user who cancels a reservation after 25 minutes pays 3.00, at most the order's fee."""
    it = rental(desk, order(fee_minor, start=Start.ON_PICKUP))
    pass_time(desk, 25 * MINUTE_US)
    it = rental(desk, replace(reverse(it), by_user=True))
    assert it.captured_minor == charged_minor
    assert it.state is (State.SETTLED if charged_minor else State.REVERSED)
    verified(desk)


def test_a_waiver_lowers_a_known_fee(desk: Desk) -> None:
    """A waiver of 3.00 leaves 7.00 of a known fee of 10.00."""
    it = rental(desk, order(FEE))
    pass_time(desk, 200 * MINUTE_US)
    it = rental(desk, acts.waive(it, 300))
    assert settled(desk, it, 200).authorization.captured_minor == 700
    verified(desk)


def test_there_is_no_fee_to_waive_that_is_paid_elsewhere(desk: Desk) -> None:
    """A fee that is paid elsewhere cannot be waived here, neither in part nor as a whole."""
    it = rental(desk, order(0))
    pass_time(desk, 200 * MINUTE_US)
    for command in (acts.waive(it, 1), acts.waive(it)):
        assert refused(desk, command).reason == "NOTHING_TO_WAIVE"


@pytest.mark.parametrize(("fee", "broken"), [
    (Money("CNY", 19_901), "order_fee.exceeds_buy_out"),
    (Money("EUR", FEE), "currency.mismatch"),
])  # fmt: skip
def test_a_fee_fits_the_terms(desk: Desk, fee: Money, broken: str) -> None:
    """A known fee above the buy-out cap, or in another currency, is refused and holds nothing."""
    command = order(FEE)
    for item in (command.items[0]._replace(order_fee=fee),):
        assert rule(desk, command._replace(items=(item,))) == broken
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_a_fee_fits_the_most_that_is_held(desk: Desk) -> None:
    """Deposit and fee together are at most what the product's terms allow to hold."""
    acts.change_terms(desk, t.products, "scooter", most_hold_minor=DEPOSIT + FEE)
    assert rule(desk, order(FEE + 1)) == "order_fee.exceeds_hold"
    assert rental(desk, order(FEE)).held_minor == DEPOSIT + FEE


def test_a_damage_charge_has_no_fee(desk: Desk) -> None:
    """A damage charge is for an amount of damage, and takes no fee of an order."""
    it = settled(desk, rental(desk, order(None)), 10).authorization
    command = order(FEE)._replace(parent_id=it.authorization_id)
    assert rule(desk, command) == "order_fee.damage_charge"


def test_each_item_of_a_group_has_its_fee(desk: Desk) -> None:
    """The items of a group hold their deposits, each with its own fee, if it has one."""
    items = tuple(
        c.Item("power-bank", "", "", None if fee is None else Money(CNY, fee))
        for fee in (700, None, 0)
    )
    made = acts.members(desk, c.Authorize("ann", items, Start.IMMEDIATE, (), grouped=True))
    assert [it.order_fee_minor for it in made] == [700, None, 0]
    assert [it.held_minor for it in made] == [10_600, 9_900, 9_900]
    verified(desk)


def test_a_group_names_the_item_with_a_wrong_fee(desk: Desk) -> None:
    """The error of a group has the path of the item."""
    items = (c.Item("scooter", ""), c.Item("scooter", "", "", Money(CNY, 20_000)))
    error = refused(desk, c.Authorize("ann", items, Start.IMMEDIATE, (), grouped=True))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].field == "items[1].order_fee.amount_minor"


def test_conditions_read_the_known_fees(desk: Desk) -> None:
    """A condition reads the known fees of all items together; an unknown fee and one that is paid
    elsewhere count as zero."""
    when = Condition("dear", "order_fee_minor >= 1000", Outcome.DECLINE)
    for policy in ("bike", "small-item"):
        stored = json_of_rules(Rules(condition=(when,)))
        acts.change_terms(desk, t.policies, policy, rules=stored)
    for fee_minor, read in ((None, 0), (0, 0), (999, 999), (1_000, 1_000)):
        it = rental(desk, order(fee_minor))
        assert (it.state is State.DECLINED) is (read == 1_000)
        assert read_values(desk, it) == {"order_fee_minor": read}
        if it.state is State.ACTIVE:
            rental(desk, settle(it, 0))
    fees = (Money(CNY, 600), None, Money(CNY, 400))
    items = tuple(c.Item("power-bank", "", "", fee) for fee in fees)
    made = acts.members(desk, c.Authorize("ann", items, Start.IMMEDIATE, (), grouped=True))
    assert {it.reasons for it in made} == {("CONDITION/dear",)}


def test_a_review_keeps_the_fee(desk: Desk) -> None:
    """A review that is approved holds deposit and fee."""
    desk.do(c.SetStanding("ann", Standing.WATCHED), caller=PLATFORM)
    it = rental(desk, order(FEE))
    assert it.state is State.REVIEW
    it = rental(desk, acts.review(it, approve=True), caller=PLATFORM)
    assert (it.state, it.order_fee_minor, it.held_minor) == (State.ACTIVE, FEE, 20_900)
    verified(desk)


def test_a_late_pick_up_has_the_fee_of_its_reservation(desk: Desk) -> None:
    """A rental that cites an expired reservation is charged at most that order's fee, without a
    debt."""
    it = rental(desk, order(FEE, start=Start.ON_PICKUP))
    it = acts.woken(desk, it, START_US + 40 * MINUTE_US)
    begun = rental(desk, acts.picked_up(it, START_US + 11 * MINUTE_US))
    assert (begun.start, begun.order_fee_minor) == (Start.LATE_PICKUP, FEE)
    assert rule(desk, settle(begun, FEE + 1)) == "amount.exceeds_order_fee"
    answer = settled(desk, begun, 300)
    assert (answer.authorization.captured_minor, answer.debt) == (FEE, "")
    verified(desk)


def test_a_late_amount_above_the_hold_stays_within_the_fee(desk: Desk) -> None:
    """The hold of a late pick-up and the debt above it take at most the order's fee together."""
    it = rental(desk, order(FEE, start=Start.ON_PICKUP))
    it = rental(desk, acts.decrease(it, 20_600))
    it = acts.woken(desk, it, START_US + 40 * MINUTE_US)
    begun = rental(desk, acts.picked_up(it, START_US + 11 * MINUTE_US))
    assert begun.held_minor == 300
    assert rule(desk, settle(begun, FEE + 1)) == "amount.exceeds_order_fee"
    answer = desk.do(settle(begun, FEE))
    assert isinstance(answer, Settled)
    assert (answer.authorization.captured_minor, answer.authorization.uncollected_minor) == (
        300, 700,
    )  # fmt: skip
    assert answer.debt
    verified(desk)


def test_a_quote_has_the_fee_of_the_order(desk: Desk) -> None:
    """QuoteFee of a rental stays within its order's fee, before and after the pick-up, and
    QuoteAuthorization splits deposit and fee."""
    quotes = Quotes(desk.engine, QuoteStore(desk.store), desk.clock)
    it = rental(desk, order(FEE, start=Start.ON_PICKUP))
    usage = Usage(START_US, START_US + 200 * MINUTE_US, ())
    assert quotes.rental(OPERATOR, acts.name(it), usage).fee.total_minor == FEE
    it = rental(desk, acts.picked_up(it, None))
    pass_time(desk, 200 * MINUTE_US)
    assert quotes.rental(OPERATOR, acts.name(it), Usage(None, None, ())).fee.total_minor == FEE
    asked = quotes.authorization(OPERATOR, order(FEE, "cem")._replace(grouped=True))
    (quoted,) = asked.authorizations
    assert (quoted.credit_minor + quoted.cash_minor, quoted.order_fee_minor) == (20_900, FEE)


def oldest(desk: Desk) -> int | None:
    """The oldest build that may start on the database."""
    with desk.store.engine.connect() as connection:
        found: int | None = connection.scalar(select(func.max(t.compatibility.c.oldest_build)))
    return found


def test_the_first_fee_shuts_out_older_builds(desk: Desk) -> None:
    """An earlier build would charge the tariff's fee, so the first order with a fee of its own
    keeps such builds from starting; a quote and an order without a fee do not."""
    before = oldest(desk)
    Quotes(desk.engine, QuoteStore(desk.store), desk.clock).authorization(
        OPERATOR, order(FEE)._replace(grouped=True)
    )
    rental(desk, order(None))
    assert oldest(desk) == before
    rental(desk, order(0, "ben"))
    assert oldest(desk) == ORDER_FEES_BUILD
    rental(desk, order(FEE, "cem"))
    assert oldest(desk) == ORDER_FEES_BUILD


def test_two_first_fees_in_one_batch(desk: Desk) -> None:
    """Two orders of one batch name the build once."""
    answers = desk.apply(desk.work(order(0)), desk.work(order(FEE, "ben")))
    assert all(isinstance(it, bytes) for it in answers)
    assert oldest(desk) == ORDER_FEES_BUILD


def test_two_servers_store_the_first_fee_at_once(desk: Desk, url: str) -> None:
    """If another server names the build between this server's reading and writing, the order is
    decided again and held, and the build is named once."""
    named = insert(t.compatibility).values(oldest_build=ORDER_FEES_BUILD)
    answers: list[Authorization] = []
    engine = open_database(url)
    try:
        with writing(engine) as connection:
            connection.execute(named)
            server = Thread(target=lambda: answers.append(rental(desk, order(FEE))))
            server.start()
            # It waits for the other transaction: at its key, or on SQLite for the file.
            server.join(0.3)
            assert answers == []
        server.join(30)
    finally:
        engine.dispose()
    assert [(it.order_fee_minor, it.held_minor) for it in answers] == [(FEE, 20_900)]
    assert oldest(desk) == ORDER_FEES_BUILD
    verified(desk)


def test_the_database_refuses_a_fee_above_the_order(desk: Desk) -> None:
    """A CHECK keeps any program from charging more for the usage than the order's fee."""
    it = settled(desk, rental(desk, order(FEE)), 200).authorization
    assert stored(desk, it).captured_minor == FEE
    with pytest.raises(IntegrityError), desk.store.engine.begin() as connection:
        connection.execute(update(t.authorizations).values(order_fee_minor=FEE - 1))


@pytest.mark.parametrize("fee_minor", [FEE + 1, 0, None])
def test_the_verifier_sees_another_fee(desk: Desk, fee_minor: int | None) -> None:
    """A fee of an order that was changed or removed is found."""
    rental(desk, order(FEE))
    for value, found in ((fee_minor, True), (FEE, False)):
        with desk.store.engine.begin() as connection:
            connection.execute(update(t.authorizations).values(order_fee_minor=value))
        fault = verify_books(desk.store.engine, read_payload=read_payload).fault
        assert (fault is not None) is found


def test_the_verifier_compares_the_hold_with_deposit_and_fee(desk: Desk) -> None:
    """A known fee that does not fit the amount held is found without the events' payloads."""
    rental(desk, order(FEE))
    for fee_minor, found in ((FEE + 1, "ORDER_FEE"), (FEE, "")):
        with desk.store.engine.begin() as connection:
            connection.execute(update(t.authorizations).values(order_fee_minor=fee_minor))
        fault = verify_books(desk.store.engine).fault
        assert (fault.rule if fault else "") == found


def test_a_deposit_taken_back_by_a_bank_holds_less(desk: Desk) -> None:
    """If a bank takes a part of the cash of a deposit with a known fee back for good, the books
    still verify."""
    it = rental(desk, order(FEE, "cem"))
    it = rental(desk, confirm(it))
    held_minor = it.held_minor
    it = rental(desk, acts.charge_back(it, 300), caller=PLATFORM)
    it = rental(desk, acts.decide_charge_back(it, user_won=True), caller=PLATFORM)
    assert it.held_minor == held_minor - 300
    verified(desk)
