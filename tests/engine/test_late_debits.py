"""A rail reports a debit as failed and later as succeeded: the money has moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Collection
from service.domain.errors import IllegalState
from service.engine import calls
from service.engine import operations as c
from service.engine.records.transfers import TransferRecord, TransferState
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
    refund,
    told,
    transfers,
    woken,
)
from tests.engine.calls import balances, pay, refused, rental, stored
from tests.fakes import START_US, Desk

REQUESTED, SENT = TransferState.REQUESTED, TransferState.SENT
SUCCEEDED, FAILED = TransferState.SUCCEEDED, TransferState.FAILED
CANCELLED = TransferState.CANCELLED
OWED_BACK = [("money", "cash / refund_payable", 1_250)]
PAID = [("money", "cash / receivable", 1_250), ("line", "available / drawn", 1_250)]


def say(desk: Desk, it: TransferRecord, state: TransferState, detail: str = "") -> TransferRecord:
    """Reports the rail's result of a transfer; returns the answer."""
    answer = desk.do(told(it, state, detail), caller=PLATFORM)
    assert isinstance(answer, TransferRecord)
    return answer


def failed_once(desk: Desk, user_id: str = "ann") -> tuple[Authorization, TransferRecord]:
    """A rental with a charge of 1,250, whose first debit was handed in and failed."""
    it = woken(desk, charged(desk, user_id), desk.clock.now_us() + HOUR_US)
    (debit,) = transfers(desk, it)
    say(desk, debit, SENT)
    say(desk, debit, FAILED, "no funds")
    return stored(desk, it), debit


def asked_twice(desk: Desk) -> tuple[Authorization, TransferRecord, TransferRecord]:
    """The same rental after dunning asked for the next debit."""
    it, first = failed_once(desk)
    it = woken(desk, it, START_US + 3 * DAY_US)
    _, second = transfers(desk, it)
    assert second.state is REQUESTED
    return it, first, second


def test_r1_a_success_after_the_failure_counts(desk: Desk) -> None:
    """R1: if a debit succeeds after its failure, the success is a payment of the due amount. The
    earlier result stays on record with its detail and instant."""
    it, debit = failed_once(desk)
    books = Books(desk)
    desk.clock.advance(desk.clock.now_us() + HOUR_US)
    answer = say(desk, debit, SUCCEEDED, "arrived")
    books.expect(PAID, "collection.payment_recorded")
    assert (answer.state, answer.detail, answer.change_us) == (
        SUCCEEDED, "arrived", START_US + 2 * HOUR_US,
    )  # fmt: skip
    earlier = (answer.earlier_state, answer.earlier_detail, answer.earlier_us)
    assert earlier == (FAILED, "no funds", START_US + HOUR_US)
    assert transfers(desk, it) == [answer]
    it = stored(desk, it)
    assert (it.collection, it.debiting_minor, it.wake_us) == (Collection.PAID, 0, None)
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_r1_a_repeated_late_success_counts_once(desk: Desk) -> None:
    """R1: repeating a late success, or the failure before it, changes nothing and gets the same
    answer, because a rail repeats unacknowledged results."""
    it, debit = failed_once(desk)
    first = say(desk, debit, SUCCEEDED)
    books = Books(desk)
    desk.clock.advance(desk.clock.now_us() + 5)
    for state in (SUCCEEDED, FAILED, SENT, SUCCEEDED):
        assert say(desk, debit, state, "again") == first
    books.expect([])
    assert stored(desk, it).received_minor == 1_250


def test_r1_a_success_is_final(desk: Desk) -> None:
    """R1: a failure after a success without an earlier failure is refused."""
    it = woken(desk, charged(desk), START_US + HOUR_US)
    (debit,) = transfers(desk, it)
    say(desk, debit, SUCCEEDED)
    assert refused(desk, told(debit, FAILED), caller=PLATFORM).reason == "TRANSFER_ENDED"
    (after,) = transfers(desk, it)
    assert (after.state, after.earlier_state) == (SUCCEEDED, None)


def test_r1_a_second_debit_is_owed_back(desk: Desk) -> None:
    """R1: when T1 fails, T2 is paid and then T1 succeeds, all of T1 is owed back and can be paid
    out."""
    it, first, second = asked_twice(desk)
    say(desk, second, SENT)
    say(desk, second, SUCCEEDED)
    books = Books(desk)
    say(desk, first, SUCCEEDED)
    books.expect(OWED_BACK, "collection.payment_recorded")
    it = stored(desk, it)
    assert (it.paid_minor, it.refund_payable_minor, it.received_minor) == (1_250, 1_250, 2_500)
    it = rental(desk, pay_out(it, 1_250), caller=PLATFORM)
    assert it.in_hand_minor == 1_250


def test_r1_a_requested_debit_is_cancelled(desk: Desk) -> None:
    """R1: a later debit in state REQUESTED is cancelled with the late success of the earlier one,
    and is not handed in."""
    it, first, second = asked_twice(desk)
    books = Books(desk)
    say(desk, first, SUCCEEDED)
    books.expect(PAID, "collection.payment_recorded", "collection.debit_cancelled")
    assert [each.state for each in transfers(desk, it)] == [SUCCEEDED, CANCELLED]
    assert stored(desk, it).debiting_minor == 0
    assert say(desk, second, SENT).state is CANCELLED
    assert desk.store.unsent_transfers(desk.clock.now_us(), 10) == []


def test_r1_a_debit_of_a_late_timer_is_cancelled(desk: Desk) -> None:
    """R1: if the next dunning step was due before the late success but had not run, its debit is
    requested as of the step's instant, and then cancelled."""
    it, first = failed_once(desk)
    desk.clock.advance(START_US + 3 * DAY_US)
    say(desk, first, SUCCEEDED)
    assert [each.state for each in transfers(desk, it)] == [SUCCEEDED, CANCELLED]
    it = stored(desk, it)
    assert (it.collection, it.debiting_minor) == (Collection.PAID, 0)


@pytest.mark.parametrize("word", [SUCCEEDED, FAILED])
def test_r1_a_sent_debit_stays_under_way(desk: Desk, word: TransferState) -> None:
    """R1: if the earlier debit succeeds, a later debit in state SENT stays under way, and no other
    debit is requested. If the later debit succeeds too, its whole amount is owed back; if it fails,
    it ends."""
    it, first, second = asked_twice(desk)
    say(desk, second, SENT)
    say(desk, first, SUCCEEDED)
    it = stored(desk, it)
    assert (it.due_minor, it.debiting_minor) == (0, 1_250)
    assert transfers(desk, it)[1].state is SENT
    books = Books(desk)
    say(desk, second, word)
    if word is SUCCEEDED:
        books.expect(OWED_BACK, "collection.payment_recorded")
    else:
        books.expect([], "collection.debit_failed")
    it = stored(desk, it)
    assert it.debiting_minor == 0
    assert it.refund_payable_minor == (1_250 if word is SUCCEEDED else 0)


def test_r1_a_smaller_debit_goes_on(desk: Desk) -> None:
    """R1: a later debit of less than what is due after the late success is handed in."""
    it = charged(desk)
    rental(desk, dispute(it, 1_000), caller=PLATFORM)
    it = woken(desk, it, START_US + HOUR_US)
    (first,) = transfers(desk, it)
    say(desk, first, FAILED)
    it = woken(desk, it, START_US + 3 * DAY_US)
    _, second = transfers(desk, it)
    rental(desk, decide_dispute(it, user_won=False), caller=PLATFORM)
    say(desk, first, SUCCEEDED)
    it = stored(desk, it)
    assert (it.due_minor, it.debiting_minor) == (1_000, 250)
    assert say(desk, second, SENT).state is SENT


def test_r1_every_debit_may_succeed_late(desk: Desk) -> None:
    """R1: when two failed debits both succeed later, the first pays and the second is owed back."""
    it, first, second = asked_twice(desk)
    say(desk, second, FAILED)
    say(desk, second, SUCCEEDED)
    say(desk, first, SUCCEEDED)
    it = stored(desk, it)
    assert (it.paid_minor, it.refund_payable_minor) == (1_250, 1_250)


def test_r1_a_success_of_a_cancelled_debit_counts(desk: Desk) -> None:
    """R1: a CANCELLED debit (on record as never handed in, for example after a restore) may still
    succeed: the money is owed back. A report of its failure changes nothing."""
    it = woken(desk, charged(desk), START_US + HOUR_US)
    (debit,) = transfers(desk, it)
    rental(desk, pay(it, 1_250), caller=PLATFORM)
    assert say(desk, debit, SENT).state is CANCELLED
    assert say(desk, debit, FAILED).state is CANCELLED
    books = Books(desk)
    answer = say(desk, debit, SUCCEEDED)
    books.expect(OWED_BACK, "collection.payment_recorded")
    assert (answer.state, answer.earlier_state) == (SUCCEEDED, CANCELLED)


def test_r1_a_success_after_the_write_off_is_a_recovery(desk: Desk) -> None:
    """R1: a late success recovers the amount written off: cash / recovery."""
    it, debit = failed_once(desk)
    rental(desk, propose(it), caller=PLATFORM)
    rental(desk, approve(it), caller=PLATFORM)
    books = Books(desk)
    say(desk, debit, SUCCEEDED)
    books.expect([("money", "cash / recovery", 1_250)], "collection.payment_recorded")


Calls = Callable[[Authorization], list[tuple[c.Command, str]]]
MEANWHILE: dict[str, Calls] = {
    "lowered": lambda it: [(lower(it, 1_250), it.operator_id)],
    "paid": lambda it: [(pay(it, 1_250), PLATFORM)],
    "paid elsewhere": lambda it: [(pay_elsewhere(it, 1_250), it.operator_id)],
    "disputed": lambda it: [(dispute(it, 1_250), PLATFORM)],
    "dispute won": lambda it: [
        (dispute(it, 1_250), PLATFORM),
        (decide_dispute(it, user_won=True), PLATFORM),
    ],
    "paid and refunded": lambda it: [(pay(it, 1_250), PLATFORM), (refund(it, 500), it.operator_id)],
    "charged back": lambda it: [(pay(it, 1_250), PLATFORM), (charge_back(it, 1_250), PLATFORM)],
    "charge-back won": lambda it: [
        (pay(it, 1_250), PLATFORM),
        (charge_back(it, 1_250), PLATFORM),
        (decide_charge_back(it, user_won=True), PLATFORM),
    ],
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_r1_a_success_with_nothing_due_is_owed_back(desk: Desk, what: str) -> None:
    """R1: when nothing is due any more, for whatever reason, the money is owed back."""
    it, debit = failed_once(desk)
    for command, caller in MEANWHILE[what](it):
        rental(desk, command, caller=caller)
    before = stored(desk, it)
    books = Books(desk)
    say(desk, debit, SUCCEEDED)
    books.expect(OWED_BACK, "collection.payment_recorded")
    assert stored(desk, it).refund_payable_minor == before.refund_payable_minor + 1_250


def test_r1_a_success_is_divided(desk: Desk) -> None:
    """R1: a late success pays the due amount, then the amount written off; the rest is owed
    back."""
    it, debit = failed_once(desk)
    rental(desk, dispute(it, 400), caller=PLATFORM)
    rental(desk, propose(it), caller=PLATFORM)
    rental(desk, approve(it), caller=PLATFORM)  # 850
    rental(desk, decide_dispute(it, user_won=False), caller=PLATFORM)
    rental(desk, pay(it, 100), caller=PLATFORM)
    rental(desk, lower(it, 50))
    books = Books(desk)
    say(desk, debit, SUCCEEDED)
    books.expect(
        [
            ("money", "cash / receivable", 250),
            ("line", "available / drawn", 250),
            ("money", "cash / recovery", 850),
            ("money", "cash / refund_payable", 150),
        ],
        "collection.payment_recorded",
    )


def test_r1_all_results_in_one_batch(desk: Desk) -> None:
    """R1: in one batch, the failures and the late successes of two people's debits, repeats of
    these reports, and the next dunning step each count once."""
    desk.put_user("dan", 700)
    rentals = [charged(desk, user_id) for user_id in ("ann", "dan")]
    rentals = [woken(desk, it, START_US + HOUR_US) for it in rentals]
    desk.clock.advance(START_US + 3 * DAY_US)
    works = []
    for it in rentals:
        (debit,) = transfers(desk, it)
        works += [
            desk.work(told(debit, state), caller=PLATFORM, request_id="")
            for state in (FAILED, SUCCEEDED, FAILED, SUCCEEDED)
        ]
        works.append(desk.work(c.Wake(it.user_id, it.authorization_id), request_id=""))
    results = desk.apply(*works)
    reasons = [it.reason if isinstance(it, IllegalState) else "" for it in results]
    assert reasons == [*[""] * 4, "NOTHING_TO_DO"] * 2
    for it in rentals:
        assert stored(desk, it).received_minor == 1_250
        assert [each.state for each in transfers(desk, it)] == [SUCCEEDED]


def test_r1_the_operators_payable_stays(desk: Desk) -> None:
    """R1: a late success does not change what the operator is owed, because Freehold bought the
    receivable."""
    it, first, second = asked_twice(desk)
    say(desk, second, SUCCEEDED)
    say(desk, first, SUCCEEDED)
    paid = desk.do(c.PayOutOperator(it.operator_id, money(1_213), "out"), caller=PLATFORM)
    assert isinstance(paid, calls.Paid)
    assert paid.payable_minor == 0
