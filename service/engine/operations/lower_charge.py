"""LowerCharge: the operator lowers a charge before it is paid."""

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
class LowerCharge(AuthorizationCommand):
    """Lower a charge before it is paid.

    `capture` is the number of the capture that is lowered; None means the newest with enough left.
    """

    amount: Money
    capture: int | None = None
    reason: str = ""
    business_reference: str = ""


def decide(work: Work, it: LowerCharge, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return corrected(
        work,
        it,
        rows,
        context,
        Remark(it.reason, it.business_reference),
        lambda held, captures: collection.lower(
            held, minor_of(it.amount, held), context.now_us, captures, it.capture
        ),
    )


LOWER_CHARGE = Operation(LowerCharge, of_correction, decide)
