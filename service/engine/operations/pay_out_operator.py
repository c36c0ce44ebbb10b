"""PayOutOperator: the treasury paid an operator."""

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
class PayOutOperator:
    """Record a payment to an operator."""

    operator_id: str
    amount: Money
    payment_reference: str
    rail_account: str = ""


def decide(work: Work, it: PayOutOperator, rows: Rows, context: Context) -> Decided:
    """Posts operator_payable / cash; the amount is at most the operator's balance."""
    return moved(
        work.caller,
        it,
        Posting(Account.OPERATOR_PAYABLE, Account.CASH, it.amount.amount_minor),
        Transition.OPERATOR_PAID,
        PaymentKind.OPERATOR_PAYOUT,
        rows,
        context,
    )


PAY_OUT_OPERATOR = Operation(PayOutOperator, of_balance, decide, leaves=case_of_second_use)
