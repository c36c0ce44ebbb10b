"""Late reports: a return, a pick-up or a loss that is reported days after it happened."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from service.books.verify import verify_books
from service.domain.authorization import Authorization, Custody, State
from service.domain.errors import InvalidInput
from service.engine import operations as c
from service.engine.calls import Settled
from service.storage import schema as t
from service.storage.database import writing
from tests.engine.acts import (
    DAY_US,
    HOUR_US,
    MINUTE_US,
    Books,
    approve,
    change_terms,
    contest,
    dispute,
    extend,
    found,
    money,
    name,
    pay_elsewhere,
    propose,
    settle_usage,
    woken,
)
from tests.engine.calls import authorize, balances, pay, pick_up, refused, rental, stored
from tests.fakes import OPERATOR, START_US, Desk

DOCKED_US = START_US + 2 * HOUR_US
"""The fee of a power bank until then is 600."""
TOLD_US = START_US + 26 * HOUR_US + 30 * MINUTE_US
"""The fee of a power bank until then is 3,750."""


@pytest.fixture(autouse=True)
def five_percent(desk: Desk) -> None:
    """Ann and Ben may rent on credit, and Freehold's commission is 5 %."""
    desk.put_users(ann=800, ben=800)
    with writing(desk.store.engine) as connection:
        city = t.operators.c.operator_id == OPERATOR
        connection.execute(t.operators.update().where(city).values(fee_bp=500))
    assert desk.engine.terms.follow()


def verified(desk: Desk) -> None:
    """Requires that the books verify."""
    report = verify_books(desk.store.engine)
    assert report.fault is None, report.fault


def power_bank(desk: Desk, user_id: str = "ann") -> Authorization:
    """A power bank that is out since the tests' clocks began."""
    return rental(desk, authorize(user_id, "power-bank", "pb-1"))


def settled(desk: Desk) -> Authorization:
    """A power bank that was settled by usage at 26:30, for 3,750."""
    it = power_bank(desk)
    desk.clock.advance(TOLD_US)
    it = rental(desk, settle_usage(it))
    assert (it.captured_minor, it.fee_minor) == (3_750, 187)
    return it


def away(desk: Desk, custody: Custody) -> Authorization:
    """A power bank that is MISSING or SOLD at 9,900."""
    it = power_bank(desk)
    it = woken(desk, it, it.lost_us or 0)
    if custody is Custody.SOLD:
        it = woken(desk, it, it.sold_us or 0)
    assert (it.custody, it.captured_minor, it.fee_minor) == (custody, 9_900, 495)
    return it


def test_r3_a_return_reported_late_is_settled_as_of_its_docking(desk: Desk) -> None:
    """R3: a rental whose item was docked at 2 h costs 6.00 and not 37.50, although the return is
    reported at 26.5 h."""
    it = power_bank(desk)
    desk.clock.advance(TOLD_US)
    answer = desk.do(settle_usage(it, DOCKED_US))
    assert isinstance(answer, Settled)
    assert answer.authorization.captured_minor == 600


def test_r3_a_settled_rental_was_docked_earlier(desk: Desk) -> None:
    """R3: a rental was settled at 3,750, and its fee was really 600. The 3,150 are given back with
    the commission of 157: operator_payable 2,993, fee_income 157 / receivable 3,150; avail / drawn
    3,150."""
    it = settled(desk)
    desk.clock.advance(TOLD_US + 30 * MINUTE_US)
    books = Books(desk)
    it = rental(desk, c.ReportFound(*name(it), DOCKED_US, "case-4711"))
    happened = books.expect(
        [
            ("money", "operator_payable / receivable", 2_993),
            ("money", "fee_income / receivable", 157),
            ("line", "available / drawn", 3_150),
        ],
        "authorization.found",
    )
    assert happened.ledger == {("authorization.found", DOCKED_US, TOLD_US + 30 * MINUTE_US)}
    assert (it.due_minor, it.lowered_minor, it.fee_minor) == (600, 3_150, 30)
    assert (it.state, it.custody) == (State.SETTLED, Custody.IN_STATION)
    assert balances(desk)[3] == 600
    verified(desk)


@pytest.mark.parametrize("custody", [Custody.MISSING, Custody.SOLD])
def test_r3_a_lost_or_sold_item_was_docked_earlier(desk: Desk, custody: Custody) -> None:
    """R3: an item was lost or sold at 9,900, and its fee was really 600. The same call gives back
    9,300: 8,835 by the operator and 465 of the commission."""
    it = away(desk, custody)
    books = Books(desk)
    it = rental(desk, found(it, DOCKED_US))
    books.expect(
        [
            ("money", "operator_payable / receivable", 8_835),
            ("money", "fee_income / receivable", 465),
            ("line", "available / drawn", 9_300),
        ],
        "authorization.found",
    )
    assert (it.custody, it.due_minor, it.fee_minor, it.sold_us) == (
        Custody.IN_STATION, 600, 30, None,
    )  # fmt: skip
    assert rental(desk, authorize("ben", "power-bank", "pb-1")).state is State.ACTIVE
    verified(desk)


def test_r3_a_paid_excess_is_owed_back(desk: Desk) -> None:
    """R3: after a payment, the amount given back is owed to the person: operator_payable 2,993,
    fee_income 157 / refund_payable 3,150."""
    it = rental(desk, pay(settled(desk), 3_750))
    books = Books(desk)
    it = rental(desk, found(it, DOCKED_US))
    books.expect(
        [
            ("money", "operator_payable / refund_payable", 2_993),
            ("money", "fee_income / refund_payable", 157),
        ],
        "authorization.found",
    )
    assert it.refund_payable_minor == 3_150


def test_r3_a_disputed_or_written_off_excess_is_given_back_there(desk: Desk) -> None:
    """R3: the amount given back is taken from the disputed amount and from the recovery."""
    it = rental(desk, dispute(settled(desk), 1_750))
    it = rental(desk, approve(rental(desk, propose(it))))
    books = Books(desk)
    it = rental(desk, found(it, DOCKED_US))
    # 3,150 is 1,750 of the disputed amount, with 87 of commission, and 1,400 of the written-off.
    books.expect(
        [
            ("money", "operator_payable / receivable_disputed", 1_663),
            ("money", "fee_income / receivable_disputed", 87),
            ("line", "available / drawn", 1_750),
            ("money", "operator_payable / recovery", 1_330),
            ("money", "fee_income / recovery", 70),
        ],
        "authorization.found",
    )
    assert (it.disputed_minor, it.unrecovered_minor, it.fee_minor) == (0, 600, 30)
    verified(desk)


def test_r3_an_excess_paid_to_the_operator_is_owed_back(desk: Desk) -> None:
    """R3: a charge that the person paid to the operator is given back by Freehold, and the operator
    owes it."""
    it = rental(desk, pay_elsewhere(settled(desk), 3_750))
    it = rental(desk, found(it, DOCKED_US))
    assert (it.refund_payable_minor, it.in_hand_minor) == (3_150, 3_150)
    verified(desk)


@pytest.mark.parametrize("docked_us", [TOLD_US, TOLD_US + MINUTE_US, TOLD_US + HOUR_US])
def test_r3_no_late_report_raises_a_fee(desk: Desk, docked_us: int) -> None:
    """R3: a docking at the time of the settlement, or later, changes no amount."""
    it = settled(desk)
    desk.clock.advance(TOLD_US + 30 * MINUTE_US)
    books = Books(desk)
    told = rental(desk, found(it, docked_us))
    books.expect([], "authorization.found")
    assert (told.captured_minor, told.due_minor, told.conceded_minor) == (3_750, 3_750, 0)


def test_r3_a_second_report_lowers_further_and_never_raises(desk: Desk) -> None:
    """R3: of two reports of the docking the earlier one counts, in either order."""
    it = rental(desk, found(settled(desk), DOCKED_US))
    it = rental(desk, found(it, DOCKED_US + HOUR_US))
    assert it.due_minor == 600
    it = rental(desk, found(it, START_US + MINUTE_US))
    assert (it.due_minor, it.fee_minor, it.conceded_minor) == (0, 0, 3_750)
    verified(desk)


def test_r3_the_operators_own_word_lowers_at_any_age(desk: Desk) -> None:
    """R3: an operator may report a return even after the policy's window, and a fee of 3,750
    becomes 600. A claim of the user is bounded by the window, to the microsecond."""
    change_terms(desk, t.policies, "small-item", report_window_us=25 * HOUR_US)
    it = settled(desk)
    desk.clock.advance(DOCKED_US + 25 * HOUR_US + 1)
    error = refused(desk, c.ClaimReturn(*name(it), DOCKED_US, "dock-7"))
    assert isinstance(error, InvalidInput)
    assert (error.violations[0].field, error.violations[0].rule) == (
        "occurred_at", "occurred_at.range",
    )  # fmt: skip
    assert "25 hours" in error.violations[0].description
    assert stored(desk, it) == it
    assert rental(desk, found(it, DOCKED_US)).due_minor == 600
    verified(desk)


def test_r3_a_settled_rental_needs_a_time(desk: Desk) -> None:
    """R3: without a time, an item that is not missing cannot be reported as found."""
    it = settled(desk)
    refusal = refused(desk, found(it))
    assert refusal.reason == "NOT_MISSING"
    assert "occurred_at" in refusal.message
    assert stored(desk, it) == it


def test_r3_a_sold_item_that_turns_up_today_stays_paid(desk: Desk) -> None:
    """R3: a sold item that is found without an earlier time is free again, and its price stays."""
    it = rental(desk, found(away(desk, Custody.SOLD)))
    assert (it.custody, it.due_minor) == (Custody.IN_STATION, 9_900)
    assert rental(desk, authorize("ben", "power-bank", "pb-1")).state is State.ACTIVE


def test_r3_a_damage_charge_has_no_docking(desk: Desk) -> None:
    """R3: a damage charge has no item, and no docking can be reported for it."""
    parent = settled(desk)
    charge = rental(
        desk,
        c.Authorize(
            "ann",
            (c.Item("power-bank", ""),),
            authorize().start,
            (),
            parent_id=parent.authorization_id,
        ),
    )
    charge = rental(desk, c.Settle(*name(charge), money(500), True))
    assert refused(desk, found(charge, START_US)).reason == "DAMAGE_CHARGE"


def test_r3_a_claim_reported_late_stops_the_fee_at_the_claimed_time(desk: Desk) -> None:
    """R3: a user reports at 26.5 h a return at 2 h. This opens a claim as of 2 h. The operator has
    its whole time to contest; if it says nothing, the fee is 600."""
    it = power_bank(desk)
    desk.clock.advance(TOLD_US)
    books = Books(desk)
    it = rental(desk, c.ClaimReturn(*name(it), DOCKED_US, "dock-7"))
    happened = books.expect([], "authorization.return_claimed")
    assert happened.events == [("authorization.return_claimed", DOCKED_US)]
    assert (it.state, it.claim_us, it.claim_until_us) == (
        State.RETURN_CLAIMED, DOCKED_US, TOLD_US + 48 * HOUR_US,
    )  # fmt: skip
    it = woken(desk, it, it.claim_until_us or 0)
    assert (it.state, it.captured_minor, it.fee_minor) == (State.SETTLED, 600, 30)
    verified(desk)


def test_r3_a_contested_late_claim_costs_the_whole_time(desk: Desk) -> None:
    """R3: a late claim that the operator contests leaves the rental as if nobody had claimed the
    return."""
    it = power_bank(desk)
    desk.clock.advance(TOLD_US)
    it = rental(desk, c.ClaimReturn(*name(it), DOCKED_US))
    it = rental(desk, contest(it))
    assert (it.state, it.claim_us) == (State.ACTIVE, None)
    assert rental(desk, settle_usage(it)).captured_minor == 3_750


@pytest.mark.parametrize("early_us", [MINUTE_US, MINUTE_US + 1])
def test_r3_a_claim_is_bounded_by_start_and_window(desk: Desk, early_us: int) -> None:
    """R3: a claim before the start counts as of the start, because a refusal would keep the meter
    running; the difference of the clocks is counted."""
    it = power_bank(desk)
    desk.clock.advance(TOLD_US)
    command = c.ClaimReturn(*name(it), START_US - early_us)
    assert rental(desk, command).claim_us == START_US
    (gap,) = desk.clock_gaps
    assert (gap.method, gap.gap_us) == ("ClaimReturn", -early_us)


def test_r3_a_start_reported_late_begins_at_the_pick_up(desk: Desk) -> None:
    """R3: an item picked up offline is billed from its pick-up, and is due from there."""
    it = rental(desk, pick_up("ann", "power-bank", "pb-1"))
    desk.clock.advance(START_US + 20 * MINUTE_US)
    books = Books(desk)
    picked_us = START_US + 4 * MINUTE_US
    it = rental(desk, c.StartRental(*name(it), "", picked_us))
    assert books.expect([], "authorization.started").events[0][1] == picked_us
    assert (it.state, it.start_us, it.due_us) == (
        State.ACTIVE, picked_us, picked_us + 72 * HOUR_US,
    )  # fmt: skip
    desk.clock.advance(picked_us + 2 * HOUR_US)
    assert rental(desk, settle_usage(it)).captured_minor == 600
    verified(desk)


@pytest.mark.parametrize("early_us", [1, MINUTE_US, MINUTE_US + 1])
def test_r3_no_start_is_before_the_authorization(desk: Desk, early_us: int) -> None:
    """R3, R4: a pick-up up to a minute before the authorization counts as its beginning. An earlier
    pick-up is refused, and the reservation does not change."""
    it = rental(desk, pick_up("ann", "power-bank", "pb-1"))
    desk.clock.advance(START_US + 20 * MINUTE_US)
    command = c.StartRental(*name(it), "", START_US - early_us)
    if early_us > MINUTE_US:
        assert isinstance(refused(desk, command), InvalidInput)
        assert stored(desk, it) == it
        return
    assert rental(desk, command).start_us == START_US
    assert desk.clock_gaps[0].gap_us == -early_us


def test_r3_a_start_ahead_of_the_server_is_now(desk: Desk) -> None:
    """R4: a pick-up later than the server's now counts as now."""
    it = rental(desk, pick_up("ann", "power-bank", "pb-1"))
    desk.clock.advance(START_US + MINUTE_US)
    it = rental(desk, c.StartRental(*name(it), "", START_US + HOUR_US))
    assert it.start_us == START_US + MINUTE_US


def test_r7_a_start_reported_late_is_not_lost_at_once(desk: Desk) -> None:
    """R7: if the start of a rental is reported after the due time, the rental is overdue. It is
    lost after the policy's time at the earliest."""
    change_terms(desk, t.policies, "small-item", pickup_window_us=7 * DAY_US)
    it = rental(desk, pick_up("ann", "power-bank", "pb-1"))
    told_us = START_US + 6 * DAY_US
    desk.clock.advance(told_us)
    it = rental(desk, c.StartRental(*name(it), "", START_US))
    assert it.lost_us == told_us + 2 * HOUR_US
    it = woken(desk, it, told_us)
    assert it.state is State.OVERDUE
    assert woken(desk, it, told_us + 2 * HOUR_US).custody is Custody.MISSING


def test_r7_an_item_extended_past_the_price_is_overdue_before_it_is_lost(desk: Desk) -> None:
    """R7: a rental was extended past the buy-out time. When it is a minute late, it is OVERDUE.
    After the policy's time its item is lost, at the exact instant."""
    it = rental(desk, extend(power_bank(desk), 72 * HOUR_US))
    due_us = START_US + 144 * HOUR_US
    assert (it.due_us, it.lost_us) == (due_us, due_us + 2 * HOUR_US)
    it = woken(desk, it, due_us + MINUTE_US)
    assert it.state is State.OVERDUE
    it = Books(desk).wake(
        it,
        due_us + 2 * HOUR_US,
        [
            ("line", "drawn / held", 9_900),
            ("money", "receivable / operator_payable", 9_405),
            ("money", "receivable / fee_income", 495),
        ],
        "authorization.lost",
    )
    assert it.custody is Custody.MISSING


def test_r7_a_rental_of_an_earlier_build_is_overdue_before_it_is_lost(desk: Desk) -> None:
    """R7: an earlier build gave a rental its due time as the time of loss. This rental too is
    overdue for the policy's time."""
    it = power_bank(desk)
    due_us = START_US + 72 * HOUR_US
    with writing(desk.store.engine) as connection:
        connection.execute(t.authorizations.update().values(lost_us=due_us))
    it = woken(desk, it, due_us + MINUTE_US)
    assert (it.state, it.lost_us) == (State.OVERDUE, due_us + 2 * HOUR_US)


@pytest.mark.parametrize("custody", [Custody.MISSING, Custody.SOLD, Custody.IN_STATION])
def test_r7_a_settlement_that_comes_too_late_names_the_call(desk: Desk, custody: Custody) -> None:
    """R7: SettleAuthorization of a rental that is settled or lost is refused, and the message names
    ReportFound."""
    it = settled(desk) if custody is Custody.IN_STATION else away(desk, custody)
    refusal = refused(desk, settle_usage(it, DOCKED_US))
    assert (refusal.reason, refusal.metadata) == ("ILLEGAL_TRANSITION", {"state": "SETTLED"})
    assert "ReportFound" in refusal.message


def test_r3_evidence_is_kept(desk: Desk) -> None:
    """R3: the evidence of a late report is kept with its request."""
    it = settled(desk)
    desk.do(c.ReportFound(*name(it), DOCKED_US, "case-4711"), request_id="late-1")
    requests = t.requests.c
    query = select(requests.body).where(requests.request_id == "late-1")
    with desk.store.engine.connect() as connection:
        assert b"case-4711" in connection.execute(query).scalar_one()
