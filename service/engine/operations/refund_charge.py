"""RefundCharge: the operator refunds a paid charge."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collection
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.correcting import Remark
from service.engine.operation import Operation, of_correction
from service.engine.posting import corrected, minor_of
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class RefundCharge(AuthorizationCommand):
    """Refund a part of a paid charge.

    `capture` is the number of the refunded capture; None means the newest with enough left.
    """

    amount: Money
    capture: int | None = None
    reason: str = ""
    business_reference: str = ""


def decide(work: Work, it: RefundCharge, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return corrected(
        work,
        it,
        rows,
        context,
        Remark(it.reason, it.business_reference),
        lambda held, captures: collection.refund(
            held, minor_of(it.amount, held), context.now_us, captures, it.capture
        ),
    )


REFUND_CHARGE = Operation(RefundCharge, of_correction, decide)
