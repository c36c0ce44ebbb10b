"""PayOutRefund: money owed to the user goes out by the payment rail."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collection
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import minor_of, one_step
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class PayOutRefund(AuthorizationCommand):
    """Pay out money owed to the user."""

    amount: Money


def decide(work: Work, it: PayOutRefund, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return one_step(
        work,
        it,
        rows,
        context,
        lambda held: collection.pay_out(held, minor_of(it.amount, held), context.now_us),
    )


PAY_OUT_REFUND = Operation(PayOutRefund, of_authorization, decide)
