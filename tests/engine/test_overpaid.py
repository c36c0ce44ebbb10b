"""R1 and R2: money that a person got twice, by a payout's late success or by the bank."""

from __future__ import annotations

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Collection, State
from service.domain.errors import InvalidInput
from service.engine.records.transfers import TransferRecord, TransferState
from tests.engine.acts import (
    Books,
    approve,
    charge_back,
    charged,
    decide_charge_back,
    pay_out,
    propose,
    refund,
    told,
    transfers,
)
from tests.engine.calls import authorize, confirm, line, pay, refused, rental, reverse, stored
from tests.engine.test_late_debits import say
from tests.engine.test_transitions_collection import paid
from tests.fakes import Desk

SENT, SUCCEEDED = TransferState.SENT, TransferState.SUCCEEDED
FAILED, RETURNED, CANCELLED = (
    TransferState.FAILED,
    TransferState.RETURNED,
    TransferState.CANCELLED,
)


def failed_payout(desk: Desk) -> tuple[Authorization, TransferRecord]:
    """A reversed rental whose deposit of 9,950 the rail could not pay out."""
    it = rental(desk, reverse(rental(desk, confirm(rental(desk, authorize("ben"))))))
    it = rental(desk, pay_out(it, 9_950))
    (payout,) = transfers(desk, it)
    say(desk, payout, SENT)
    say(desk, payout, FAILED, "account closed")
    return stored(desk, it), payout


def twice(desk: Desk) -> Authorization:
    """The same rental after a second payout was sent, and the first one succeeded late."""
    it, first = failed_payout(desk)
    rental(desk, pay_out(it, 9_950))
    say(desk, transfers(desk, it)[1], SENT)
    say(desk, first, SUCCEEDED)
    return stored(desk, it)


def test_r1_a_payout_succeeds_late(desk: Desk) -> None:
    """R1: a payout's success after its failure posts refund_payable / cash, and nothing is owed any
    more; the earlier result stays on record."""
    it, payout = failed_payout(desk)
    assert it.refund_payable_minor == 9_950
    books = Books(desk)
    answer = say(desk, payout, SUCCEEDED, "arrived")
    books.expect([("money", "refund_payable / cash", 9_950)], "collection.payout_succeeded_late")
    assert (answer.state, answer.earlier_state, answer.earlier_detail) == (
        SUCCEEDED, FAILED, "account closed",
    )  # fmt: skip
    it = stored(desk, it)
    assert (it.refund_payable_minor, it.paid_out_minor, it.overpaid_minor) == (0, 9_950, 0)


def test_r1_a_repeated_late_payout_counts_once(desk: Desk) -> None:
    """R1: repeating a payout's late success, or the failure before it, changes nothing."""
    _, payout = failed_payout(desk)
    first = say(desk, payout, SUCCEEDED)
    books = Books(desk)
    for state in (SUCCEEDED, FAILED, SENT):
        assert say(desk, payout, state, "again") == first
    books.expect([])


def test_r1_a_retry_not_handed_in_is_cancelled(desk: Desk) -> None:
    """R1: a second payout in state REQUESTED is cancelled (cash / refund_payable) before the first
    one's late success counts, and is not handed in."""
    it, first = failed_payout(desk)
    rental(desk, pay_out(it, 9_950))
    books = Books(desk)
    say(desk, first, SUCCEEDED)
    books.expect(
        [
            ("money", "cash / refund_payable", 9_950),
            ("money", "refund_payable / cash", 9_950),
        ],
        "collection.payout_cancelled",
        "collection.payout_succeeded_late",
    )
    assert [each.state for each in transfers(desk, it)] == [SUCCEEDED, CANCELLED]
    assert desk.store.unsent_transfers(desk.clock.now_us(), 10) == []
    assert stored(desk, it).overpaid_minor == 0


def test_r1_only_as_many_retries_are_cancelled_as_needed(desk: Desk) -> None:
    """R1: of two payouts not handed in, only the newest is cancelled if that is enough."""
    it, first = failed_payout(desk)
    it = rental(desk, pay_out(it, 9_950))
    (_, second) = transfers(desk, it)
    say(desk, second, SENT)
    say(desk, second, FAILED)
    it = rental(desk, pay_out(stored(desk, it), 4_000))
    rental(desk, pay_out(it, 5_950))
    say(desk, first, SUCCEEDED)
    states = [each.state for each in transfers(desk, it)]
    assert states == [SUCCEEDED, FAILED, CANCELLED, CANCELLED]
    it = stored(desk, it)
    assert (it.refund_payable_minor, it.paid_out_minor, it.overpaid_minor) == (0, 9_950, 0)


def test_r1_one_batch_reports_the_failure_and_the_success(desk: Desk) -> None:
    """R1: the bank took 9,950 back that had been paid out. A payout of 5,950 fails, which lowers
    the overpaid amount. If the same batch reports its success, the payout of 4,000 that was not
    handed in is cancelled too, and the person got 5,950 twice."""
    it, _ = failed_payout(desk)
    it = rental(desk, pay_out(it, 4_000))
    it = rental(desk, pay_out(it, 5_950))
    sent = transfers(desk, it)[2]
    say(desk, sent, SENT)
    it = rental(desk, charge_back(stored(desk, it), 9_950))
    it = rental(desk, decide_charge_back(it, user_won=True))
    assert (it.refund_payable_minor, it.overpaid_minor) == (0, 9_950)
    desk.apply(*(desk.work(told(sent, state), caller=PLATFORM) for state in (FAILED, SUCCEEDED)))
    assert [each.state for each in transfers(desk, it)] == [FAILED, CANCELLED, SUCCEEDED]
    it = stored(desk, it)
    assert (it.refund_payable_minor, it.overpaid_minor) == (0, 5_950)


def test_r1_a_second_payout_was_sent(desk: Desk) -> None:
    """R1: when a second payout was sent and the first succeeds late, the person got the money
    twice: overpaid / cash."""
    it, first = failed_payout(desk)
    rental(desk, pay_out(it, 9_950))
    say(desk, transfers(desk, it)[1], SENT)
    books = Books(desk)
    say(desk, first, SUCCEEDED)
    books.expect([("money", "overpaid / cash", 9_950)], "collection.payout_succeeded_late")
    it = stored(desk, it)
    assert (it.collection, it.overpaid_minor, it.paid_out_minor) == (
        Collection.OVERPAID, 9_950, 19_900,
    )  # fmt: skip
    assert line(desk, "ben").overpaid_minor == 9_950


def test_r1_the_second_payout_fails_after_all(desk: Desk) -> None:
    """R1: when the second payout then fails, its amount is set off at once: refund_payable /
    overpaid."""
    it = twice(desk)
    books = Books(desk)
    say(desk, transfers(desk, it)[1], FAILED)
    books.expect(
        [
            ("money", "cash / refund_payable", 9_950),
            ("money", "refund_payable / overpaid", 9_950),
        ],
        "collection.payout_failed",
    )
    it = stored(desk, it)
    assert (it.overpaid_minor, it.refund_payable_minor, it.paid_out_minor) == (0, 0, 9_950)


def test_r1_a_late_payout_comes_back(desk: Desk) -> None:
    """R1: a payout that succeeded late may still be returned. Then it is owed again, less the
    amount that went out twice."""
    it = twice(desk)
    say(desk, transfers(desk, it)[0], RETURNED)
    it = stored(desk, it)
    assert (it.overpaid_minor, it.refund_payable_minor, it.paid_out_minor) == (0, 0, 9_950)


def test_r1_overpaid_is_paid_back(desk: Desk) -> None:
    """R1: a payment pays an overpaid amount back (cash / overpaid); more than that is owed back."""
    it = twice(desk)
    it = Books(desk).step(
        pay(it, 10_000),
        [("money", "cash / overpaid", 9_950), ("money", "cash / refund_payable", 50)],
        "collection.payment_recorded",
    )
    assert (it.overpaid_minor, it.refund_payable_minor, it.received_minor) == (0, 50, 19_950)


def test_r1_overpaid_is_written_off_by_two(desk: Desk) -> None:
    """R1: an overpaid amount is written off by two persons: credit_loss / allowance, allowance /
    overpaid; the limit stays, and is not fixed."""
    it = twice(desk)
    it = rental(desk, propose(it))
    assert it.write_off_minor == 9_950
    assert refused(desk, approve(it, by=it.write_off_by)).reason == "SECOND_PERSON_NEEDED"
    it = Books(desk).step(
        approve(it),
        [
            ("money", "credit_loss / allowance", 9_950),
            ("money", "allowance / overpaid", 9_950),
        ],
        "collection.overpaid_written_off",
    )
    assert (it.overpaid_minor, it.overpaid_written_off_minor) == (0, 9_950)
    assert (line(desk, "ben").limit_fixed, it.state) == (False, State.REVERSED)


def refunded_and_out(desk: Desk) -> Authorization:
    """A rental of 1,250 that was paid, refunded in whole, and paid out."""
    return rental(desk, pay_out(rental(desk, refund(paid(desk), 1_250)), 1_250))


def test_r2_a_bank_takes_back_what_went_out(desk: Desk) -> None:
    """R2: a bank may take back a payment after its refund went out: receivable_charged_back / cash;
    overturned, it posts the reverse."""
    it = refunded_and_out(desk)
    books = Books(desk)
    taken = [("money", "receivable_charged_back / cash", 1_250)]
    it = books.step(charge_back(it, 1_250), taken, "collection.charged_back")
    assert it.collection is Collection.DISPUTED
    assert isinstance(refused(desk, charge_back(it, 1, "bank-2")), InvalidInput)
    it = books.step(
        decide_charge_back(it, user_won=False),
        [("money", "cash / receivable_charged_back", 1_250)],
        "collection.charge_back_overturned",
    )
    assert (it.overpaid_minor, it.received_minor) == (0, 1_250)


def test_r2_no_operator_pays_what_went_out(desk: Desk) -> None:
    """R2: if the person keeps a charge-back after its refund went out, the posting is overpaid /
    receivable_charged_back, and the operator keeps its balance."""
    it = rental(desk, charge_back(refunded_and_out(desk), 1_250))
    it = Books(desk).step(
        decide_charge_back(it, user_won=True),
        [("money", "overpaid / receivable_charged_back", 1_250)],
        "collection.charge_back_won",
    )
    assert (it.overpaid_minor, it.refunded_minor, it.conceded_minor) == (1_250, 1_250, 1_250)


def test_r2_only_the_part_that_went_out_is_overpaid(desk: Desk) -> None:
    """R2: a bank takes back 1,250, of which 450 were refunded and have gone out. The operator bears
    800, and the person got 450 twice."""
    it = rental(desk, pay_out(rental(desk, refund(paid(desk), 450)), 450))
    it = rental(desk, charge_back(it, 1_250))
    it = Books(desk).step(
        decide_charge_back(it, user_won=True),
        [
            ("money", "operator_payable / receivable_charged_back", 776),
            ("money", "fee_income / receivable_charged_back", 24),
            ("money", "overpaid / receivable_charged_back", 450),
        ],
        "collection.charge_back_won",
    )
    assert (it.overpaid_minor, it.conceded_minor) == (450, 1_250)


def test_r2_a_refund_is_set_off(desk: Desk) -> None:
    """R2: a later refund is set off against the amount that the person got twice, before anything
    goes out."""
    it = rental(desk, pay(charged(desk), 2_000))
    it = rental(desk, pay_out(it, 750))
    it = rental(desk, charge_back(it, 2_000))
    it = rental(desk, decide_charge_back(it, user_won=True))
    assert (it.overpaid_minor, it.refundable_minor) == (750, 0)
    it = rental(desk, pay(it, 1_000, reference="pay-2"))
    assert (it.overpaid_minor, it.refund_payable_minor) == (0, 250)
