"""Rows of the transition table: a charge is collected, disputed, given back."""

from __future__ import annotations

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Collection, Custody, State, TransferKind
from service.domain.errors import InvalidInput
from service.domain.money import Money
from service.engine.calls import Paid
from service.engine.operations import PayOutOperator, RecordOperatorPayment, SetLimit
from service.engine.records.transfers import TransferState
from tests.engine.acts import (
    DAY_US,
    HOUR_US,
    Books,
    approve,
    charge_back,
    charged,
    decide_charge_back,
    decide_dispute,
    dispute,
    lower,
    money,
    pay_elsewhere,
    pay_out,
    propose,
    provision,
    refund,
    states,
    told,
    transfers,
    woken,
)
from tests.engine.calls import (
    authorize,
    balances,
    confirm,
    counts,
    line,
    pay,
    refused,
    rental,
    reverse,
    settle,
    stored,
)
from tests.fakes import OPERATOR, START_US, Desk

SETTLED, IN_STATION = State.SETTLED, Custody.IN_STATION


def paid(desk: Desk) -> Authorization:
    """SETTLED for 1,250 on credit, with a commission of 37, and paid."""
    return rental(desk, pay(charged(desk), 1_250))


# -- payment ---------------------------------------------------------------------------------


def test_payment_full(desk: Desk) -> None:
    """A payment posts cash / receivable and avail / drawn."""
    it = charged(desk)
    it = Books(desk).step(
        pay(it, 1_250),
        [("money", "cash / receivable", 1_250), ("line", "available / drawn", 1_250)],
        "collection.payment_recorded",
        caller=PLATFORM,
    )
    assert states(it) == (SETTLED, IN_STATION, Collection.PAID)
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_payment_partial(desk: Desk) -> None:
    """A partial payment posts its part and leaves the rest due."""
    it = charged(desk)
    it = Books(desk).step(
        pay(it, 400),
        [("money", "cash / receivable", 400), ("line", "available / drawn", 400)],
        "collection.payment_recorded",
    )
    assert (it.collection, it.due_minor) == (Collection.PAYING, 850)
    assert balances(desk) == (50_000, 49_150, 0, 850)


def test_payment_over(desk: Desk) -> None:
    """An overpayment posts cash / refund_payable."""
    it = charged(desk)
    it = Books(desk).step(
        pay(it, 1_300),
        [
            ("money", "cash / receivable", 1_250),
            ("line", "available / drawn", 1_250),
            ("money", "cash / refund_payable", 50),
        ],
        "collection.payment_recorded",
    )
    assert (it.collection, it.refund_payable_minor) == (Collection.REFUND_PENDING, 50)


def test_payment_while_out(desk: Desk) -> None:
    """A captured amount may be paid while the rental goes on."""
    it = rental(desk, settle(rental(desk, authorize()), 300, final=False))
    it = Books(desk).step(
        pay(it, 300),
        [("money", "cash / receivable", 300), ("line", "available / drawn", 300)],
        "collection.payment_recorded",
    )
    assert states(it) == (State.ACTIVE, Custody.OUT, Collection.PAID)


def test_payment_by_dunning(desk: Desk) -> None:
    """An hour after the settlement the rail is asked to debit the due amount. A success of the
    debit is a payment, and a repeated report changes nothing."""
    it = charged(desk)
    books = Books(desk)
    it = books.wake(it, START_US + HOUR_US, [], "collection.debit_requested")
    (debit,) = transfers(desk, it)
    assert (debit.kind, debit.amount_minor, debit.state) == (
        TransferKind.DEBIT, 1_250, TransferState.REQUESTED,
    )  # fmt: skip
    desk.do(told(debit, TransferState.SENT), caller=PLATFORM)
    books.expect([])
    for _ in range(2):
        answer = desk.do(told(debit, TransferState.SUCCEEDED), caller=PLATFORM)
        assert getattr(answer, "state", None) is TransferState.SUCCEEDED
        desk.do(told(debit, TransferState.SENT), caller=PLATFORM)
    books.expect(
        [("money", "cash / receivable", 1_250), ("line", "available / drawn", 1_250)],
        "collection.payment_recorded",
    )
    assert stored(desk, it).collection is Collection.PAID
    failed = told(debit, TransferState.FAILED)
    assert refused(desk, failed, caller=PLATFORM).reason == "TRANSFER_ENDED"
    again = pay(it, 5, reference=debit.transfer_id)
    assert refused(desk, again, caller=PLATFORM).reason == "PAYMENT_REFERENCE_USED"


def test_only_the_rail_reports_a_debit_as_paid(desk: Desk) -> None:
    """No client can record a payment with a transfer's id as its reference. The rail's result
    counts once, even if the reference was used before."""
    early = rental(desk, pay(charged(desk), 1, reference="transfers"), caller=PLATFORM)
    it = woken(desk, early, START_US + HOUR_US)
    (debit,) = transfers(desk, it)
    error = refused(desk, pay(it, 1_249, reference=debit.transfer_id), caller=PLATFORM)
    assert error.reason == "PAYMENT_REFERENCE_USED"
    desk.put_user("dan", 700)
    other = charged(desk, "dan")
    error = refused(desk, pay(other, 1_250, reference=debit.transfer_id), caller=PLATFORM)
    assert error.reason == "PAYMENT_REFERENCE_USED"
    for _ in range(2):
        desk.do(told(debit, TransferState.SUCCEEDED), caller=PLATFORM)
    it = stored(desk, it)
    assert (it.collection, it.refund_payable_minor) == (Collection.PAID, 0)
    taken = rental(desk, charge_back(it, 1_249, reference=debit.transfer_id), caller=OPERATOR)
    assert taken.charged_back_minor == 1_249


def test_payment_that_failed(desk: Desk) -> None:
    """A failed debit posts nothing. On its next day, dunning asks again for the due amount."""
    it = woken(desk, charged(desk), START_US + HOUR_US)
    (debit,) = transfers(desk, it)
    books = Books(desk)
    desk.do(told(debit, TransferState.FAILED, "no funds"), caller=PLATFORM)
    books.expect([], "collection.debit_failed")
    rental(desk, pay(it, 250))
    books.news()
    books.wake(
        stored(desk, it), START_US + DAY_US, [],
        "collection.due_1_day", "collection.reminded",
    )  # fmt: skip
    books.wake(stored(desk, it), START_US + 3 * DAY_US, [], "collection.debit_requested")
    first, second = transfers(desk, it)
    assert (first.state, first.detail) == (TransferState.FAILED, "no funds")
    assert (second.amount_minor, second.state) == (1_000, TransferState.REQUESTED)


def test_a_debit_of_a_paid_amount_is_not_handed_in(desk: Desk) -> None:
    """A debit is marked SENT before it is handed in, or cancelled if it asks for more than is due
    by then. Dunning continues with the due amount."""
    it = woken(desk, charged(desk), START_US + HOUR_US)
    (debit,) = transfers(desk, it)
    rental(desk, pay(it, 250))
    books = Books(desk)
    desk.do(told(debit, TransferState.SENT), caller=PLATFORM)
    books.expect([], "collection.debit_cancelled")
    assert [each.state for each in transfers(desk, it)] == [TransferState.CANCELLED]
    desk.do(told(debit, TransferState.SENT), caller=PLATFORM)
    woken(desk, stored(desk, it), START_US + 3 * DAY_US)
    _, second = transfers(desk, it)
    assert (second.amount_minor, second.state) == (1_000, TransferState.REQUESTED)
    desk.do(told(second, TransferState.SENT), caller=PLATFORM)
    assert transfers(desk, it)[1].state is TransferState.SENT


def test_a_transfer_that_does_not_exist(desk: Desk) -> None:
    """A transfer that was never requested is NOT_FOUND."""
    it = woken(desk, charged(desk), START_US + HOUR_US)
    (debit,) = transfers(desk, it)
    ghost = told(debit._replace(transfer_id="0" * 20), TransferState.SENT)
    assert refused(desk, ghost, caller=PLATFORM).reason == "TRANSFER_NOT_FOUND"


# -- paid elsewhere, lowered, refunded -------------------------------------------------------


def test_paid_elsewhere(desk: Desk) -> None:
    """A payment to the operator posts operator_payable / receivable and avail / drawn."""
    it = charged(desk)
    it = Books(desk).step(
        pay_elsewhere(it, 1_250),
        [("money", "operator_payable / receivable", 1_250), ("line", "available / drawn", 1_250)],
        "collection.paid_elsewhere",
    )
    assert states(it) == (SETTLED, IN_STATION, Collection.PAID)
    assert it.fee_minor == 37


def test_paid_elsewhere_too_much(desk: Desk) -> None:
    """At most the charge is recorded as paid elsewhere; any excess is between person and
    operator."""
    it = charged(desk)
    assert isinstance(refused(desk, pay_elsewhere(it, 1_251)), InvalidInput)


def test_lowered(desk: Desk) -> None:
    """Lowering by x before payment posts operator_payable x-f, fee_income f / receivable x; avail /
    drawn x. The commission is the floored share of what is left."""
    it = charged(desk)
    it = Books(desk).step(
        lower(it, 250),
        [
            ("money", "operator_payable / receivable", 243),
            ("money", "fee_income / receivable", 7),
            ("line", "available / drawn", 250),
        ],
        "collection.lowered",
    )
    assert (it.due_minor, it.fee_minor, it.collection) == (1_000, 30, Collection.DUE)
    assert isinstance(refused(desk, lower(it, 1_001)), InvalidInput)


def test_refund_full(desk: Desk) -> None:
    """A refund of x after payment posts operator_payable x-f, fee_income f / refund_payable x; its
    payout posts refund_payable / cash."""
    it = paid(desk)
    books = Books(desk)
    it = books.step(
        refund(it, 1_250),
        [
            ("money", "operator_payable / refund_payable", 1_213),
            ("money", "fee_income / refund_payable", 37),
        ],
        "collection.refunded",
    )
    assert states(it) == (SETTLED, IN_STATION, Collection.REFUND_PENDING)
    it = books.step(
        pay_out(it, 1_250), [("money", "refund_payable / cash", 1_250)], "collection.paid_out"
    )
    assert states(it) == (SETTLED, IN_STATION, Collection.REFUNDED)
    (payout,) = transfers(desk, it)
    assert (payout.kind, payout.amount_minor) == (TransferKind.PAYOUT, 1_250)
    desk.do(told(payout, TransferState.SUCCEEDED), caller=PLATFORM)
    books.expect([])


def test_refund_partial_several_never_too_much(desk: Desk) -> None:
    """All refunds together are at most the captured and paid amount. Several refunds return the
    same commission as one refund of their sum."""
    it = rental(desk, pay(charged(desk), 1_000))
    books = Books(desk)
    it = books.step(
        refund(it, 100),
        [
            ("money", "operator_payable / refund_payable", 97),
            ("money", "fee_income / refund_payable", 3),
        ],
        "collection.refunded",
    )
    it = rental(desk, refund(it, 899))
    assert isinstance(refused(desk, refund(it, 2)), InvalidInput)
    it = rental(desk, refund(it, 1))
    assert (it.refunded_minor, it.refundable_minor, it.due_minor) == (1_000, 0, 250)
    assert it.fee_minor == 250 * 300 // 10_000
    assert isinstance(refused(desk, refund(it, 1)), InvalidInput)


def test_refund_of_a_captured_deposit(desk: Desk) -> None:
    """An amount captured from the cash part counts as paid and can be refunded."""
    it = rental(desk, settle(rental(desk, confirm(rental(desk, authorize("ben")))), 1_000))
    it = Books(desk).step(
        refund(it, 1_000),
        [
            ("money", "operator_payable / refund_payable", 970),
            ("money", "fee_income / refund_payable", 30),
        ],
        "collection.refunded",
    )
    assert it.refund_payable_minor == 9_950


def test_payout_that_failed(desk: Desk) -> None:
    """A payout that failed is owed again: cash / refund_payable; it may be paid out again."""
    it = rental(desk, pay(charged(desk), 1_300))
    it = rental(desk, pay_out(it, 30))
    assert isinstance(refused(desk, pay_out(it, 21)), InvalidInput)
    (payout,) = transfers(desk, it)
    books = Books(desk)
    desk.do(told(payout, TransferState.FAILED, "closed account"), caller=PLATFORM)
    books.expect([("money", "cash / refund_payable", 30)], "collection.payout_failed")
    it = stored(desk, it)
    assert (it.collection, it.refund_payable_minor) == (Collection.REFUND_PENDING, 50)
    rental(desk, pay_out(it, 50))
    assert [each.amount_minor for each in transfers(desk, it)] == [30, 50]
    assert line(desk).refund_payable_minor == 0


def test_payout_that_was_returned(desk: Desk) -> None:
    """A payout that is returned after its success is owed again, once: cash / refund_payable; a
    later report of success changes nothing."""
    it = rental(desk, pay_out(rental(desk, pay(charged(desk), 1_300)), 50))
    (payout,) = transfers(desk, it)
    desk.do(told(payout, TransferState.SUCCEEDED), caller=PLATFORM)
    books = Books(desk)
    desk.do(told(payout, TransferState.RETURNED, "account closed"), caller=PLATFORM)
    books.expect([("money", "cash / refund_payable", 50)], "collection.payout_returned")
    for state in (TransferState.RETURNED, TransferState.SUCCEEDED, TransferState.SENT):
        answer = desk.do(told(payout, state), caller=PLATFORM)
        assert getattr(answer, "state", None) is TransferState.RETURNED
    failed = told(payout, TransferState.FAILED)
    assert refused(desk, failed, caller=PLATFORM).reason == "TRANSFER_ENDED"
    books.expect([])
    it = stored(desk, it)
    assert (it.refund_payable_minor, it.paid_out_minor) == (50, 0)
    rental(desk, pay_out(it, 50))


def test_payout_returned_before_its_success_was_known(desk: Desk) -> None:
    """A payout may be returned without a reported success; one that failed cannot."""
    it = rental(desk, pay(charged(desk), 1_300))
    it = rental(desk, pay_out(rental(desk, pay_out(it, 20)), 30))
    first, second = transfers(desk, it)
    desk.do(told(first, TransferState.RETURNED), caller=PLATFORM)
    desk.do(told(second, TransferState.FAILED), caller=PLATFORM)
    returned = told(second, TransferState.RETURNED)
    assert refused(desk, returned, caller=PLATFORM).reason == "TRANSFER_ENDED"
    assert stored(desk, it).refund_payable_minor == 50


@pytest.mark.parametrize("before", [TransferState.SENT, TransferState.SUCCEEDED])
def test_a_debit_cannot_be_returned(desk: Desk, before: TransferState) -> None:
    """RETURNED for a debit is refused, because debits come back only as charge-backs."""
    it = woken(desk, charged(desk), START_US + HOUR_US)
    (debit,) = transfers(desk, it)
    desk.do(told(debit, before), caller=PLATFORM)
    error = refused(desk, told(debit, TransferState.RETURNED), caller=PLATFORM)
    assert (error.reason, error.metadata) == ("DEBIT_NOT_RETURNED", {"state": before})
    assert [each.state for each in transfers(desk, it)] == [before]


def test_payout_after_the_end_of_a_hold(desk: Desk) -> None:
    """A deposit that is owed back is paid out in every closed state."""
    it = rental(desk, reverse(rental(desk, confirm(rental(desk, authorize("ben"))))))
    it = Books(desk).step(
        pay_out(it, 9_950), [("money", "refund_payable / cash", 9_950)], "collection.paid_out"
    )
    assert states(it) == (State.REVERSED, IN_STATION, Collection.NONE)


# -- disputes --------------------------------------------------------------------------------


def test_dispute_opened_and_lost_by_the_user(desk: Desk) -> None:
    """A dispute posts receivable_disputed / receivable; lost by the user, the reverse. A disputed
    amount stays drawn and is not collected meanwhile."""
    it = charged(desk)
    books = Books(desk)
    it = books.step(
        dispute(it, 1_250),
        [("money", "receivable_disputed / receivable", 1_250)],
        "collection.dispute_opened",
    )
    assert (it.collection, it.due_minor, it.wake_us) == (Collection.DISPUTED, 0, None)
    assert balances(desk) == (50_000, 48_750, 0, 1_250)
    it = books.step(
        decide_dispute(it, user_won=False),
        [("money", "receivable / receivable_disputed", 1_250)],
        "collection.dispute_lost",
    )
    assert (it.collection, it.due_minor) == (Collection.DUE, 1_250)


def test_dispute_won_by_the_user(desk: Desk) -> None:
    """A dispute won by the user posts operator_payable x-f, fee_income f / receivable_disputed x;
    avail / drawn x."""
    it = rental(desk, dispute(charged(desk), 250))
    it = Books(desk).step(
        decide_dispute(it, user_won=True),
        [
            ("money", "operator_payable / receivable_disputed", 243),
            ("money", "fee_income / receivable_disputed", 7),
            ("line", "available / drawn", 250),
        ],
        "collection.dispute_won",
    )
    assert (it.collection, it.due_minor, it.fee_minor) == (Collection.DUE, 1_000, 30)
    assert balances(desk) == (50_000, 49_000, 0, 1_000)


def test_dispute_won_out_of_goodwill(desk: Desk) -> None:
    """A dispute won at Freehold's cost posts goodwill x / receivable_disputed x; the operator's
    part and the commission stay."""
    it = rental(desk, dispute(charged(desk), 250))
    it = Books(desk).step(
        decide_dispute(it, user_won=True, goodwill=True),
        [("money", "goodwill / receivable_disputed", 250), ("line", "available / drawn", 250)],
        "collection.dispute_won",
    )
    assert (it.due_minor, it.fee_minor, it.conceded_minor) == (1_000, 37, 0)


def test_dispute_of_too_much(desk: Desk) -> None:
    """At most what is due can be disputed, and only disputed amounts are decided."""
    it = charged(desk)
    assert isinstance(refused(desk, dispute(it, 1_251)), InvalidInput)
    assert refused(desk, decide_dispute(it, user_won=True)).reason == "NOTHING_DISPUTED"


# -- charge-backs ----------------------------------------------------------------------------


def test_charge_back_and_overturned(desk: Desk) -> None:
    """A charge-back of a payment posts receivable_charged_back / cash, and nothing on the line. An
    overturned charge-back posts the reverse."""
    it = paid(desk)
    books = Books(desk)
    it = books.step(
        charge_back(it, 1_250),
        [("money", "receivable_charged_back / cash", 1_250)],
        "collection.charged_back",
    )
    assert states(it) == (SETTLED, IN_STATION, Collection.DISPUTED)
    assert balances(desk) == (50_000, 50_000, 0, 0)
    it = books.step(
        decide_charge_back(it, user_won=False),
        [("money", "cash / receivable_charged_back", 1_250)],
        "collection.charge_back_overturned",
    )
    assert states(it) == (SETTLED, IN_STATION, Collection.PAID)


@pytest.mark.parametrize("goodwill", [False, True])
def test_charge_back_won(desk: Desk, goodwill: bool) -> None:
    """A charge-back won by the user posts the same as a won dispute, without the line."""
    it = rental(desk, charge_back(paid(desk), 250))
    given = [
        ("money", "operator_payable / receivable_charged_back", 243),
        ("money", "fee_income / receivable_charged_back", 7),
    ]
    at_our_cost = [("money", "goodwill / receivable_charged_back", 250)]
    it = Books(desk).step(
        decide_charge_back(it, user_won=True, goodwill=goodwill),
        at_our_cost if goodwill else given,
        "collection.charge_back_won",
    )
    assert (it.collection, it.refunded_minor) == (Collection.REFUNDED, 250)
    assert (it.refundable_minor, it.refund_payable_minor) == (1_000, 0)
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_charge_back_of_too_much(desk: Desk) -> None:
    """At most the money that came by the rail can be charged back, even if it went out again. A
    reference counts once."""
    it = rental(desk, pay_out(rental(desk, refund(paid(desk), 50)), 50))
    assert isinstance(refused(desk, charge_back(it, 1_251)), InvalidInput)
    it = rental(desk, charge_back(it, 200))
    assert refused(desk, charge_back(it, 200)).reason == "PAYMENT_REFERENCE_USED"
    assert isinstance(refused(desk, charge_back(it, 1_051, "bank-2")), InvalidInput)
    it = rental(desk, decide_charge_back(it, user_won=False))
    assert refused(desk, decide_charge_back(it, user_won=True)).reason == "NOTHING_CHARGED_BACK"


def deposit(desk: Desk) -> Authorization:
    """ACTIVE with 9,950 on credit and 9,950 in cash."""
    return rental(desk, confirm(rental(desk, authorize("ben"))))


TAKEN = [("money", "receivable_charged_back / cash", 5_000)]
"""A charge-back of 5,000."""


def test_charge_back_of_a_held_deposit(desk: Desk) -> None:
    """A held deposit can be charged back. If the user wins, the charged-back part posts deposit /
    receivable_charged_back, and is no longer held."""
    it = deposit(desk)
    books = Books(desk)
    it = books.step(charge_back(it, 5_000), TAKEN, "collection.charged_back")
    assert (it.collection, it.held_cash_minor) == (Collection.DISPUTED, 9_950)
    it = books.step(
        decide_charge_back(it, user_won=True),
        [("money", "deposit / receivable_charged_back", 5_000)],
        "collection.charge_back_won",
    )
    assert (it.held_cash_minor, it.cash_minor, it.held_credit_minor) == (4_950, 4_950, 9_950)
    assert isinstance(refused(desk, charge_back(it, 4_951, "bank-2")), InvalidInput)
    it = books.step(
        settle(it, 5_000),
        [
            ("money", "deposit / operator_payable", 4_802),
            ("money", "deposit / fee_income", 148),
            ("line", "drawn / held", 50),
            ("money", "receivable / operator_payable", 48),
            ("money", "receivable / fee_income", 2),
            ("line", "available / held", 9_900),
        ],
        "authorization.settled",
    )
    assert (it.refund_payable_minor, it.due_minor) == (0, 50)


def test_charge_back_of_a_deposit_that_is_captured_meanwhile(desk: Desk) -> None:
    """If a deposit is captured while it is charged back, the amount owed back is used first. The
    operator bears only the rest."""
    it = rental(desk, charge_back(deposit(desk), 9_000))
    it = rental(desk, settle(it, 2_000))
    assert (it.refund_payable_minor, it.in_hand_minor) == (7_950, 950)
    it = Books(desk).step(
        decide_charge_back(it, user_won=True),
        [
            ("money", "refund_payable / receivable_charged_back", 7_950),
            ("money", "operator_payable / receivable_charged_back", 1_018),
            ("money", "fee_income / receivable_charged_back", 32),
        ],
        "collection.charge_back_won",
    )
    assert (it.refund_payable_minor, it.refunded_minor, it.conceded_minor) == (0, 1_050, 1_050)
    assert it.in_hand_minor == 950


def test_charge_back_of_a_released_deposit_is_not_paid_out_too(desk: Desk) -> None:
    """A released deposit can be charged back. The charged-back part is not paid out while the case
    is open. If the user keeps this part, it is no longer owed."""
    it = rental(desk, reverse(deposit(desk)))
    books = Books(desk)
    it = books.step(charge_back(it, 5_000), TAKEN, "collection.charged_back")
    assert isinstance(refused(desk, pay_out(it, 4_951)), InvalidInput)
    it = rental(desk, pay_out(it, 4_000))
    assert isinstance(refused(desk, charge_back(it, 4_951, "bank-2")), InvalidInput)
    books.news()
    it = books.step(
        decide_charge_back(it, user_won=True, goodwill=True),
        [("money", "refund_payable / receivable_charged_back", 5_000)],
        "collection.charge_back_won",
    )
    assert (it.state, it.refund_payable_minor, it.in_hand_minor) == (State.REVERSED, 950, 950)
    rental(desk, pay_out(it, 950))


def test_charge_back_overturned_is_paid_out_then(desk: Desk) -> None:
    """An amount owed back is paid out once the charge-back is overturned."""
    it = rental(desk, charge_back(rental(desk, reverse(deposit(desk))), 9_950))
    assert isinstance(refused(desk, pay_out(it, 1)), InvalidInput)
    it = rental(desk, decide_charge_back(it, user_won=False))
    it = rental(desk, pay_out(it, 9_950))
    assert isinstance(refused(desk, pay_out(it, 1)), InvalidInput)


def test_charge_back_of_a_payout_that_failed(desk: Desk) -> None:
    """An amount whose payout failed can be charged back again."""
    it = rental(desk, pay_out(rental(desk, reverse(deposit(desk))), 9_950))
    (payout,) = transfers(desk, it)
    desk.do(told(payout, TransferState.FAILED), caller=PLATFORM)
    it = rental(desk, charge_back(it, 9_950))
    assert (it.refund_payable_minor, it.in_hand_minor) == (9_950, 0)


def test_charge_back_of_an_overpayment(desk: Desk) -> None:
    """An overpayment is charged back like the rest, and goes first."""
    it = rental(desk, charge_back(rental(desk, pay(charged(desk), 1_300)), 1_300))
    it = Books(desk).step(
        decide_charge_back(it, user_won=True),
        [
            ("money", "refund_payable / receivable_charged_back", 50),
            ("money", "operator_payable / receivable_charged_back", 1_213),
            ("money", "fee_income / receivable_charged_back", 37),
        ],
        "collection.charge_back_won",
    )
    assert (it.refunded_minor, it.refund_payable_minor, it.received_minor) == (1_250, 0, 0)


def test_charge_back_of_a_recovery(desk: Desk) -> None:
    """When a recovery after a write-off is charged back and the user keeps it, it posts recovery /
    receivable_charged_back and no longer counts as recovered."""
    it = rental(desk, pay(charged(desk), 250))
    it = rental(desk, approve(rental(desk, propose(it))))
    it = rental(desk, charge_back(rental(desk, pay(it, 1_000, reference="pay-2")), 1_100))
    it = Books(desk).step(
        decide_charge_back(it, user_won=True, goodwill=True),
        [
            ("money", "goodwill / receivable_charged_back", 250),
            ("money", "recovery / receivable_charged_back", 850),
        ],
        "collection.charge_back_won",
    )
    assert (it.recovered_minor, it.unrecovered_minor, it.refunded_minor) == (150, 850, 250)
    it = rental(desk, pay(it, 850, reference="pay-3"))
    assert (it.unrecovered_minor, it.refund_payable_minor) == (0, 0)


def test_charge_back_of_a_payment_elsewhere(desk: Desk) -> None:
    """A payment to the operator did not come by the rail, so no bank can charge it back; the
    operator's refund of it is still paid out."""
    it = rental(desk, pay_elsewhere(rental(desk, pay(charged(desk), 250)), 1_000))
    assert isinstance(refused(desk, charge_back(it, 251)), InvalidInput)
    it = rental(desk, refund(it, 1_250))
    assert (it.in_hand_minor, it.chargeable_back_minor) == (1_250, 250)
    it = rental(desk, charge_back(it, 250))
    assert isinstance(refused(desk, pay_out(it, 1_001)), InvalidInput)
    it = rental(desk, pay_out(it, 1_000))
    it = rental(desk, decide_charge_back(it, user_won=True))
    assert (it.refund_payable_minor, it.in_hand_minor, it.refunded_minor) == (0, 0, 1_250)


def test_refund_while_charged_back_gives_back_once(desk: Desk) -> None:
    """A refund of a charged-back amount is owed but not paid out. If the user keeps the amount, the
    refund settles the charge-back, and the operator bears the amount once."""
    it = rental(desk, refund(rental(desk, charge_back(paid(desk), 1_250)), 1_250))
    assert isinstance(refused(desk, pay_out(it, 1)), InvalidInput)
    it = Books(desk).step(
        decide_charge_back(it, user_won=True),
        [("money", "refund_payable / receivable_charged_back", 1_250)],
        "collection.charge_back_won",
    )
    assert (it.refunded_minor, it.conceded_minor, it.refund_payable_minor) == (1_250, 1_250, 0)


# -- provision, write-off, recovery ----------------------------------------------------------


def test_provision_up_and_down(desk: Desk) -> None:
    """A provision posts credit_loss / allowance; lowering it posts the reverse."""
    it = charged(desk)
    books = Books(desk)
    it = books.step(
        provision(it, 600), [("money", "credit_loss / allowance", 600)], "collection.provisioned"
    )
    it = books.step(
        provision(it, 200), [("money", "allowance / credit_loss", 400)], "collection.provisioned"
    )
    assert (it.provisioned_minor, it.collection) == (200, Collection.DUE)
    assert isinstance(refused(desk, provision(it, 1_251)), InvalidInput)


def test_write_off_by_two_people(desk: Desk) -> None:
    """A write-off with two keys posts allowance / receivable and limit_control / drawn; a part
    without provision is provided for in the same transaction."""
    it = rental(desk, provision(charged(desk), 200))
    books = Books(desk)
    it = books.step(propose(it, "key-1"), [], "collection.write_off_proposed")
    error = refused(desk, approve(it, "key-1"))
    assert (error.reason, error.metadata) == ("SECOND_PERSON_NEEDED", {"state": "SETTLED"})
    it = books.step(
        approve(it, "key-2"),
        [
            ("money", "credit_loss / allowance", 1_050),
            ("money", "allowance / receivable", 1_250),
            ("line", "limit_control / drawn", 1_250),
        ],
        "collection.written_off",
    )
    assert states(it) == (SETTLED, IN_STATION, Collection.WRITTEN_OFF)
    assert balances(desk) == (48_750, 48_750, 0, 0)


def test_write_off_needs_a_proposal(desk: Desk) -> None:
    """A write-off without a proposal, or of nothing due, is refused."""
    it = charged(desk)
    assert refused(desk, approve(it)).reason == "NOT_PROPOSED"
    it = rental(desk, pay(rental(desk, propose(it)), 1_250))
    assert (it.write_off_by, it.write_off_minor) == ("", 0)
    assert refused(desk, approve(it)).reason == "NOT_PROPOSED"
    assert refused(desk, propose(it)).reason == "NOTHING_DUE"


def test_write_off_after_a_partial_payment(desk: Desk) -> None:
    """When less is due than was proposed, only what is due is written off."""
    it = rental(desk, pay(rental(desk, propose(charged(desk))), 250))
    assert it.write_off_minor == 1_250
    it = rental(desk, approve(it))
    assert (it.due_minor, it.written_off_minor, it.write_off_minor) == (0, 1_000, 0)


def test_write_off_of_at_most_the_proposal(desk: Desk) -> None:
    """An amount that became due after the proposal, because the person lost a dispute, stays due
    until it is proposed too."""
    it = rental(desk, propose(rental(desk, dispute(charged(desk), 1_000))))
    assert it.write_off_minor == 250
    it = rental(desk, decide_dispute(it, user_won=False))
    it = Books(desk).step(
        approve(it),
        [
            ("money", "credit_loss / allowance", 250),
            ("money", "allowance / receivable", 250),
            ("line", "limit_control / drawn", 250),
        ],
        "collection.written_off",
    )
    assert (it.due_minor, it.written_off_minor) == (1_000, 250)
    assert refused(desk, approve(it)).reason == "NOT_PROPOSED"


def test_a_proposal_ends_when_nothing_is_due(desk: Desk) -> None:
    """When the person disputes all that is due, a proposed write-off ends. If the person loses the
    dispute, a new proposal is needed."""
    it = rental(desk, dispute(rental(desk, propose(charged(desk))), 1_250))
    assert (it.write_off_by, it.write_off_minor) == ("", 0)
    it = rental(desk, decide_dispute(it, user_won=False))
    assert refused(desk, approve(it)).reason == "NOT_PROPOSED"


def test_the_limit_stays_frozen_after_a_write_off(desk: Desk) -> None:
    """After a write-off newer features do not change the limit, until a person sets it or leaves it
    to the score again."""
    rental(desk, approve(rental(desk, propose(charged(desk)))))
    assert line(desk).limit_fixed
    desk.put_user("ann", 800)
    assert balances(desk) == (48_750, 48_750, 0, 0)
    desk.do(SetLimit("ann", money(49_000)), caller=PLATFORM)
    assert balances(desk) == (49_000, 49_000, 0, 0)
    desk.do(SetLimit("ann", None), caller=PLATFORM)
    desk.put_user("ann", 800)
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_recovery(desk: Desk) -> None:
    """A payment of a written-off amount posts cash / recovery; an overpayment is owed back."""
    it = rental(desk, approve(rental(desk, propose(charged(desk)))))
    it = Books(desk).step(
        pay(it, 1_300),
        [("money", "cash / recovery", 1_250), ("money", "cash / refund_payable", 50)],
        "collection.payment_recorded",
    )
    assert (it.collection, it.recovered_minor) == (Collection.WRITTEN_OFF, 1_250)
    assert balances(desk) == (48_750, 48_750, 0, 0)


# -- operator payout -------------------------------------------------------------------------


def paying_out(amount_minor: int, reference: str = "out-1") -> PayOutOperator:
    """Pays an operator."""
    return PayOutOperator(OPERATOR, money(amount_minor), reference)


def test_operator_payout(desk: Desk) -> None:
    """A payout posts operator_payable / cash, on the operator's own line."""
    charged(desk)
    books = Books(desk)
    answer = desk.do(paying_out(1_000), caller=PLATFORM)
    books.expect([("money", "operator_payable / cash", 1_000)], "operator.paid_out")
    assert answer == Paid(OPERATOR, "CNY", 1_000, 213)


def test_operator_payout_of_too_much(desk: Desk) -> None:
    """A payout is at most what the operator is owed, and counts once."""
    charged(desk)
    before = counts(desk)
    error = refused(desk, paying_out(1_214), caller=PLATFORM)
    assert error.reason == "PAYABLE_EXCEEDED"
    assert "1213" in error.message
    assert isinstance(refused(desk, paying_out(0), caller=PLATFORM), InvalidInput)
    after = counts(desk)
    assert {**after, "operator_payables": 0} == {**before, "operator_payables": 0}
    desk.do(paying_out(1_000), caller=PLATFORM)
    assert refused(desk, paying_out(1), caller=PLATFORM).reason == "PAYMENT_REFERENCE_USED"
    desk.do(paying_out(213, "out-2"), caller=PLATFORM)
    assert refused(desk, paying_out(1, "out-3"), caller=PLATFORM).reason == "PAYABLE_EXCEEDED"


def test_operator_payouts_in_one_batch(desk: Desk) -> None:
    """Two payouts and a capture in one batch see each other."""
    it = rental(desk, authorize())
    results = desk.apply(
        desk.work(settle(it, 1_250), request_id="settle"),
        desk.work(paying_out(1_213, "out-1"), caller=PLATFORM, request_id="one"),
        desk.work(paying_out(1, "out-2"), caller=PLATFORM, request_id="two"),
    )
    assert [isinstance(result, bytes) for result in results] == [True, True, False]


def test_operator_owes_after_a_refund(desk: Desk) -> None:
    """A refund after the payout leaves the operator owing; nothing is paid out until the balance is
    positive."""
    it = paid(desk)
    desk.do(paying_out(1_213), caller=PLATFORM)
    rental(desk, refund(it, 1_250))
    assert refused(desk, paying_out(1, "out-2"), caller=PLATFORM).reason == "PAYABLE_EXCEEDED"


def paying_back(amount_minor: int, reference: str = "back-1") -> RecordOperatorPayment:
    """An operator's payment of what it owes."""
    return RecordOperatorPayment(OPERATOR, money(amount_minor), reference)


def test_operator_pays_back(desk: Desk) -> None:
    """An operator's payment posts cash / operator_payable on its own line; a reference counts once,
    and an overpayment is owed to the operator."""
    it = paid(desk)
    desk.do(paying_out(1_213), caller=PLATFORM)
    rental(desk, refund(it, 1_250))
    books = Books(desk)
    assert desk.do(paying_back(1_000), caller=PLATFORM) == Paid(OPERATOR, "CNY", 1_000, -213)
    books.expect([("money", "cash / operator_payable", 1_000)], "operator.paid_back")
    assert refused(desk, paying_back(1), caller=PLATFORM).reason == "PAYMENT_REFERENCE_USED"
    error = refused(desk, paying_back(1, "out-1"), caller=PLATFORM)
    assert error.reason == "PAYMENT_REFERENCE_USED"
    assert isinstance(refused(desk, paying_back(0, "back-2"), caller=PLATFORM), InvalidInput)
    assert desk.do(paying_back(220, "back-2"), caller=PLATFORM) == Paid(OPERATOR, "CNY", 220, 7)
    assert desk.do(paying_out(7, "out-2"), caller=PLATFORM) == Paid(OPERATOR, "CNY", 7, 0)


@pytest.mark.parametrize("moved", [PayOutOperator, RecordOperatorPayment])
def test_operator_money_in_a_currency_without_lines(
    desk: Desk, moved: type[PayOutOperator | RecordOperatorPayment]
) -> None:
    """An operator is paid, and pays, only in a configured currency."""
    error = refused(desk, moved(OPERATOR, Money("EUR", 1), "out-1"), caller=PLATFORM)
    assert isinstance(error, InvalidInput)
    assert error.violations[0].field == "amount.currency_code"


@pytest.mark.parametrize("moved", [PayOutOperator, RecordOperatorPayment])
def test_money_of_an_unknown_operator(
    desk: Desk, moved: type[PayOutOperator | RecordOperatorPayment]
) -> None:
    """An operator that is not registered is NOT_FOUND."""
    command = moved("nobody", money(1), "out-1")
    assert refused(desk, command, caller=PLATFORM).reason == "OPERATOR_NOT_FOUND"
