"""RecordOperatorPayment: an operator paid what it owed."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.ledger import Account, Posting
from service.domain.money import Money
from service.domain.transitions import Transition
from service.engine.calls import Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.operator_money import moved, of_balance
from service.engine.records.payments import PaymentKind
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class RecordOperatorPayment:
    """An operator paid what it owed."""

    operator_id: str
    amount: Money
    payment_reference: str


def decide(work: Work, it: RecordOperatorPayment, rows: Rows, context: Context) -> Decided:
    """An operator paid, as it does when it owes after refunds: cash / operator_payable.

    The money is here whatever happened meanwhile: what it did not owe, it is owed.
    """
    return moved(
        work.caller,
        it,
        Posting(Account.CASH, Account.OPERATOR_PAYABLE, it.amount.amount_minor),
        Transition.OPERATOR_PAID_BACK,
        PaymentKind.OPERATOR_PAYMENT,
        rows,
        context,
    )


RECORD_OPERATOR_PAYMENT = Operation(RecordOperatorPayment, of_balance, decide)
