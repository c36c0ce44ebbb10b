"""After a capture: lowering, refunds, disputes, charge-backs, write-offs, payouts."""

from __future__ import annotations

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.collection_service_pb2 import (
    DISPUTE_OUTCOME_GOODWILL,
    DISPUTE_OUTCOME_USER_LOST,
    DISPUTE_OUTCOME_USER_WON,
    GetOperatorBalanceResponse,
)
from freehold.v1.types_pb2 import SignedMoney

from tests.rpc import ready
from tests.rpc.support import Desks, Refused, yuan

A = Authorization
NOTHING = yuan(0)


def user_of(rental: A) -> str:
    """The rental's person."""
    return str(rental.name.split("/")[1])


def owed(desk: Desks, operator_id: str = "city") -> int:
    """The amount that the operator is owed, in fen."""
    answer: GetOperatorBalanceResponse = desk.platform.call(
        "GetOperatorBalance", operator_id=operator_id
    )
    return sum(it.amount_minor for it in answer.payables)


# -- the operator --------------------------------------------------------------------------


def test_a_charge_is_lowered(desk: Desks) -> None:
    """LowerCharge reduces what is due, and the commission with it."""
    rental = ready.settled(desk)
    assert rental.fee == yuan(30)
    before = owed(desk)
    after = desk.operator.call("LowerCharge", name=rental.name, amount=yuan(400)).authorization
    assert (after.due, after.lowered, after.conceded) == (yuan(600), yuan(400), yuan(400))
    assert after.fee == yuan(18)
    assert owed(desk) - before == -388
    assert desk.platform.profile(user_of(rental)).drawn == yuan(600)


def test_a_charge_is_refunded(desk: Desks) -> None:
    """RefundCharge owes a paid amount back to the user."""
    rental = ready.paid(desk)
    after = desk.operator.call("RefundCharge", name=rental.name, amount=yuan(250)).authorization
    assert (after.refunded, after.refund_payable, after.paid) == (
        yuan(250),
        yuan(250),
        yuan(1_000),
    )
    assert after.collection == A.COLLECTION_REFUND_PENDING
    done = desk.platform.call("PayOutRefund", name=rental.name, amount=yuan(250)).authorization
    assert (done.refund_payable, done.collection) == (NOTHING, A.COLLECTION_REFUNDED)


def test_a_payment_to_the_operator_is_no_longer_due(desk: Desks) -> None:
    """RecordPaidElsewhere frees the line and reduces what the operator is owed."""
    rental, before = ready.settled(desk), owed(desk)
    parts = {"payment_reference": desk.operator.fresh("cash"), "amount": yuan(1_000)}
    after = desk.operator.call("RecordPaidElsewhere", name=rental.name, **parts).authorization
    assert (after.due, after.paid, after.collection) == (NOTHING, yuan(1_000), A.COLLECTION_PAID)
    assert owed(desk) - before == -1_000
    assert desk.platform.profile(user_of(rental)).available == yuan(30_000)
    with pytest.raises(Refused) as refusal:
        desk.operator.call("RecordPaidElsewhere", name=ready.settled(desk).name, **parts)
    assert refusal.value.reason == "PAYMENT_REFERENCE_USED"


def test_zero_amounts_are_absent(desk: Desks) -> None:
    """Amounts of a charge that are zero are absent from the authorization."""
    rental = ready.settled(desk)
    names = (
        "paid",
        "lowered",
        "disputed",
        "written_off",
        "refunded",
        "charged_back",
        "conceded",
        "write_off_proposed",
    )
    assert not [name for name in names if rental.HasField(name)]
    assert not ready.active(desk).HasField("fee")


# -- disputes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "due_minor", "lowered_minor", "conceded_minor", "fee_minor"),
    [
        (DISPUTE_OUTCOME_USER_LOST, 1_000, 0, 0, 30),
        (DISPUTE_OUTCOME_USER_WON, 600, 400, 400, 18),
        (DISPUTE_OUTCOME_GOODWILL, 600, 400, 0, 30),
    ],
)
def test_a_dispute(
    desk: Desks,
    outcome: int,
    due_minor: int,
    lowered_minor: int,
    conceded_minor: int,
    fee_minor: int,
) -> None:
    """A disputed amount is not due; the decision makes it due again, or the operator or Freehold
    bears it."""
    rental, before = ready.settled(desk), owed(desk)
    open_ = desk.platform.call("OpenDispute", name=rental.name, amount=yuan(400)).authorization
    assert (open_.due, open_.disputed) == (yuan(600), yuan(400))
    assert open_.collection == A.COLLECTION_DISPUTED
    assert desk.platform.profile(user_of(rental)).disputed == yuan(400)
    after = desk.platform.call("ResolveDispute", name=rental.name, outcome=outcome).authorization
    assert after.due == yuan(due_minor)
    assert not after.HasField("disputed")
    assert after.lowered.amount_minor == lowered_minor
    assert after.conceded.amount_minor == conceded_minor
    assert after.fee == yuan(fee_minor)
    assert owed(desk) - before == -(conceded_minor - (30 - fee_minor))
    profile = desk.platform.profile(user_of(rental))
    assert (profile.drawn, profile.disputed) == (yuan(due_minor), NOTHING)


@pytest.mark.parametrize(
    ("outcome", "refunded_minor", "conceded_minor"),
    [
        (DISPUTE_OUTCOME_USER_LOST, 0, 0),
        (DISPUTE_OUTCOME_USER_WON, 400, 400),
        (DISPUTE_OUTCOME_GOODWILL, 400, 0),
    ],
)
def test_a_charge_back(desk: Desks, outcome: int, refunded_minor: int, conceded_minor: int) -> None:
    """A payment that the bank took back is disputed until it is overturned or confirmed."""
    rental = ready.paid(desk)
    parts = {"payment_reference": desk.platform.fresh("back"), "amount": yuan(400)}
    taken = desk.platform.call("RecordChargeBack", name=rental.name, **parts).authorization
    assert (taken.charged_back, taken.collection) == (yuan(400), A.COLLECTION_DISPUTED)
    assert desk.platform.profile(user_of(rental)).charged_back == yuan(400)
    after = desk.platform.call("ResolveChargeBack", name=rental.name, outcome=outcome).authorization
    assert not after.HasField("charged_back")
    assert after.refunded.amount_minor == refunded_minor
    assert after.conceded.amount_minor == conceded_minor
    # The bank has paid it back to the user already: nothing is owed.
    assert after.refund_payable == NOTHING
    assert desk.platform.profile(user_of(rental)).charged_back == NOTHING


# -- losses --------------------------------------------------------------------------------


def test_a_provision_is_set(desk: Desks) -> None:
    """SetProvision answers with the provision, and can lower it again."""
    rental = ready.settled(desk)
    for amount_minor in (700, 0):
        answer = desk.platform.call("SetProvision", name=rental.name, amount=yuan(amount_minor))
        assert answer.provisioned == yuan(amount_minor)
        assert answer.authorization.due == yuan(1_000)


def test_a_write_off_needs_two_keys(desk: Desks) -> None:
    """A write-off is proposed with one key and approved with another."""
    rental = ready.settled(desk)
    with pytest.raises(Refused) as refusal:
        desk.platform.call("ApproveWriteOff", name=rental.name)
    assert refusal.value.reason == "NOT_PROPOSED"
    proposed = desk.platform.call("ProposeWriteOff", name=rental.name).authorization
    assert (proposed.due, proposed.write_off_proposed) == (yuan(1_000), yuan(1_000))
    with pytest.raises(Refused) as refusal:
        desk.platform.call("ApproveWriteOff", name=rental.name)
    assert refusal.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.value.reason == "SECOND_PERSON_NEEDED"
    before = owed(desk)
    after = desk.colleague.call("ApproveWriteOff", name=rental.name).authorization
    assert (after.due, after.written_off) == (NOTHING, yuan(1_000))
    assert after.collection == A.COLLECTION_WRITTEN_OFF
    assert not after.HasField("write_off_proposed")
    # Freehold bears the loss, and the person's limit is lower by it.
    assert owed(desk) == before
    profile = desk.platform.profile(user_of(rental))
    assert (profile.drawn, profile.limit) == (NOTHING, yuan(29_000))
    assert profile.limit_fixed


def test_a_recovery_after_a_write_off(desk: Desks) -> None:
    """A payment after a write-off is accepted, and an overpayment is owed back."""
    rental = ready.settled(desk)
    desk.platform.call("ProposeWriteOff", name=rental.name)
    desk.colleague.call("ApproveWriteOff", name=rental.name)
    after = desk.platform.pay(rental.name, 1_100)
    assert (after.written_off, after.refund_payable) == (yuan(1_000), yuan(100))


# -- paying out ----------------------------------------------------------------------------


def test_an_operator_is_paid(desk: Desks) -> None:
    """PayOutOperator pays at most what is owed, and answers with the rest."""
    ready.settled(desk)
    whole = owed(desk)
    assert whole > 0
    with pytest.raises(Refused) as refusal:
        desk.platform.call(
            "PayOutOperator",
            operator_id="city",
            amount=yuan(whole + 1),
            payment_reference=desk.platform.fresh("payout"),
        )
    assert refusal.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.value.reason == "PAYABLE_EXCEEDED"
    answer = desk.platform.call(
        "PayOutOperator",
        operator_id="city",
        amount=yuan(whole - 5),
        payment_reference=desk.platform.fresh("payout"),
    )
    assert answer.paid == yuan(whole - 5)
    assert answer.payable == SignedMoney(currency_code="CNY", amount_minor=5)
    assert owed(desk) == 5


def test_an_operator_may_owe_money(desk: Desks) -> None:
    """After a refund of an amount paid out to it, an operator's balance is negative until the
    operator pays it back."""
    rental = desk.other.authorize(desk.platform.person(), "bike")
    desk.other.settle(rental.name, 1_000)
    desk.platform.call(
        "PayOutOperator",
        operator_id="harbour",
        amount=yuan(owed(desk, "harbour")),
        payment_reference=desk.platform.fresh("payout"),
    )
    desk.other.call("LowerCharge", name=rental.name, amount=yuan(1_000))
    assert owed(desk, "harbour") == -975
    answer = desk.platform.call(
        "RecordOperatorPayment",
        operator_id="harbour",
        amount=yuan(975),
        payment_reference=desk.platform.fresh("back"),
    )
    assert answer.paid == yuan(975)
    assert answer.payable == SignedMoney(currency_code="CNY", amount_minor=0)
    assert owed(desk, "harbour") == 0


def test_a_payout_is_recorded_once(desk: Desks) -> None:
    """A repeated payout under another request id is ALREADY_EXISTS."""
    ready.settled(desk)
    parts = {"operator_id": "city", "amount": yuan(1), "payment_reference": "once"}
    desk.platform.call("PayOutOperator", **parts)
    with pytest.raises(Refused) as refusal:
        desk.platform.call("PayOutOperator", **parts)
    assert refusal.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.value.reason == "PAYMENT_REFERENCE_USED"


def test_the_books_verify_after_all_this(desk: Desks) -> None:
    """The books verify after all calls of this file."""
    books = desk.platform.verify()
    assert books.verified, books
