"""R2 and R14: charge-backs are cases of a bank, decided once and reopened under their id; money
that matches nothing is in suspense until it is matched."""

from __future__ import annotations

from typing import Any

import pytest
from freehold.v1 import charge_back_pb2 as pb
from sqlalchemy import text

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Collection
from service.domain.charge_backs import CaseState, ChargeBack
from service.domain.errors import IllegalState, InvalidInput
from service.domain.suspense import Direction, SuspenseItem
from service.engine import operations as c
from service.engine.calls import ChargedBack, Corrected, Matched
from service.engine.records.transfers import TransferState
from service.storage.charge_backs import ChargeBackLists
from tests.engine import acts
from tests.engine.acts import Books, money
from tests.engine.calls import authorize, confirm, pay, refused, rental, reverse, settle, stored
from tests.engine.test_transitions_return import missing
from tests.fakes import Desk
from tests.operations.call import AMOUNT, REPORTED, Call
from tests.rpc import ready
from tests.rpc.support import Desks, yuan

IN, OUT = Direction.IN, Direction.OUT
TAKEN = "receivable_charged_back / cash"
BACK = "cash / receivable_charged_back"


def _is_matched(desk: Desks, request: Any) -> None:
    """Gives a match money that a bank took back, and the payment of a rental."""
    caller, rented = desk.platform, ready.settled(desk)
    request.payment_reference, request.payment = caller.fresh("unknown"), caller.fresh("pay")
    caller.call(
        "RecordUnmatched",
        direction=pb.SUSPENSE_DIRECTION_OUT,
        payment_reference=request.payment_reference,
        amount=yuan(200),
    )
    caller.call(
        "RecordPayment",
        authorization=rented.name,
        payment_reference=request.payment,
        amount=yuan(200),
    )
    request.name = rented.name


def _comes_in(desk: Desks, request: Any) -> None:
    request.direction = pb.SUSPENSE_DIRECTION_IN
    request.payment_reference = desk.platform.fresh("unknown")


CALLS = (
    Call(
        method="RecordUnmatched",
        scope="disputes.write",
        required=frozenset({"direction", "amount", "payment_reference"}),
        parts=({**REPORTED, "direction": pb.SUSPENSE_DIRECTION_OUT},),
        fill=_comes_in,
        unraced="its reference counts once, as that of the race `payment` does",
    ),
    Call(
        method="MatchSuspense",
        scope="disputes.write",
        required=frozenset({"amount", "payment_reference"}),
        parts=(
            {
                **AMOUNT,
                "payment_reference": "odd-1",
                "name": f"users/somebody/authorizations/{'0' * 20}",
                "payment": "pay-7",
                "owner": "operators/city",
            },
        ),
        fill=_is_matched,
        race="suspense",
    ),
)


# -- acts -----------------------------------------------------------------------------------------


def took(
    it: Authorization, amount_minor: int, case_id: str = "case-1", payment: str = "pay-9"
) -> c.RecordChargeBack:
    """The bank took a payment back."""
    return c.RecordChargeBack(*acts.name(it), case_id, money(amount_minor), payment=payment)


def decides(
    it: Authorization, case_id: str = "case-1", *, user_won: bool, goodwill: bool = False
) -> c.ResolveChargeBack:
    """One case is decided."""
    return c.ResolveChargeBack(*acts.name(it), user_won, goodwill, case_id=case_id)


def unmatched(
    amount_minor: int, direction: Direction = IN, reference: str = "odd-1"
) -> c.RecordUnmatched:
    """Money that matches nothing."""
    return c.RecordUnmatched(direction, money(amount_minor), reference)


def match(
    amount_minor: int,
    it: Authorization | None = None,
    *,
    by: str = "key-1",
    reference: str = "odd-1",
    payment: str = "",
) -> c.MatchSuspense:
    """A match to a payment of a rental, or back to the rail."""
    named = ("", "") if it is None else acts.name(it)
    return c.MatchSuspense(reference, money(amount_minor), by, *named, payment)


def did(desk: Desk, command: c.Command) -> Any:
    """The answer to the platform."""
    return desk.do(command, caller=PLATFORM)


def case(desk: Desk, it: Authorization, case_id: str = "case-1") -> ChargeBack:
    """One charge-back as it is stored."""
    found = desk.store.told(it.user_id, it.authorization_id)
    assert found is not None
    return next(one for one in found.charge_backs if one.case_id == case_id)


def paid(desk: Desk, amount_minor: int = 800, user_id: str = "ann") -> Authorization:
    """A settled rental, paid in whole."""
    it = acts.charged(desk, user_id, amount_minor)
    return rental(desk, pay(it, amount_minor), caller=PLATFORM)


def given_back(desk: Desk) -> Authorization:
    """A rental of which 800 were paid, refunded and paid out."""
    it = rental(desk, acts.refund(paid(desk), 800))
    return rental(desk, acts.pay_out(it, 800), caller=PLATFORM)


def books(
    desk: Desk,
    command: c.Command,
    rows: list[tuple[str, str, int]],
    transition: str,
) -> Authorization:
    """The authorization after a command of the platform with exactly these postings."""
    return Books(desk).step(command, rows, transition, caller=PLATFORM)


def suspended(desk: Desk) -> int:
    """The balance of the account `suspense`, as a debit."""
    with desk.store.engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT sum(CASE WHEN debit = 'suspense' THEN amount_minor ELSE -amount_minor END)"
                " FROM entries WHERE debit = 'suspense' OR credit = 'suspense'"
            )
        ).scalar()
    return int(found or 0)


# -- R2: recording --------------------------------------------------------------------------------


def test_r2_a_charge_back_names_its_payment(desk: Desk) -> None:
    """R2: a charge-back of x posts receivable_charged_back x / cash x, and is a case of the bank
    that names the payment."""
    it = books(desk, took(paid(desk), 800), [("money", TAKEN, 800)], "collection.charged_back")
    found = case(desk, it)
    assert (found.state, found.payment, found.charged_minor) == (CaseState.OPEN, "pay-9", 800)
    assert (found.suspense_minor, found.gone_out_minor) == (0, 0)
    assert it.charged_back_minor == 800


def test_r2_a_bank_takes_back_refunded_money(desk: Desk) -> None:
    """R2: money that was refunded and has gone out is charged back in whole, flagged DOUBLE; when
    the case is lost, overpaid 800 / receivable_charged_back 800, and no operator pays."""
    it = given_back(desk)
    it = books(desk, took(it, 800), [("money", TAKEN, 800)], "collection.charged_back")
    assert case(desk, it).gone_out_minor == 800
    lost = [("money", "overpaid / receivable_charged_back", 800)]
    it = books(desk, decides(it, user_won=True), lost, "collection.charge_back_won")
    assert (it.overpaid_minor, it.collection) == (800, Collection.OVERPAID)
    found = case(desk, it)
    assert (found.state, found.overpaid_minor) == (CaseState.LOST, 800)


def test_r2_a_part_that_has_gone_out_is_double(desk: Desk) -> None:
    """R2: of 800, 300 were refunded and have gone out: 300 of a charge-back of 800 are DOUBLE."""
    it = rental(desk, acts.refund(paid(desk), 300))
    it = rental(desk, acts.pay_out(it, 300), caller=PLATFORM)
    did(desk, took(it, 800))
    assert case(desk, it).gone_out_minor == 300


def test_r2_above_the_payment_is_in_suspense(desk: Desk) -> None:
    """R2: a charge-back of 1,000 of a payment of 800 posts receivable_charged_back 800 / cash and
    suspense 200 / cash."""
    posted = [("money", TAKEN, 800), ("money", "suspense / cash", 200)]
    it = books(desk, took(paid(desk), 1_000), posted, "collection.charged_back")
    assert (it.charged_back_minor, suspended(desk)) == (800, 200)
    found = case(desk, it)
    assert (found.amount_minor, found.suspense_minor, found.open_minor) == (1_000, 200, 800)


def test_r2_an_unknown_payment_is_in_suspense(desk: Desk) -> None:
    """R2: a charge-back of a payment that is not of the rental posts suspense x / cash x, and no
    decision is needed."""
    posted = [("money", "suspense / cash", 500)]
    it = books(desk, took(paid(desk), 500, payment="nobody-1"), posted, "collection.charged_back")
    assert (it.charged_back_minor, case(desk, it).state) == (0, CaseState.UNMATCHED)
    refusal = refused(desk, decides(it, user_won=True), caller=PLATFORM)
    assert refusal.reason == "CHARGE_BACK_DECIDED"


def test_r2_a_payment_elsewhere_was_never_at_the_bank(desk: Desk) -> None:
    """R2: a payment to the operator did not come by the rail, so no bank can take it back. A
    charge-back that names this payment is in suspense."""
    it = rental(desk, acts.pay_elsewhere(acts.charged(desk, amount_minor=800), 800, "till-1"))
    did(desk, took(it, 800, payment="till-1"))
    assert case(desk, it).suspense_minor == 800


def test_r2_several_cases_go_up_to_one_payment(desk: Desk) -> None:
    """R2: several cases of one payment go up to its amount together; the rest of the last one is in
    suspense. What came back may be taken again."""
    it = paid(desk)
    did(desk, took(it, 500, "case-1"))
    did(desk, took(it, 500, "case-2"))
    assert case(desk, it, "case-2").suspense_minor == 200
    did(desk, decides(it, "case-1", user_won=False))
    did(desk, took(it, 600, "case-3"))
    found = case(desk, it, "case-3")
    assert (found.open_minor, found.suspense_minor) == (500, 100)


def test_r2_another_payment_has_its_own_limit(desk: Desk) -> None:
    """R2: a charge-back is at most the payment that it names, even if more money came by the
    rail."""
    it = acts.charged(desk, amount_minor=800)
    rental(desk, pay(it, 300, reference="pay-1"), caller=PLATFORM)
    rental(desk, pay(it, 500, reference="pay-2"), caller=PLATFORM)
    did(desk, took(it, 500, payment="pay-1"))
    assert case(desk, it).open_minor == 300
    did(desk, took(it, 100, "case-2", payment="pay-1"))
    assert case(desk, it, "case-2").suspense_minor == 100


def test_r2_a_debit_is_named_by_its_transfer(desk: Desk) -> None:
    """R2: the rail knows a debit by the id of its transfer."""
    it = acts.woken(desk, acts.charged(desk, amount_minor=800), desk.clock.now_us() + acts.HOUR_US)
    (debit,) = acts.transfers(desk, it)
    did(desk, acts.told(debit, TransferState.SUCCEEDED))
    did(desk, took(it, 800, payment=debit.transfer_id))
    assert case(desk, it).open_minor == 800


def test_r2_a_deposit_is_charged_back(desk: Desk) -> None:
    """R2: a deposit that the operator reported is a payment that a bank can take back."""
    it = rental(desk, confirm(rental(desk, authorize("ben"))))
    with desk.store.engine.connect() as connection:
        reference = connection.scalar(text("SELECT payment_reference FROM payments"))
    it = rental(desk, took(it, 9_950, payment=str(reference)), caller=PLATFORM)
    it = books(
        desk,
        decides(it, user_won=True),
        [("money", "deposit / receivable_charged_back", 9_950)],
        "collection.charge_back_won",
    )
    assert (it.held_cash_minor, case(desk, it).held_minor) == (0, 9_950)


def test_r2_a_case_is_recorded_once(desk: Desk) -> None:
    """R2 and R10: the same case again with a fresh request id is refused, and names the first."""
    it = paid(desk)
    did(desk, took(it, 300))
    refusal = refused(desk, took(it, 300), caller=PLATFORM)
    assert refusal.reason == "BUSINESS_REFERENCE_REUSED"
    assert refusal.metadata == {"business_reference": "case-1", "charge_back": "case-1"}
    assert stored(desk, it).charged_back_minor == 300


def test_r2_a_call_without_a_payment_goes_on(desk: Desk) -> None:
    """R2: a client of an earlier build names no payment. Its case is at most the amount that came
    by the rail; a larger amount is refused."""
    it = paid(desk)
    assert isinstance(refused(desk, took(it, 801, payment=""), caller=PLATFORM), InvalidInput)
    answer = did(desk, took(it, 800, payment=""))
    assert isinstance(answer, ChargedBack)
    assert (answer.charge_back.payment, answer.charge_back.open_minor) == ("", 800)
    again = refused(desk, took(it, 800, payment=""), caller=PLATFORM)
    assert again.reason == "PAYMENT_REFERENCE_USED"


def test_r2_cases_are_decided_one_by_one(desk: Desk) -> None:
    """R2: of two cases, one is lost and the other comes back. A call that names no case decides all
    open cases."""
    it = paid(desk)
    for number in (1, 2, 3):
        did(desk, took(it, 200, f"case-{number}"))
    it = rental(desk, decides(it, "case-2", user_won=True), caller=PLATFORM)
    assert it.charged_back_minor == 400
    it = rental(desk, decides(it, "", user_won=False), caller=PLATFORM)
    states = [case(desk, it, f"case-{number}").state for number in (1, 2, 3)]
    assert states == [CaseState.OVERTURNED, CaseState.LOST, CaseState.OVERTURNED]
    assert (it.charged_back_minor, it.refunded_minor, it.received_minor) == (0, 200, 600)


def test_r2_all_cases_are_decided_in_one_step(desk: Desk) -> None:
    """R2: a decision on several cases is one step; each case keeps the places of its own amount."""
    it = rental(desk, acts.refund(paid(desk), 300))
    did(desk, took(it, 200, "case-1"))
    did(desk, took(it, 500, "case-2"))
    rows = [
        ("money", "refund_payable / receivable_charged_back", 300),
        ("money", "operator_payable / receivable_charged_back", 388),
        ("money", "fee_income / receivable_charged_back", 12),
    ]
    it = books(desk, decides(it, "", user_won=True), rows, "collection.charge_back_won")
    one, two = case(desk, it, "case-1"), case(desk, it, "case-2")
    assert (one.owed_minor, one.conceded_minor) == (200, 0)
    assert (two.owed_minor, two.conceded_minor) == (100, 400)


def test_r2_an_old_charge_back_without_a_row_is_decided(desk: Desk) -> None:
    """R2: a charge-back of an earlier build has no row. It is decided together with the other
    cases, and stays open while other cases are decided alone."""
    it = paid(desk)
    did(desk, took(it, 300, payment=""))
    with desk.store.engine.begin() as connection:
        connection.execute(text("DELETE FROM charge_backs"))
        connection.execute(text("UPDATE payments SET kind='CHARGE_BACK' WHERE kind='CASE'"))
    did(desk, took(it, 400, "case-2"))
    it = rental(desk, decides(it, "case-2", user_won=True), caller=PLATFORM)
    assert it.charged_back_minor == 300
    it = rental(desk, decides(it, "", user_won=False), caller=PLATFORM)
    assert (it.charged_back_minor, it.received_minor) == (0, 400)
    again = refused(desk, decides(it, "", user_won=False), caller=PLATFORM)
    assert again.reason == "NOTHING_CHARGED_BACK"


# -- R14: decided twice ---------------------------------------------------------------------------


def test_r14_a_lost_case_is_undone_and_decided_anew(desk: Desk) -> None:
    """R14: a case is decided for the user, and then against the user. The first decision is undone
    (receivable_charged_back / operator_payable, fee_income), and the money comes back."""
    it = paid(desk, 1_000)
    did(desk, took(it, 1_000))
    it = rental(desk, decides(it, user_won=True), caller=PLATFORM)
    assert (it.conceded_minor, it.fee_minor, it.received_minor) == (1_000, 0, 0)
    journal = Books(desk)
    answer = did(desk, decides(it, user_won=False))
    journal.expect(
        [
            ("money", "receivable_charged_back / operator_payable", 970),
            ("money", "receivable_charged_back / fee_income", 30),
            ("money", BACK, 1_000),
        ],
        "collection.charge_back_reopened",
        "collection.charge_back_overturned",
    )
    assert isinstance(answer, Corrected)
    it = answer.authorization
    assert (it.conceded_minor, it.fee_minor, it.received_minor) == (0, 30, 1_000)
    assert (it.charged_back_minor, it.refunded_minor) == (0, 0)
    assert [(row.amount_minor, row.conceded_minor) for row in answer.corrections] == [
        (1_000, -1_000),
        (1_000, 0),
    ]
    found = case(desk, it)
    assert (found.state, found.reopened) == (CaseState.OVERTURNED, 1)
    told = desk.store.told(it.user_id, it.authorization_id)
    assert told is not None
    assert told.captures[0].conceded_minor == 0


def test_r14_an_overturned_case_is_taken_again(desk: Desk) -> None:
    """R14: a case is decided against the user, and then for the user. The bank takes the money once
    more (receivable_charged_back / cash), and the user keeps it."""
    it = paid(desk, 1_000)
    did(desk, took(it, 1_000))
    did(desk, decides(it, user_won=False))
    journal = Books(desk)
    it = rental(desk, decides(it, user_won=True), caller=PLATFORM)
    journal.expect(
        [
            ("money", TAKEN, 1_000),
            ("money", "operator_payable / receivable_charged_back", 970),
            ("money", "fee_income / receivable_charged_back", 30),
        ],
        "collection.charge_back_reopened",
        "collection.charge_back_won",
    )
    assert (it.received_minor, it.refunded_minor) == (0, 1_000)
    assert (case(desk, it).state, case(desk, it).reopened) == (CaseState.LOST, 1)


@pytest.mark.parametrize("user_won", [False, True])
def test_r14_the_same_decision_again_changes_nothing(desk: Desk, user_won: bool) -> None:
    """R14: the same decision under a fresh request id is refused."""
    it = paid(desk)
    did(desk, took(it, 800))
    did(desk, decides(it, user_won=user_won))
    refusal = refused(desk, decides(it, user_won=user_won), caller=PLATFORM)
    assert refusal.reason == "CHARGE_BACK_DECIDED"


def test_r14_goodwill_is_undone(desk: Desk) -> None:
    """R14: what Freehold bore is undone: receivable_charged_back / goodwill."""
    it = paid(desk)
    did(desk, took(it, 800))
    did(desk, decides(it, user_won=True, goodwill=True))
    journal = Books(desk)
    it = rental(desk, decides(it, user_won=False), caller=PLATFORM)
    journal.expect(
        [("money", "receivable_charged_back / goodwill", 800), ("money", BACK, 800)],
        "collection.charge_back_reopened",
        "collection.charge_back_overturned",
    )
    assert (it.goodwill_minor, it.refundable_minor) == (0, 800)


def test_r14_goodwill_that_the_operator_bears_since_is_owed_back(desk: Desk) -> None:
    """R14, R17: Freehold bore 500 out of goodwill until the operator waived the fee. When the bank
    gives the money back, Freehold keeps none of it: the user is owed the 500."""
    it = paid(desk)
    did(desk, took(it, 500))
    did(desk, decides(it, user_won=True, goodwill=True))
    it = rental(desk, acts.waive(it))
    assert (it.conceded_minor, it.goodwill_minor, it.refund_payable_minor) == (800, 0, 300)
    journal = Books(desk)
    it = rental(desk, decides(it, user_won=False), caller=PLATFORM)
    journal.expect(
        [("money", "receivable_charged_back / refund_payable", 500), ("money", BACK, 500)],
        "collection.charge_back_reopened",
        "collection.charge_back_overturned",
    )
    assert (it.goodwill_minor, it.refundable_minor, it.refund_payable_minor) == (0, 0, 800)
    report = verify_books(desk.store.engine)
    assert report.fault is None, report.fault


def test_r14_money_that_had_gone_out_is_no_longer_owed(desk: Desk) -> None:
    """R14: an overpaid amount that the person still owes is undone: receivable_charged_back /
    overpaid."""
    it = given_back(desk)
    did(desk, took(it, 800))
    did(desk, decides(it, user_won=True))
    journal = Books(desk)
    it = rental(desk, decides(it, user_won=False), caller=PLATFORM)
    journal.expect(
        [("money", "receivable_charged_back / overpaid", 800), ("money", BACK, 800)],
        "collection.charge_back_reopened",
        "collection.charge_back_overturned",
    )
    assert (it.overpaid_minor, it.refund_payable_minor) == (0, 0)


def test_r14_an_overpaid_amount_that_was_paid_is_owed_back(desk: Desk) -> None:
    """R14: of 800 overpaid the person paid 300 back before the bank did: those are owed to the
    person."""
    it = given_back(desk)
    did(desk, took(it, 800))
    did(desk, decides(it, user_won=True))
    rental(desk, pay(it, 300, reference="back-1"), caller=PLATFORM)
    it = rental(desk, decides(it, user_won=False), caller=PLATFORM)
    assert (it.overpaid_minor, it.refund_payable_minor, it.in_hand_minor) == (0, 300, 300)


def test_r14_an_overpaid_amount_that_was_written_off_is_no_loss(desk: Desk) -> None:
    """R14: an overpaid amount that was written off is no loss any more: receivable_charged_back /
    credit_loss."""
    it = given_back(desk)
    did(desk, took(it, 800))
    did(desk, decides(it, user_won=True))
    rental(desk, acts.propose(it), caller=PLATFORM)
    rental(desk, acts.approve(it), caller=PLATFORM)
    journal = Books(desk)
    it = rental(desk, decides(it, user_won=False), caller=PLATFORM)
    journal.expect(
        [("money", "receivable_charged_back / credit_loss", 800), ("money", BACK, 800)],
        "collection.charge_back_reopened",
        "collection.charge_back_overturned",
    )
    assert it.overpaid_written_off_minor == 0


def test_r14_a_recovered_amount_is_recovered_again(desk: Desk) -> None:
    """R14: if an amount was taken from a recovery after a write-off, it is recovered again. An
    amount paid meanwhile is owed back."""
    it = acts.charged(desk, amount_minor=800)
    rental(desk, acts.propose(it), caller=PLATFORM)
    rental(desk, acts.approve(it), caller=PLATFORM)
    rental(desk, pay(it, 800), caller=PLATFORM)
    did(desk, took(it, 800))
    it = rental(desk, decides(it, user_won=True), caller=PLATFORM)
    assert (it.recovered_minor, case(desk, it).recovered_minor) == (0, 800)
    rental(desk, pay(it, 100, reference="late-1"), caller=PLATFORM)
    journal = Books(desk)
    it = rental(desk, decides(it, user_won=False), caller=PLATFORM)
    journal.expect(
        [
            ("money", "receivable_charged_back / recovery", 700),
            ("money", "receivable_charged_back / refund_payable", 100),
            ("money", BACK, 800),
        ],
        "collection.charge_back_reopened",
        "collection.charge_back_overturned",
    )
    assert (it.recovered_minor, it.refund_payable_minor) == (800, 100)


@pytest.mark.parametrize("closed", [False, True])
def test_r14_a_deposit_is_held_again_while_the_rental_is_open(desk: Desk, closed: bool) -> None:
    """R14: a deposit that the user kept is held again; if the rental is closed by now, it is owed
    to the user."""
    it = rental(desk, confirm(rental(desk, authorize("ben"))))
    did(desk, took(it, 5_000, payment=""))
    it = rental(desk, decides(it, user_won=True), caller=PLATFORM)
    assert (it.cash_minor, it.held_cash_minor) == (4_950, 4_950)
    if closed:
        it = rental(desk, reverse(it))
    place = "refund_payable" if closed else "deposit"
    journal = Books(desk)
    it = rental(desk, decides(it, user_won=False), caller=PLATFORM)
    journal.expect(
        [("money", f"receivable_charged_back / {place}", 5_000), ("money", BACK, 5_000)],
        "collection.charge_back_reopened",
        "collection.charge_back_overturned",
    )
    expected = (0, 9_950) if closed else (9_950, 0)
    assert (it.held_cash_minor, it.refund_payable_minor) == expected


def test_r14_an_amount_given_up_meanwhile_is_owed_back(desk: Desk) -> None:
    """R14: a bank took back the 19,900 that were paid for a lost item. The item is found, and the
    operator gives up the excess, which is charged back. When all of it comes back, the excess is
    owed to the user."""
    it = rental(desk, pay(missing(desk), 19_900), caller=PLATFORM)
    did(desk, took(it, 19_900))
    it = rental(desk, acts.found(it))
    gave_minor = it.conceded_minor
    found = case(desk, it)
    assert 0 < gave_minor < 19_900
    assert (found.found_minor, found.open_minor) == (gave_minor, 19_900 - gave_minor)
    it = rental(desk, decides(it, user_won=False), caller=PLATFORM)
    assert (it.refund_payable_minor, it.received_minor) == (gave_minor, 19_900)
    assert case(desk, it).overturned_minor == 19_900


@pytest.mark.parametrize("payment", ["pay-9", ""])
def test_r14_no_more_is_taken_again_than_is_there(desk: Desk, payment: str) -> None:
    """R14: a reopened case takes at most the amount that the bank can still take back, even if it
    names no payment."""
    it = paid(desk)
    did(desk, took(it, 800, payment=payment))
    did(desk, decides(it, user_won=False))
    did(desk, took(it, 100, "case-2", payment))
    refusal = refused(desk, decides(it, user_won=True), caller=PLATFORM)
    assert isinstance(refusal, IllegalState)
    assert refusal.reason == "NOTHING_LEFT_TO_TAKE_BACK"
    assert case(desk, it).state is CaseState.OVERTURNED


def test_r14_a_payment_is_not_taken_twice(desk: Desk) -> None:
    """R14: of two payments of 800 the bank takes the first one in case-1, gives it back, and takes
    it in case-2. Case-1 is not reopened, because that would take 1,600 of 800. The money of case-1
    is recorded as a separate case, and is wholly in suspense. Once case-2 has come back, case-1 may
    be reopened."""
    it = paid(desk)
    it = rental(desk, pay(it, 800, reference="pay-10"), caller=PLATFORM)
    did(desk, took(it, 800))
    did(desk, decides(it, user_won=False))
    assert did(desk, took(it, 800, "case-2")).charge_back.open_minor == 800
    before = stored(desk, it)
    refusal = refused(desk, decides(it, user_won=True), caller=PLATFORM)
    assert refusal.reason == "NOTHING_LEFT_TO_TAKE_BACK"
    assert stored(desk, it) == before
    third = did(desk, took(it, 800, "case-3")).charge_back
    assert (third.open_minor, third.suspense_minor) == (0, 800)
    did(desk, decides(it, "case-2", user_won=False))
    did(desk, decides(it, user_won=True))
    assert case(desk, it).state is CaseState.LOST
    report = verify_books(desk.store.engine)
    assert report.fault is None, report.fault


def test_r14_a_group_deposit_is_not_taken_twice(desk: Desk) -> None:
    """R14: a group's deposit is recorded at the first member. A case of the second member takes the
    deposit, the bank gives it back, and a case of the first member takes it. After that the first
    case cannot be reopened for the same deposit."""
    first, second, _ = deposited(desk)
    taken = [(second, second.cash_minor, "case-1"), (first, first.cash_minor, "case-2")]
    for it, minor, case_id in taken:
        did(desk, took(it, minor, case_id, "dep"))
        did(desk, decides(it, case_id, user_won=False))
    did(desk, took(first, first.cash_minor, "case-3", "dep"))
    assert (
        refused(desk, decides(first, "case-2", user_won=True), caller=PLATFORM).reason
        == "NOTHING_LEFT_TO_TAKE_BACK"
    )
    did(desk, decides(second, "case-1", user_won=True))
    assert case(desk, second, "case-1").state is CaseState.LOST


def deposited(desk: Desk) -> tuple[Authorization, Authorization, int]:
    """A group of two with one deposit, recorded at the first member."""
    first, second = acts.members(desk, acts.group("cem", ("power-bank", "p1"), ("umbrella", "u1")))
    amount_minor = first.cash_minor + second.cash_minor
    desk.do(confirm(first, amount_minor, reference="dep"))
    return stored(desk, first), stored(desk, second), amount_minor


@pytest.mark.parametrize("above_minor", [0, 300])
@pytest.mark.parametrize("at", [0, 1])
def test_r2_a_group_deposit_is_charged_back_at_every_member(
    desk: Desk, at: int, above_minor: int
) -> None:
    """R2: a case of a whole deposit of 15,800, recorded at either of two members, charges back each
    member's own part; only an amount above the payment stays in suspense."""
    *both, amount_minor = deposited(desk)
    it, other = both[at], both[1 - at]
    assert amount_minor == 15_800
    journal = Books(desk)
    answer = did(desk, took(it, amount_minor + above_minor, "case-1", "dep")).charge_back
    suspense_minor = other.cash_minor + above_minor
    assert (answer.open_minor, answer.suspense_minor) == (it.cash_minor, suspense_minor)
    journal.expect(
        [
            ("money", TAKEN, it.cash_minor),
            ("money", "suspense / cash", suspense_minor),
            ("money", "receivable_charged_back / suspense", other.cash_minor),
        ],
        "collection.charged_back",
        "collection.charged_back",
    )
    for member in both:
        assert stored(desk, member).charged_back_minor == member.cash_minor
    left = item(desk, "case-1")
    assert (left.open_minor, left.matches) == (above_minor, 1)
    third = case(desk, other, "suspense/1/case-1")
    assert (third.open_minor, third.payment) == (other.cash_minor, "dep")
    won = rental(desk, decides(other, third.case_id, user_won=True), caller=PLATFORM)
    assert (won.held_cash_minor, won.cash_minor) == (0, 0)
    report = verify_books(desk.store.engine)
    assert report.fault is None, report.fault


def test_r2_no_more_than_a_group_deposit_is_charged_back(desk: Desk) -> None:
    """R2: a case of 16,800 is about a deposit of 15,800. The last 1,000 stay in suspense, although
    the second member has paid 1,000 more in another payment."""
    first, second, amount_minor = deposited(desk)
    second = rental(desk, acts.increment(second, 1_000, 1_000))
    assert second.received_minor == amount_minor - first.cash_minor + 1_000
    did(desk, took(first, amount_minor + 1_000, "case-1", "dep"))
    taken = [stored(desk, it).charged_back_minor for it in (first, second)]
    assert taken == [first.cash_minor, amount_minor - first.cash_minor]
    assert item(desk, "case-1").open_minor == 1_000


def test_r14_concessions_go_back_to_their_captures(desk: Desk) -> None:
    """R14: the amount that the first decision conceded goes back to the same captures, even if more
    was conceded since."""
    it = rental(desk, authorize())
    rental(desk, acts.capture(it, 500, reference="one"))
    rental(desk, acts.capture(it, 300, reference="two"))
    it = rental(desk, settle(it, 0))
    rental(desk, pay(it, 800), caller=PLATFORM)
    did(desk, took(it, 300))
    did(desk, decides(it, user_won=True))
    rental(desk, acts.refund(it, 200, 1))
    it = rental(desk, decides(it, user_won=False), caller=PLATFORM)
    told = desk.store.told(it.user_id, it.authorization_id)
    assert told is not None
    assert [one.conceded_minor for one in told.captures] == [200, 0]


# -- suspense -------------------------------------------------------------------------------------


def item(desk: Desk, reference: str = "odd-1") -> SuspenseItem:
    """An item as it is stored."""
    found, _ = ChargeBackLists(desk.store.engine).suspense(matched_too=True, after=(), size=100)
    return next(one for one in found if one.payment_reference == reference)


@pytest.mark.parametrize(
    ("direction", "posting", "back"),
    [(IN, "cash / suspense", "suspense / cash"), (OUT, "suspense / cash", "cash / suspense")],
)
def test_money_that_matches_nothing_goes_back(
    desk: Desk, direction: Direction, posting: str, back: str
) -> None:
    """Money that matches nothing is booked in suspense. It can be sent back to its sender in one
    part or in several; one key is enough."""
    journal = Books(desk)
    answer = did(desk, unmatched(900, direction))
    assert isinstance(answer, Matched)
    name = "came_in" if direction is IN else "taken_back"
    journal.expect([("money", posting, 900)], f"suspense.{name}")
    assert suspended(desk) == (900 if direction is OUT else -900)
    did(desk, match(400))
    did(desk, match(500))
    name = "returned" if direction is IN else "regained"
    journal.expect(
        [("money", back, 400), ("money", back, 500)],
        f"suspense.{name}",
        f"suspense.{name}",
    )
    found = item(desk)
    assert (found.open_minor, found.returned_minor, found.matches) == (0, 900, 2)
    assert suspended(desk) == 0
    assert isinstance(refused(desk, match(1), caller=PLATFORM), InvalidInput)


def test_money_in_suspense_pays_a_debt_by_two_keys(desk: Desk) -> None:
    """Money that came in and matches nothing pays a person's debt when a second key approves: of
    900, 800 are due: suspense 800 / receivable, suspense 100 / refund_payable."""
    it = acts.charged(desk, amount_minor=800)
    did(desk, unmatched(900))
    proposal = did(desk, match(900, it, by="key-1"))
    assert proposal.authorization is None
    assert (item(desk).proposed_minor, stored(desk, it).due_minor) == (900, 800)
    alone = refused(desk, match(900, it, by="key-1"), caller=PLATFORM)
    assert alone.reason == "SECOND_PERSON_NEEDED"
    rows = [
        ("money", "suspense / receivable", 800),
        ("line", "available / drawn", 800),
        ("money", "suspense / refund_payable", 100),
    ]
    it = books(desk, match(900, it, by="key-2"), rows, "collection.payment_recorded")
    assert (it.due_minor, it.received_minor, it.refund_payable_minor) == (0, 900, 100)
    assert (item(desk).open_minor, item(desk).proposed_by, suspended(desk)) == (0, "", 0)


def test_another_match_is_a_new_proposal(desk: Desk) -> None:
    """If a second key names another amount or another rental, that is a new proposal, and nothing
    is carried out."""
    it = acts.charged(desk, amount_minor=800)
    did(desk, unmatched(900))
    did(desk, match(900, it, by="key-1"))
    assert did(desk, match(800, it, by="key-2")).authorization is None
    assert (item(desk).proposed_by, item(desk).proposed_minor) == ("key-2", 800)
    assert did(desk, match(800, it, by="key-1")).authorization is not None
    assert item(desk).open_minor == 100


def test_a_matched_payment_can_be_charged_back(desk: Desk) -> None:
    """A payment that came out of suspense is an ordinary payment: a bank may take it back, and
    names it by the reference of its match."""
    it = acts.charged(desk, amount_minor=800)
    did(desk, unmatched(800))
    did(desk, match(800, it, by="key-1"))
    did(desk, match(800, it, by="key-2"))
    did(desk, took(it, 800, payment="suspense/1/odd-1"))
    assert case(desk, it).open_minor == 800


def test_suspense_becomes_a_charge_back(desk: Desk) -> None:
    """Money that a bank took back of an unknown payment is matched to a payment of another person:
    receivable_charged_back x / suspense x, and the case is decided there."""
    wrong, it = paid(desk), paid_by(desk, "ben", "ben-1")
    did(desk, took(wrong, 700, payment="nobody-1"))
    command = match(500, it, reference="case-1", payment="ben-1")
    rows = [("money", "receivable_charged_back / suspense", 500)]
    it = books(desk, command, rows, "collection.charged_back")
    assert (it.charged_back_minor, suspended(desk)) == (500, 200)
    found = case(desk, it, "suspense/1/case-1")
    assert (found.state, found.open_minor, found.payment) == (CaseState.OPEN, 500, "ben-1")
    did(desk, match(200, reference="case-1"))
    it = rental(desk, decides(it, "suspense/1/case-1", user_won=False), caller=PLATFORM)
    assert (it.charged_back_minor, suspended(desk)) == (0, 0)


def paid_by(desk: Desk, user_id: str, reference: str) -> Authorization:
    """A rental of another person, paid under another reference."""
    desk.put_user(user_id, 700)
    it = acts.charged(desk, user_id, 500)
    return rental(desk, pay(it, 500, reference=reference), caller=PLATFORM)


@pytest.mark.parametrize(
    ("direction", "payment", "field"),
    [(IN, "pay-9", "payment"), (OUT, "", "payment")],
)
def test_a_payment_is_named_for_money_that_went_out(
    desk: Desk, direction: Direction, payment: str, field: str
) -> None:
    """A match names a payment exactly if a bank took it back."""
    it = paid(desk)
    did(desk, unmatched(100, direction))
    refusal = refused(desk, match(100, it, payment=payment), caller=PLATFORM)
    assert isinstance(refusal, InvalidInput)
    assert refusal.violations[0].field == field


def test_no_more_is_matched_than_the_payment_has(desk: Desk) -> None:
    """A match of money that a bank took back goes up to the payment, and names one that exists."""
    it = paid(desk)
    did(desk, unmatched(900, OUT))
    too_much = refused(desk, match(801, it, payment="pay-9"), caller=PLATFORM)
    assert isinstance(too_much, InvalidInput)
    unknown = refused(desk, match(800, it, payment="nobody-1"), caller=PLATFORM)
    assert unknown.reason == "PAYMENT_NOT_FOUND"
    did(desk, match(800, it, payment="pay-9"))
    assert item(desk).open_minor == 100


def test_a_reference_counts_once_in_suspense_too(desk: Desk) -> None:
    """A payment that is in suspense cannot be recorded again, either in suspense or as a
    payment."""
    it = acts.charged(desk, amount_minor=800)
    did(desk, unmatched(800))
    for command in (unmatched(800), pay(it, 800, reference="odd-1")):
        assert refused(desk, command, caller=PLATFORM).reason == "PAYMENT_REFERENCE_USED"


def test_an_unknown_item_is_not_matched(desk: Desk) -> None:
    """A match of an item that nobody recorded is NOT_FOUND."""
    assert refused(desk, match(100), caller=PLATFORM).reason == "SUSPENSE_NOT_FOUND"


def test_r17_a_waiver_decides_a_charge_back_of_the_fee(desk: Desk) -> None:
    """R2, R17: an operator that waives a fee also gives up the part of the fee that a bank took
    back. This part of the charge-back is then decided."""
    it = paid(desk, 800)
    it = rental(desk, took(it, 500), caller=PLATFORM)
    it = rental(desk, acts.waive(it))
    assert it.charged_back_minor == 0
    row = case(desk, it)
    assert (row.open_minor, row.found_minor) == (0, 500)
    report = verify_books(desk.store.engine)
    assert report.fault is None, report.fault
