"""R1 and R2: money that a person got twice and that comes back after its write-off."""

from __future__ import annotations

import pytest

from service.domain import collection
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.errors import InvalidInput
from service.domain.money import Money
from service.domain.suspense import Direction
from service.engine import operations as c
from service.engine.records.transfers import TransferState
from tests.engine.acts import (
    Books,
    approve,
    charge_back,
    charged,
    decide_charge_back,
    pay_out,
    propose,
    refund,
    transfers,
    woken,
)
from tests.engine.calls import authorize, confirm, pay, rental, reverse, stored
from tests.engine.test_late_debits import say
from tests.fakes import Desk

SENT, SUCCEEDED = TransferState.SENT, TransferState.SUCCEEDED
FAILED, RETURNED = TransferState.FAILED, TransferState.RETURNED
LOST = ("money", "refund_payable / recovery", 800)
CAME = ("money", "cash / refund_payable", 800)


def written_off(desk: Desk, amount_minor: int = 800) -> Authorization:
    """A rental whose refund of 800 went out twice, after the write-off of the second one."""
    it = charged(desk, amount_minor=amount_minor)
    it = rental(desk, refund(rental(desk, pay(it, amount_minor)), 800))
    it = rental(desk, pay_out(it, 800))
    (first,) = transfers(desk, it)
    say(desk, first, SENT)
    say(desk, first, FAILED)
    it = rental(desk, pay_out(stored(desk, it), 800))
    say(desk, transfers(desk, it)[1], SENT)
    say(desk, transfers(desk, it)[1], SUCCEEDED)
    say(desk, first, SUCCEEDED)
    it = rental(desk, approve(rental(desk, propose(stored(desk, it)))))
    assert (it.overpaid_minor, it.overpaid_written_off_minor, it.paid_out_minor) == (0, 800, 1_600)
    return it


def settled_for_good(desk: Desk, it: Authorization) -> None:
    """Nothing is owed either way, and no timer pays out again."""
    it = stored(desk, it)
    assert (it.refund_payable_minor, it.overpaid_minor, it.overpaid_written_off_minor) == (0, 0, 0)
    assert (it.refund_since_us, it.wake_us) == (None, None)


def test_r1_a_payment_pays_a_written_off_overpaid_amount(desk: Desk) -> None:
    """R1: an overpaid amount of 800 is written off, and then 1,000 are paid. Of these, 800 are
    recovered (refund_payable / recovery), 200 are owed back, and only the 200 go out by time."""
    it = written_off(desk)
    it = Books(desk).step(
        pay(it, 1_000, reference="back"),
        [("money", "cash / refund_payable", 1_000), LOST],
        "collection.payment_recorded",
    )
    assert (it.refund_payable_minor, it.overpaid_written_off_minor) == (200, 0)
    assert it.wake_us is not None
    woken(desk, it, it.wake_us)
    assert [each.amount_minor for each in transfers(desk, it)] == [800, 800, 200]


def test_r1_a_payout_that_returns_pays_a_written_off_overpaid_amount(desk: Desk) -> None:
    """R1: if a payout of 800 returns after its write-off, the 800 are no loss any more (cash /
    refund_payable, refund_payable / recovery). They do not go out again."""
    it = written_off(desk)
    books = Books(desk)
    say(desk, transfers(desk, it)[1], RETURNED)
    books.expect([CAME, LOST], "collection.payout_returned")
    settled_for_good(desk, it)


def test_r1_a_refund_pays_a_written_off_overpaid_amount(desk: Desk) -> None:
    """R1: an operator that refunds 300 more after the write-off of 800 overpaid leaves 500 of the
    write-off, and nothing goes out."""
    it = rental(desk, refund(written_off(desk, 1_250), 300))
    assert (it.refund_payable_minor, it.overpaid_written_off_minor) == (0, 500)
    assert it.wake_us is None


def test_r1_a_deposit_pays_a_written_off_overpaid_amount(desk: Desk) -> None:
    """R1: the deposit of a closed reservation, 9,950, went out twice, and was written off once. A
    payment of 9,950 pays for that write-off, although nothing was captured."""
    it = rental(desk, reverse(rental(desk, confirm(rental(desk, authorize("ben"))))))
    it = rental(desk, pay_out(it, 9_950))
    (first,) = transfers(desk, it)
    say(desk, first, SENT)
    say(desk, first, FAILED)
    rental(desk, pay_out(it, 9_950))
    say(desk, transfers(desk, it)[1], SENT)
    say(desk, first, SUCCEEDED)
    it = rental(desk, approve(rental(desk, propose(stored(desk, it)))))
    Books(desk).step(
        pay(it, 9_950, reference="back"),
        [
            ("money", "cash / refund_payable", 9_950),
            ("money", "refund_payable / recovery", 9_950),
        ],
        "collection.payment_recorded",
    )
    settled_for_good(desk, it)


def test_r2_a_payment_pays_a_lost_double_charge_back(desk: Desk) -> None:
    """R2: a bank takes back 800 after their refund, and the 800 are written off. When the person
    pays them, they are recovered, and nothing is owed back."""
    it = rental(desk, refund(rental(desk, pay(charged(desk, amount_minor=800), 800)), 800))
    it = rental(desk, charge_back(rental(desk, pay_out(it, 800)), 800))
    it = rental(desk, decide_charge_back(it, user_won=True))
    it = rental(desk, approve(rental(desk, propose(it))))
    assert it.overpaid_written_off_minor == 800
    Books(desk).step(pay(it, 800, reference="back"), [CAME, LOST], "collection.payment_recorded")
    settled_for_good(desk, it)


def test_r1_money_in_suspense_pays_a_written_off_overpaid_amount(desk: Desk) -> None:
    """R1: money in suspense that two people match to the rental pays the write-off too: suspense /
    refund_payable, refund_payable / recovery."""
    it = written_off(desk)
    money = Money(it.currency, 800)
    desk.do(c.RecordUnmatched(Direction.IN, money, "unknown-1"), caller=PLATFORM)
    books = Books(desk)
    for by in ("key-1", "key-2"):
        match = c.MatchSuspense("unknown-1", money, by, it.user_id, it.authorization_id)
        desk.do(match, caller=PLATFORM)
    books.expect([("money", "suspense / refund_payable", 800), LOST], "collection.payment_recorded")
    settled_for_good(desk, it)


@pytest.mark.parametrize("owed_minor", [300, 800, 1_000])
def test_r1_an_earlier_build_owed_back_what_pays_the_write_off(desk: Desk, owed_minor: int) -> None:
    """R1: an earlier build owed an amount back beside a write-off of 800. When the refund is due,
    the amount first pays the 800, and PayOutRefund allows at most the rest."""
    it = written_off(desk)._replace(
        refund_payable_minor=owed_minor, received_minor=800 + owed_minor, refund_since_us=1
    )
    step = collection.refund_by_time(it, 2)
    assert (step.transition, step.transfer) == ("collection.set_off", None)
    after = step.authorization
    assert after.refund_payable_minor == max(0, owed_minor - 800)
    assert after.overpaid_written_off_minor == max(0, 800 - owed_minor)
    most_minor = max(0, owed_minor - 800)
    with pytest.raises(InvalidInput):
        collection.pay_out(it, most_minor + 1, 2)
    if most_minor:
        out = collection.pay_out(it, most_minor, 2).authorization
        assert (out.refund_payable_minor, out.overpaid_written_off_minor) == (0, 0)
