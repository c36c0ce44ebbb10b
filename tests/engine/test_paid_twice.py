"""R1: a charge that a person paid twice, by the payment rail and to the operator."""

from __future__ import annotations

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Collection
from service.domain.errors import InvalidInput
from service.domain.money import Money
from service.engine import operations as c
from service.engine.records.transfers import TransferState
from tests.engine.acts import (
    Books,
    approve,
    charge_back,
    charged,
    decide_charge_back,
    pay_elsewhere,
    pay_out,
    propose,
    transfers,
    woken,
)
from tests.engine.calls import pay, refused, rental, stored
from tests.engine.test_late_debits import say
from tests.fakes import Desk

SENT, SUCCEEDED = TransferState.SENT, TransferState.SUCCEEDED
OWED_BACK = ("money", "operator_payable / refund_payable", 1_250)


def debited(desk: Desk) -> Authorization:
    """A charge of 1,250 with a debit at the rail."""
    it = charged(desk)
    assert it.wake_us is not None
    it = woken(desk, it, it.wake_us)
    say(desk, transfers(desk, it)[0], SENT)
    return stored(desk, it)


def test_r1_debited_and_then_paid_to_the_operator(desk: Desk) -> None:
    """R1: 1,250 that the operator got after the debit of 1,250 are owed by the operator and to the
    person: operator_payable / refund_payable. They go out by time."""
    it = debited(desk)
    say(desk, transfers(desk, it)[0], SUCCEEDED)
    it = Books(desk).step(
        pay_elsewhere(stored(desk, it), 1_250, "till-1"), [OWED_BACK], "collection.paid_elsewhere"
    )
    assert (it.refund_payable_minor, it.paid_minor, it.elsewhere_minor) == (1_250, 1_250, 1_250)
    assert (it.fee_minor, it.collection) == (37, Collection.REFUND_PENDING)
    assert it.wake_us is not None
    it = woken(desk, it, it.wake_us)
    assert [each.amount_minor for each in transfers(desk, it)] == [1_250, 1_250]
    assert isinstance(refused(desk, pay_elsewhere(it, 1, "till-2")), InvalidInput)


def test_r1_the_order_does_not_decide(desk: Desk) -> None:
    """R1: if the payments are reported in the other order, the same amounts are owed to the person
    and by the operator."""
    first, second = debited(desk), charged(desk)
    rental(desk, pay_elsewhere(first, 1_250, "till-1"))
    say(desk, transfers(desk, first)[0], SUCCEEDED)
    rental(desk, pay_elsewhere(rental(desk, pay(second, 1_250)), 1_250, "till-2"))
    amounts = [
        (it.refund_payable_minor, it.paid_minor, it.received_minor, it.elsewhere_minor,
         it.fee_minor, it.conceded_minor)
        for it in (stored(desk, first), stored(desk, second))
    ]  # fmt: skip
    assert amounts == [(1_250, 1_250, 1_250, 1_250, 37, 0)] * 2


def test_r1_a_part_pays_what_is_due_first(desk: Desk) -> None:
    """R1: 400 of 1,250 were paid by the rail, and then the operator got 1,000. Of these, 850 pay
    the due amount and 150 are owed back. A report of 251 more is refused, because only 250 are left
    of the charge."""
    it = rental(desk, pay(charged(desk), 400))
    it = Books(desk).step(
        pay_elsewhere(it, 1_000, "till-1"),
        [
            ("money", "operator_payable / receivable", 850),
            ("line", "available / drawn", 850),
            ("money", "operator_payable / refund_payable", 150),
        ],
        "collection.paid_elsewhere",
    )
    assert isinstance(refused(desk, pay_elsewhere(it, 251, "till-2")), InvalidInput)
    assert rental(desk, pay_elsewhere(it, 250, "till-2")).refund_payable_minor == 400


def test_r1_paid_to_the_operator_after_the_write_off(desk: Desk) -> None:
    """R1: of 1,250, 500 were paid by the rail and 750 were written off. A report of 501 paid to the
    operator is refused. A report of 500 pays for the write-off: operator_payable / recovery."""
    it = rental(desk, pay(charged(desk), 500))
    it = rental(desk, approve(rental(desk, propose(it))))
    assert isinstance(refused(desk, pay_elsewhere(it, 501, "till-1")), InvalidInput)
    it = Books(desk).step(
        pay_elsewhere(it, 500, "till-1"),
        [("money", "operator_payable / recovery", 500)],
        "collection.paid_elsewhere",
    )
    assert (it.unrecovered_minor, it.refund_payable_minor) == (250, 0)


def test_r2_a_bank_takes_back_the_payment_that_was_paid_back(desk: Desk) -> None:
    """R2: a payment of 1,250 was refunded because the operator had got the amount too. If the bank
    then takes back this payment, the person got 1,250 twice, and the operator keeps the charge."""
    it = rental(desk, pay_elsewhere(rental(desk, pay(charged(desk), 1_250)), 1_250, "till-1"))
    it = rental(desk, charge_back(rental(desk, pay_out(it, 1_250)), 1_250))
    it = Books(desk).step(
        decide_charge_back(it, user_won=True),
        [("money", "overpaid / receivable_charged_back", 1_250)],
        "collection.charge_back_won",
    )
    assert (it.overpaid_minor, it.conceded_minor) == (1_250, 0)


def test_r9_a_debt_paid_by_the_rail_and_to_the_operator(desk: Desk) -> None:
    """R9: 600 of a debt of 1,000 were paid by the rail, and then the operator got 1,000. Of these,
    400 pay the debt, less the commission, and 600 are owed back."""
    booked = c.BookDebt(*it_of(charged(desk)), Money("CNY", 1_000), "dent", "photo")
    it = rental(desk, pay(rental(desk, booked), 600))
    it = Books(desk).step(
        pay_elsewhere(it, 1_000, "till-1"),
        [
            ("money", "operator_payable / receivable_unheld", 400),
            ("money", "operator_deferred / operator_payable", 388),
            ("money", "operator_deferred / fee_income", 12),
            ("money", "operator_payable / refund_payable", 600),
        ],
        "collection.paid_elsewhere",
    )
    assert (it.refund_payable_minor, it.captured_minor, it.fee_minor) == (600, 1_000, 30)


def it_of(it: Authorization) -> tuple[str, str]:
    return it.user_id, it.authorization_id


def test_r1_what_the_operator_got_is_set_off_against_an_overpaid_amount(desk: Desk) -> None:
    """R1: a person still has 1,250 that went out twice. The 1,250 that the operator got pay for
    them: operator_payable / refund_payable, refund_payable / overpaid."""
    it = rental(desk, pay_elsewhere(rental(desk, pay(charged(desk), 1_250)), 500, "till-1"))
    it = rental(desk, charge_back(rental(desk, pay_out(it, 500)), 1_250))
    it = rental(desk, decide_charge_back(it, user_won=True), caller=PLATFORM)
    assert it.overpaid_minor == 500
    books = Books(desk)
    it = books.step(
        pay_elsewhere(it, 750, "till-2"),
        [
            ("money", "operator_payable / refund_payable", 750),
            ("money", "refund_payable / overpaid", 500),
        ],
        "collection.paid_elsewhere",
    )
    assert (it.refund_payable_minor, it.overpaid_minor) == (250, 0)
