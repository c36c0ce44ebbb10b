"""RecordPayment: the user paid for an amount captured on credit."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collection
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_payment
from service.engine.posting import finish, opened, payment_of, positive_minor
from service.engine.records.payments import PaymentKind
from service.engine.references import require_new_payment
from service.engine.rows import Rows
from service.engine.second_uses import case_of_second_use
from service.engine.tables import PAYMENTS


@dataclass(frozen=True, slots=True)
class RecordPayment(AuthorizationCommand):
    """Record the user's payment for an amount captured on credit."""

    payment_reference: str
    amount: Money
    rail_account: str = ""


def decide(work: Work, it: RecordPayment, rows: Rows, context: Context) -> Decided:
    """Posts the step, and records the payment reference, which can be used only once."""
    current, line, draft = opened(work.caller, it, rows, context)
    counted = require_new_payment(work.caller, it, current.currency, rows, context)
    amount_minor = positive_minor(it.amount, current)
    step = collection.pay(current, amount_minor, context.now_us)
    draft[PAYMENTS].append(payment_of(counted, PaymentKind.PAYMENT, current, amount_minor, context))
    return finish(draft, step, line, rows, context)


RECORD_PAYMENT = Operation(RecordPayment, of_payment, decide, leaves=case_of_second_use)
