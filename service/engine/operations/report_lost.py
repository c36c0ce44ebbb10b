"""ReportLost: the operator reports an overdue item as lost."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import settlement
from service.engine.attesting import meter
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import one_step, product_of
from service.engine.rows import Draft, Rows


@dataclass(frozen=True, slots=True)
class ReportLost(AuthorizationCommand):
    """Report an overdue item as lost."""


def decide(work: Work, it: ReportLost, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return one_step(
        work,
        it,
        rows,
        context,
        lambda held: settlement.lose(
            held, product_of(held, context), context.now_us, meter(held, rows, Draft(list))
        ),
    )


REPORT_LOST = Operation(ReportLost, of_authorization, decide)
