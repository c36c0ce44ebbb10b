"""RefundCharge: the operator refunds a paid charge."""

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
class RefundCharge(AuthorizationCommand):
    """Refund a part of a paid charge."""

    amount: Money


def decide(work: Work, it: RefundCharge, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return one_step(
        work,
        it,
        rows,
        context,
        lambda held: collection.refund(held, minor_of(it.amount, held), context.now_us),
    )


REFUND_CHARGE = Operation(RefundCharge, of_authorization, decide)
