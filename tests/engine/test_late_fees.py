"""R5 and R9: the fee of a late pick-up above its hold is a debt without a hold."""

from __future__ import annotations

import pytest

from service.domain.access import PLATFORM
from service.domain.attestations import AttestationKind
from service.domain.authorization import Authorization, Collection, Custody, State
from service.domain.captures import Purpose
from service.domain.errors import InvalidInput
from service.engine import operations as c
from service.engine.calls import Settled
from service.engine.records.debts import DebtRecord
from service.engine.tables import DEBTS
from tests.engine import acts
from tests.engine.acts import DAY_US, HOUR_US, MINUTE_US, Books, picked_up, woken
from tests.engine.calls import balances, line, pay, pick_up, refused, rental, stored
from tests.fakes import START_US, Desk
from tests.rows import read

ITEM = "bike-7"
TAKEN_US = START_US + 29 * MINUTE_US
END_US = START_US + 30 * MINUTE_US
BACK_US = TAKEN_US + 2 * HOUR_US
"""The fee of a bike until then is 950."""
FEE = 950
BOOKED = ("money", "receivable_unheld / operator_deferred")
DROPPED = ("money", "operator_deferred / receivable_unheld")
BUY_OUT = 19_900


def unheld(desk: Desk, limit_minor: int = 0) -> Authorization:
    """A late pick-up of Ann, whose line has only this much."""
    it = woken(desk, rental(desk, pick_up(asset_id=ITEM)), END_US)
    desk.do(c.SetLimit("ann", acts.money(limit_minor)), caller=PLATFORM)
    it = rental(desk, picked_up(it, TAKEN_US))
    assert it.held_minor == limit_minor
    return it


def row_of(desk: Desk, it: Authorization) -> DebtRecord:
    """The row of the debt for the fee of a rental."""
    key = (*acts.name(it), "FEE_ABOVE_HOLD")
    with desk.store.begin() as transaction:
        return read(transaction, DEBTS, [key])[key]


def debt_of(desk: Desk, it: Authorization) -> Authorization:
    """The debt for the fee of a rental."""
    return stored(desk, it._replace(authorization_id=row_of(desk, it).authorization_id))


def test_r5_a_fee_above_the_hold_is_a_debt_after_a_return_by_post(desk: Desk) -> None:
    """R5, R17: the fee above the hold is a debt, too, if the item was returned by post."""
    it = unheld(desk, 300)
    desk.clock.advance(BACK_US)
    answer = desk.do(acts.hand_over(it, AttestationKind.BY_POST, BACK_US))
    assert isinstance(answer, Settled)
    assert answer.debt == debt_of(desk, it).name
    assert (answer.authorization.captured_minor, row_of(desk, it).amount_minor) == (300, FEE - 300)


@pytest.mark.parametrize("held_minor", [0, 300, FEE - 1])
def test_r5_a_fee_above_the_hold_is_a_debt(desk: Desk, held_minor: int) -> None:
    """R5, R9: the settlement captures the hold and books the rest of the fee, receivable_unheld x /
    operator_deferred x. The rest is an authorization that cites the rental, and the answer names
    it."""
    it = unheld(desk, held_minor)
    desk.clock.advance(BACK_US)
    books, share_minor = Books(desk), held_minor * 300 // 10_000
    answer = desk.do(acts.settle_usage(it))
    captured = [
        ("line", "drawn / held", held_minor),
        ("money", "receivable / operator_payable", held_minor - share_minor),
        ("money", "receivable / fee_income", share_minor),
    ]
    books.expect(
        [row for row in captured if row[2]] + [(*BOOKED, FEE - held_minor)],
        "authorization.settled",
        "collection.debt_booked",
    )
    assert isinstance(answer, Settled)
    it, debt = answer.authorization, debt_of(desk, it)
    assert answer.debt == debt.name
    assert (it.captured_minor, it.uncollected_minor) == (held_minor, FEE - held_minor)
    assert (debt.parent_id, debt.reasons) == (it.authorization_id, ("FEE_ABOVE_HOLD",))
    assert (debt.unheld_minor, debt.collection) == (FEE - held_minor, Collection.DUE)
    assert debt.unheld_until_us == BACK_US + 90 * DAY_US
    assert balances(desk)[2:] == (0, held_minor)
    assert row_of(desk, it)[3:7] == (debt.authorization_id, "city", FEE - held_minor, "CNY")


def test_r5_a_fee_within_the_hold_is_no_debt(desk: Desk) -> None:
    """R5: a late pick-up whose hold covers the fee books no debt."""
    it = unheld(desk, FEE)
    desk.clock.advance(BACK_US)
    answer = desk.do(acts.settle_usage(it))
    assert isinstance(answer, Settled)
    assert (answer.debt, answer.authorization.uncollected_minor) == ("", 0)
    assert line(desk).unheld_minor == 0


def test_r5_only_a_late_pick_up_owes_more_than_its_hold(desk: Desk) -> None:
    """R5: the fee of any other rental above its hold stays uncollected."""
    it = rental(desk, pick_up(asset_id=ITEM))
    it = rental(desk, picked_up(rental(desk, acts.decrease(it, BUY_OUT)), None))
    desk.clock.advance(BACK_US)
    answer = desk.do(acts.settle_usage(it))
    assert isinstance(answer, Settled)
    assert answer.authorization.uncollected_minor > 0
    assert (answer.debt, line(desk).unheld_minor) == ("", 0)


def test_r9_a_paid_fee_is_owed_to_the_operator(desk: Desk) -> None:
    """R9: a payment of the fee's debt posts cash x / receivable_unheld x, and operator_deferred x /
    operator_payable x-f, fee_income f."""
    it = unheld(desk)
    desk.clock.advance(BACK_US)
    rental(desk, acts.settle_usage(it))
    books = Books(desk)
    paid = books.step(
        pay(debt_of(desk, it), FEE),
        [
            ("money", "cash / receivable_unheld", FEE),
            ("money", "operator_deferred / operator_payable", FEE - 28),
            ("money", "operator_deferred / fee_income", 28),
        ],
        "collection.payment_recorded",
        caller=PLATFORM,
    )
    assert (paid.captured_minor, paid.unheld_due_minor) == (FEE, 0)


@pytest.mark.parametrize("paid_minor", [0, 200])
def test_r17_a_waived_fee_includes_its_debt(desk: Desk, paid_minor: int) -> None:
    """R5, R17: an operator that waives the whole fee also gives up the part above the hold. The
    unpaid part of the debt is dropped, and the paid part is owed to the person."""
    it = unheld(desk, 300)
    desk.clock.advance(BACK_US)
    it = rental(desk, acts.settle_usage(it))
    if paid_minor:
        rental(desk, pay(debt_of(desk, it), paid_minor), caller=PLATFORM)
    it = rental(desk, acts.waive(it))
    debt = debt_of(desk, it)
    assert (it.due_minor, it.uncollected_minor, debt.unheld_due_minor) == (0, 0, 0)
    assert (debt.unheld_dropped_minor, debt.refund_payable_minor) == (
        FEE - 300 - paid_minor,
        paid_minor,
    )


def test_r5_an_amount_by_the_operator_above_the_hold_is_a_debt(desk: Desk) -> None:
    """R5: the operator's own amount is captured up to the hold, and the rest is booked, at most up
    to the buy-out cap. A capture that is not final stays within the hold."""
    it = unheld(desk, 500)
    for wrong in (acts.capture(it, BUY_OUT + 1, final=True), acts.capture(it, 501)):
        assert isinstance(refused(desk, wrong), InvalidInput)
    damage = acts.capture(it, 501, Purpose.DAMAGE, final=True)
    assert isinstance(refused(desk, damage), InvalidInput)
    rental(desk, acts.capture(it, 200))
    assert isinstance(refused(desk, acts.capture(it, BUY_OUT - 199, final=True)), InvalidInput)
    it = rental(desk, acts.capture(it, BUY_OUT - 200, final=True))
    assert (it.captured_minor, debt_of(desk, it).unheld_minor) == (500, BUY_OUT - 500)


def test_r5_a_claimed_return_bounds_the_debt(desk: Desk) -> None:
    """R5: while a return is claimed, the operator's own amount is at most the fee at the claim. If
    the operator says nothing, this fee is settled, and its part above the hold is booked."""
    it = unheld(desk)
    desk.clock.advance(BACK_US)
    it = rental(desk, acts.claim_return(it))
    error = refused(desk, acts.capture(it, FEE + 1, final=True))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].rule == "amount.exceeds_claim"
    it = woken(desk, it, it.claim_until_us or 0)
    debt = debt_of(desk, it)
    assert (it.state, debt.unheld_minor) == (State.SETTLED, FEE)
    assert (debt.create_us, debt.close_us) == (it.close_us, it.close_us)


def lost(desk: Desk, limit_minor: int = 0) -> Authorization:
    """A late pick-up whose item is missing."""
    it = unheld(desk, limit_minor)
    it = woken(desk, it, it.lost_us or 0)
    assert it.custody is Custody.MISSING
    return it


@pytest.mark.parametrize("held_minor", [0, 7_000])
def test_r5_the_buy_out_of_a_lost_item_is_a_debt(desk: Desk, held_minor: int) -> None:
    """R5: if the item is lost, the buy-out cap above the hold is booked, also by time alone."""
    it = lost(desk, held_minor)
    assert debt_of(desk, it).unheld_minor == BUY_OUT - held_minor


def test_r5_damage_is_charged_beside_the_fee(desk: Desk) -> None:
    """R5: the debt for the fee does not count toward the bound for damage."""
    it = lost(desk)
    book = c.BookDebt(*acts.name(it), acts.money(BUY_OUT), "damage-1", "photo-1")
    assert rental(desk, book).unheld_minor == BUY_OUT
    taken = c.BookDebt(*acts.name(it), acts.money(1), "FEE_ABOVE_HOLD", "photo-1")
    assert refused(desk, taken).reason == "BUSINESS_REFERENCE_REUSED"


def test_r5_an_item_that_is_found_lowers_the_debt(desk: Desk) -> None:
    """R3, R5: when the item is found at a fee of 950, the debt of 19,900 is lowered to 950:
    operator_deferred x / receivable_unheld x."""
    it, books = lost(desk), Books(desk)
    rental(desk, acts.found(it, BACK_US))
    books.expect([(*DROPPED, BUY_OUT - FEE)], "authorization.found", "authorization.found")
    debt = debt_of(desk, it)
    assert (debt.unheld_due_minor, debt.unheld_dropped_minor) == (FEE, BUY_OUT - FEE)
    assert stored(desk, it).uncollected_minor == FEE
    rental(desk, acts.found(stored(desk, it), BACK_US))
    assert debt_of(desk, it).unheld_due_minor == FEE


def test_r5_the_hold_pays_first_after_a_return(desk: Desk) -> None:
    """R5: the item is found, and the fee until then is within the hold. The whole debt is dropped,
    and the captured amount above the fee is given back."""
    it = lost(desk, 5_000)
    rental(desk, acts.found(it, BACK_US))
    debt, it = debt_of(desk, it), stored(desk, it)
    assert (debt.unheld_due_minor, debt.collection, debt.wake_us) == (0, Collection.NONE, None)
    assert it.due_minor == FEE


def test_r5_a_paid_or_disputed_debt_is_lowered_too(desk: Desk) -> None:
    """R5: a lowered debt loses its due part first, then its disputed part, then its paid part; the
    paid part is owed back."""
    it = lost(desk)
    debt = rental(desk, pay(debt_of(desk, it), 2_000), caller=PLATFORM)
    debt = rental(desk, acts.dispute(debt, 10_000), caller=PLATFORM)
    books = Books(desk)
    rental(desk, acts.found(it, BACK_US))
    books.expect(
        [
            (*DROPPED, 17_900),
            ("money", "operator_payable / refund_payable", 1_018),
            ("money", "fee_income / refund_payable", 32),
        ],
        "authorization.found",
        "authorization.found",
    )
    debt = debt_of(desk, it)
    assert (debt.unheld_dropped_minor, debt.unheld_disputed_minor) == (17_900, 0)
    assert (debt.refund_payable_minor, debt.conceded_minor, debt.fee_minor) == (1_050, 1_050, 28)


def test_r5_silence_after_an_item_appeared_lowers_the_debt(desk: Desk) -> None:
    """R5, R6: if a missing item appears and the operator says nothing, the rental costs at most one
    day's cap, including the debt."""
    it = lost(desk)
    desk.put_users(dan=800)
    rental(desk, pick_up("dan", "umbrella", ITEM))
    it = stored(desk, it)
    assert it.custody is Custody.UNKNOWN
    it = woken(desk, it, it.claim_until_us or 0)
    assert debt_of(desk, it).unheld_due_minor == 3_000


def test_r5_a_late_claim_that_is_decided_lowers_the_debt(desk: Desk) -> None:
    """R5, R18: if the person claims a return after the loss and nobody answers, the debt for the
    fee is lowered too."""
    it = lost(desk)
    rental(desk, c.ClaimReturn(*acts.name(it), BACK_US, "dock-7"))
    desk.clock.advance(desk.clock.now_us() + 48 * HOUR_US)
    (over,) = desk.store.cases_over(desk.clock.now_us(), 10)
    desk.do(c.DecideCase(*over[1:]), caller=PLATFORM)
    debt = debt_of(desk, it)
    assert (debt.unheld_due_minor, debt.unheld_dropped_minor) == (FEE, BUY_OUT - FEE)


def test_r5_a_loss_and_a_return_in_one_call(desk: Desk) -> None:
    """R5: a return that is reported after a loss that was not swept yet books the debt and lowers
    it at once."""
    it = unheld(desk)
    desk.clock.advance(it.lost_us or 0)
    books = Books(desk)
    desk.clock.advance((it.lost_us or 0) + HOUR_US)
    rental(desk, acts.found(it, BACK_US))
    books.expect(
        [(*BOOKED, BUY_OUT), (*DROPPED, BUY_OUT - FEE)],
        "authorization.overdue",
        "authorization.lost",
        "collection.debt_booked",
        "authorization.found",
        "authorization.found",
    )
    assert debt_of(desk, it).unheld_due_minor == FEE
