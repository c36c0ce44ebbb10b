"""RecordOperatorPayment: an operator paid Freehold."""

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
from service.engine.second_uses import case_of_second_use


@dataclass(frozen=True, slots=True)
class RecordOperatorPayment:
    """Record a payment by an operator."""

    operator_id: str
    amount: Money
    payment_reference: str
    rail_account: str = ""


def decide(work: Work, it: RecordOperatorPayment, rows: Rows, context: Context) -> Decided:
    """Posts cash / operator_payable; an operator owes money after refunds, for example.

    The payment is always recorded: an amount beyond the debt is owed to the operator.
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


RECORD_OPERATOR_PAYMENT = Operation(
    RecordOperatorPayment, of_balance, decide, leaves=case_of_second_use
)
