"""After a capture: payments, disputes, refunds, provisions and write-offs."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain import concessions, corrections, debts
from service.domain.acts import Act, require
from service.domain.authorization import (
    CHARGED,
    CLOSED,
    TAKEN,
    Authorization,
    State,
    Step,
    Transfer,
    TransferKind,
    step,
)
from service.domain.captures import WITHOUT_ROW, Capture, Part
from service.domain.errors import IllegalState, InvalidInput
from service.domain.ledger import Account, Posting
from service.domain.transitions import Transition


def _within(amount_minor: int, most_minor: int, limit: str) -> None:
    """Raises InvalidInput unless 0 < `amount_minor` <= `most_minor`; `limit` says which limit."""
    if not 0 < amount_minor <= most_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.range",
            f"must be more than zero and at most {most_minor}, the amount {limit}",
        )


RECORD_PAYMENT = Act("RecordPayment", CHARGED)


def pay(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """A payment pays the due, the written-off and the overpaid amount; the rest is owed back.

    Raises IllegalState if nothing was captured on credit and the person got nothing twice.
    """
    if it.unheld_minor:
        return debts.pay(it, amount_minor, now_us)
    if not it.twice_minor:
        require(it, RECORD_PAYMENT)
        if it.captured_credit_minor == 0:
            raise IllegalState("NOTHING_DUE", "nothing was captured on credit", it.state)
    paid_minor = min(amount_minor, it.due_minor)
    recovered_minor = min(amount_minor - paid_minor, it.unrecovered_minor)
    twice_minor = min(amount_minor - paid_minor - recovered_minor, it.overpaid_minor)
    excess_minor = amount_minor - paid_minor - recovered_minor - twice_minor
    paid = it._replace(
        paid_minor=it.paid_minor + paid_minor,
        recovered_minor=it.recovered_minor + recovered_minor,
        overpaid_minor=it.overpaid_minor - twice_minor,
        refund_payable_minor=it.refund_payable_minor + excess_minor,
        received_minor=it.received_minor + amount_minor,
    )
    postings = (
        Posting(Account.CASH, Account.RECEIVABLE, paid_minor),
        Posting(Account.AVAILABLE, Account.DRAWN, paid_minor),
        Posting(Account.CASH, Account.RECOVERY, recovered_minor),
        Posting(Account.CASH, Account.OVERPAID, twice_minor),
        Posting(Account.CASH, Account.REFUND_PAYABLE, excess_minor),
    )
    return step(paid, postings, Transition.PAYMENT_RECORDED, now_us)


RECORD_PAID_ELSEWHERE = Act("RecordPaidElsewhere", CHARGED)


def pay_elsewhere(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """The person paid the operator: Freehold owes the operator less, and keeps its commission.

    The amount pays the due amount first, then the amount written off. The person had already paid
    the rest by the rail, so the rest is owed back. The result is the same if the operator reports
    its payment before the rail does. Raises InvalidInput for more than the charge, because the
    operator cannot have got more.
    """
    require(it, RECORD_PAID_ELSEWHERE)
    by_rail_minor = it.paid_minor - it.elsewhere_minor
    most_minor = it.collectable_minor + by_rail_minor
    _within(amount_minor, most_minor, "that is due or was paid by the rail")
    if it.unheld_minor:
        return debts.pay_elsewhere(it, amount_minor, now_us)
    paid_minor = min(amount_minor, it.due_minor)
    recovered_minor = min(amount_minor - paid_minor, it.unrecovered_minor)
    excess_minor = amount_minor - paid_minor - recovered_minor
    paid = it._replace(
        paid_minor=it.paid_minor + paid_minor,
        recovered_minor=it.recovered_minor + recovered_minor,
        refund_payable_minor=it.refund_payable_minor + excess_minor,
        elsewhere_minor=it.elsewhere_minor + amount_minor,
    )
    postings = (
        Posting(Account.OPERATOR_PAYABLE, Account.RECEIVABLE, paid_minor),
        Posting(Account.AVAILABLE, Account.DRAWN, paid_minor),
        Posting(Account.OPERATOR_PAYABLE, Account.RECOVERY, recovered_minor),
        Posting(Account.OPERATOR_PAYABLE, Account.REFUND_PAYABLE, excess_minor),
    )
    return step(paid, postings, Transition.PAID_ELSEWHERE, now_us)


LOWER_CHARGE = Act("LowerCharge", CHARGED)


def lower(
    it: Authorization,
    amount_minor: int,
    now_us: int,
    captures: Sequence[Capture] = (),
    cited: int | None = None,
) -> Step:
    """The operator lowers a charge before it is paid; `cited` is the capture's number."""
    require(it, LOWER_CHARGE)
    _within(amount_minor, it.collectable_minor, "due")
    if it.unheld_minor:
        return debts.lower(it, amount_minor, now_us, cited)
    parts = corrections.conceded(it, captures, amount_minor, cited)
    lowered, postings = concessions.lower(it, amount_minor)
    return step(lowered, postings, Transition.LOWERED, now_us, parts=parts)


REFUND = Act("RefundCharge", CHARGED)


def refund(
    it: Authorization,
    amount_minor: int,
    now_us: int,
    captures: Sequence[Capture] = (),
    cited: int | None = None,
) -> Step:
    """The operator gives back what was captured and paid; `cited` is the capture's number."""
    require(it, REFUND)
    _within(amount_minor, it.refundable_minor, "paid and not given back")
    parts = corrections.conceded(it, captures, amount_minor, cited)
    refunded, postings = concessions.refund(it, amount_minor)
    return step(refunded, postings, Transition.REFUNDED, now_us, parts=parts)


PAY_OUT = Act("PayOutRefund", TAKEN)


def pay_out(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """Money owed to the person goes to the payment rail, and is no longer owed.

    Money that a bank has taken back is not paid out while the charge-back is open.
    """
    require(it, PAY_OUT)
    most_minor = max(0, it.payable_out_minor - it.overpaid_written_off_minor)
    _within(amount_minor, most_minor, "owed back and not charged back")
    called = it._replace(refund_tries=0)
    return _paid_out(called, amount_minor, Transition.PAID_OUT, now_us)


def refund_by_time(it: Authorization, at_us: int) -> Step:
    """Pays out money owed back that nobody called for within the policy's time.

    The money first pays the amount still due for the same authorization. Otherwise a person who
    owes money would be paid out and then debited.
    """
    if it.twice_minor:
        # A build before set_off.py owed back what had to pay for an overpaid amount first.
        return step(it, (), Transition.SET_OFF, at_us)
    set_off_minor = min(it.payable_out_minor, it.collectable_minor)
    if not set_off_minor:
        return _paid_out(it, it.payable_out_minor, Transition.PAID_OUT_BY_TIME, at_us)
    if it.unheld_minor:
        return debts.set_off(it, set_off_minor, at_us)
    set_off = it._replace(
        refund_payable_minor=it.refund_payable_minor - set_off_minor,
        paid_minor=it.paid_minor + set_off_minor,
    )
    postings = (
        Posting(Account.REFUND_PAYABLE, Account.RECEIVABLE, set_off_minor),
        Posting(Account.AVAILABLE, Account.DRAWN, set_off_minor),
    )
    return step(set_off, postings, Transition.SET_OFF, at_us)


def _paid_out(it: Authorization, amount_minor: int, transition: Transition, at_us: int) -> Step:
    paid_out = it._replace(
        refund_payable_minor=it.refund_payable_minor - amount_minor,
        paid_out_minor=it.paid_out_minor + amount_minor,
    )
    postings = (Posting(Account.REFUND_PAYABLE, Account.CASH, amount_minor),)
    payout = Transfer(TransferKind.PAYOUT, amount_minor)
    return step(paid_out, postings, transition, at_us, payout)


def payout_failed(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """The payment rail could not pay out: the amount is owed again."""
    return _owed_again(_tried(it, now_us), amount_minor, Transition.PAYOUT_FAILED, now_us)


def payout_returned(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """A payout bounced: the amount is owed again."""
    return _owed_again(_tried(it, now_us), amount_minor, Transition.PAYOUT_RETURNED, now_us)


def _tried(it: Authorization, now_us: int) -> Authorization:
    """Counts one more try. The pause until the next try begins now, even for an amount that was
    owed before."""
    return it._replace(refund_since_us=now_us, refund_tries=it.refund_tries + 1)


def payout_cancelled(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """A payout that was not yet handed to the rail is cancelled: the amount is owed again."""
    return _owed_again(it, amount_minor, Transition.PAYOUT_CANCELLED, now_us)


def payout_succeeded_late(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """The payment rail reports the success of a payout that it had reported as failed.

    The amount is not owed any more. If less than that is still owed, the person got the rest twice.
    """
    owed_minor = min(amount_minor, it.refund_payable_minor)
    twice_minor = amount_minor - owed_minor
    paid_out = it._replace(
        refund_payable_minor=it.refund_payable_minor - owed_minor,
        overpaid_minor=it.overpaid_minor + twice_minor,
        paid_out_minor=it.paid_out_minor + amount_minor,
    )
    postings = (
        Posting(Account.REFUND_PAYABLE, Account.CASH, owed_minor),
        Posting(Account.OVERPAID, Account.CASH, twice_minor),
    )
    return step(paid_out, postings, Transition.PAYOUT_SUCCEEDED_LATE, now_us)


def _owed_again(it: Authorization, amount_minor: int, transition: Transition, now_us: int) -> Step:
    owed = it._replace(
        refund_payable_minor=it.refund_payable_minor + amount_minor,
        paid_out_minor=it.paid_out_minor - amount_minor,
    )
    postings = (Posting(Account.CASH, Account.REFUND_PAYABLE, amount_minor),)
    return step(owed, postings, transition, now_us)


def debit_succeeded(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """The payment rail debited the person: a payment like any other."""
    return pay(it._replace(debiting_minor=0), amount_minor, now_us)


def debit_succeeded_late(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """The payment rail reports the success of a debit that it had reported as failed.

    It is a payment like any other. If another debit is under way by now, it stays under way.
    """
    return pay(it, amount_minor, now_us)


def debit_failed(it: Authorization, now_us: int) -> Step:
    """The payment rail could not debit the person; dunning goes on."""
    return step(it, (), Transition.DEBIT_FAILED, now_us, debiting_minor=0)


def debit_cancelled(it: Authorization, now_us: int) -> Step:
    """Cancels a debit that was not yet handed to the rail, because it asks for more than is due
    now."""
    return step(it, (), Transition.DEBIT_CANCELLED, now_us, debiting_minor=0)


OPEN_DISPUTE = Act("OpenDispute", CHARGED)


def open_dispute(
    it: Authorization,
    amount_minor: int,
    now_us: int,
    captures: Sequence[Capture] = (),
    cited: int | None = None,
) -> Step:
    """The person disputes a due amount; it is not collected until an arbiter decides.

    `cited` is the number of the capture that is disputed.
    """
    require(it, OPEN_DISPUTE)
    _within(amount_minor, it.collectable_minor, "due")
    if it.unheld_minor:
        return debts.open_dispute(it, amount_minor, now_us, cited)
    parts = corrections.disputed(it, captures, amount_minor, cited)
    disputed = it._replace(disputed_minor=it.disputed_minor + amount_minor)
    postings = (Posting(Account.RECEIVABLE_DISPUTED, Account.RECEIVABLE, amount_minor),)
    return step(disputed, postings, Transition.DISPUTE_OPENED, now_us, parts=parts)


RESOLVE_DISPUTE = Act("ResolveDispute", CHARGED)


def resolve_dispute(
    it: Authorization,
    *,
    user_won: bool,
    goodwill: bool,
    now_us: int,
    captures: Sequence[Capture] = (),
) -> Step:
    """The arbiter decides: the amount is due again, or the operator or Freehold gives it up."""
    require(it, RESOLVE_DISPUTE)
    amount_minor = it.disputed_minor + it.unheld_disputed_minor
    if amount_minor == 0:
        raise IllegalState("NOTHING_DISPUTED", "nothing is disputed", it.state)
    if it.unheld_minor:
        return debts.resolve_dispute(it, user_won=user_won, goodwill=goodwill, now_us=now_us)
    settled = it._replace(disputed_minor=0)
    parts = corrections.decided(it, captures, concedes=user_won and not goodwill)
    if not user_won:
        back = Posting(Account.RECEIVABLE, Account.RECEIVABLE_DISPUTED, amount_minor)
        return step(settled, (back,), Transition.DISPUTE_LOST, now_us, parts=parts)
    given, postings = concessions.give_up(
        settled, amount_minor, Account.RECEIVABLE_DISPUTED, goodwill=goodwill
    )
    lowered = given._replace(lowered_minor=it.lowered_minor + amount_minor)
    line = Posting(Account.AVAILABLE, Account.DRAWN, amount_minor)
    return step(lowered, (*postings, line), Transition.DISPUTE_WON, now_us, parts=parts)


SET_PROVISION = Act("SetProvision", frozenset({State.SETTLED}))


def provision(it: Authorization, amount_minor: int, now_us: int) -> Step:
    """Sets the provision for loss; a higher provision is a cost, a lower one a gain."""
    require(it, SET_PROVISION)
    most_minor = it.written_off_minor + it.due_minor + it.disputed_minor
    if not it.written_off_minor <= amount_minor <= most_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.range",
            f"must be from {it.written_off_minor} (already written off) to {most_minor}",
        )
    more_minor = amount_minor - it.provisioned_minor
    postings = (
        Posting(Account.CREDIT_LOSS, Account.ALLOWANCE, max(0, more_minor)),
        Posting(Account.ALLOWANCE, Account.CREDIT_LOSS, max(0, -more_minor)),
    )
    provisioned = it._replace(provisioned_minor=amount_minor)
    return step(provisioned, postings, Transition.PROVISIONED, now_us)


PROPOSE_WRITE_OFF = Act("ProposeWriteOff", frozenset({State.SETTLED}))


def propose_write_off(it: Authorization, by: str, now_us: int) -> Step:
    """One person proposes to write off the due amount; `by` is the id of the key used.

    If the authorization is closed and nothing can fall due any more, the proposal is for the
    overpaid amount. A new proposal replaces the earlier one.
    """
    amount_minor = _last_minor(it)
    if amount_minor == 0:
        require(it, PROPOSE_WRITE_OFF)
        amount_minor = it.due_minor
    if amount_minor == 0:
        raise IllegalState("NOTHING_DUE", "nothing is due", it.state)
    proposed = it._replace(write_off_by=by, write_off_minor=amount_minor)
    return step(proposed, (), Transition.WRITE_OFF_PROPOSED, now_us)


def _last_minor(it: Authorization) -> int:
    """The overpaid amount if it is all that the person can still owe, else 0."""
    last = it.state in CLOSED and it.due_minor == 0 and it.disputed_minor == 0
    return it.overpaid_minor if last else 0


APPROVE_WRITE_OFF = Act("ApproveWriteOff", frozenset({State.SETTLED}))


def write_off(it: Authorization, by: str, now_us: int) -> Step:
    """A second person approves: the proposed amount is written off, and the limit falls by it.

    Less is written off if less is due by now. An amount that fell due after the proposal stays due,
    for example because the person lost a dispute. The provision is raised as far as needed, so that
    the allowance covers the write-off. An overpaid amount is written off apart from that, and does
    not lower the limit.
    """
    if not _last_minor(it):
        require(it, APPROVE_WRITE_OFF)
    if not it.write_off_by:
        raise IllegalState("NOT_PROPOSED", "no write-off was proposed; propose it first", it.state)
    if it.write_off_by == by:
        raise IllegalState(
            "SECOND_PERSON_NEEDED",
            "the same person proposed the write-off; another one must approve it",
            it.state,
        )
    if _last_minor(it):
        return _write_off_overpaid(it, now_us)
    amount_minor = min(it.due_minor, it.write_off_minor)
    written_off_minor = it.written_off_minor + amount_minor
    missing_minor = max(0, written_off_minor - it.provisioned_minor)
    written = it._replace(
        written_off_minor=written_off_minor,
        provisioned_minor=it.provisioned_minor + missing_minor,
        write_off_by="",
        write_off_minor=0,
    )
    postings = (
        Posting(Account.CREDIT_LOSS, Account.ALLOWANCE, missing_minor),
        Posting(Account.ALLOWANCE, Account.RECEIVABLE, amount_minor),
        Posting(Account.LIMIT_CONTROL, Account.DRAWN, amount_minor),
    )
    return step(written, postings, Transition.WRITTEN_OFF, now_us)


def _write_off_overpaid(it: Authorization, now_us: int) -> Step:
    amount_minor = min(it.overpaid_minor, it.write_off_minor)
    written = it._replace(
        overpaid_minor=it.overpaid_minor - amount_minor,
        overpaid_written_off_minor=it.overpaid_written_off_minor + amount_minor,
        write_off_by="",
        write_off_minor=0,
    )
    postings = (
        Posting(Account.CREDIT_LOSS, Account.ALLOWANCE, amount_minor),
        Posting(Account.ALLOWANCE, Account.OVERPAID, amount_minor),
    )
    return step(written, postings, Transition.OVERPAID_WRITTEN_OFF, now_us)


FORGIVE_CHARGE = Act("ForgiveCharge", CHARGED)


def forgive(it: Authorization, now_us: int) -> Step:
    """Freehold bears the whole due amount, which counts as lowered; the operator keeps its share.

    A disputed amount stays disputed. It may be forgiven once it is due again. Raises IllegalState
    if nothing is due.
    """
    require(it, FORGIVE_CHARGE)
    amount_minor = it.due_minor
    if amount_minor == 0:
        raise IllegalState("NOTHING_DUE", "nothing is due", it.state)
    forgiven = it._replace(lowered_minor=it.lowered_minor + amount_minor)
    postings = (
        Posting(Account.GOODWILL, Account.RECEIVABLE, amount_minor),
        Posting(Account.AVAILABLE, Account.DRAWN, amount_minor),
    )
    parts = (Part(WITHOUT_ROW, amount_minor),)
    return step(forgiven, postings, Transition.CHARGE_FORGIVEN, now_us, parts=parts)
