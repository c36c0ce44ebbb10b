"""ReportFound: a missing item is back."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import authorization as life
from service.domain import settlement
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.occurrence import occurred_us
from service.engine.operation import Operation, of_authorization
from service.engine.posting import finish, opened, product_of
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ReportFound(AuthorizationCommand):
    """Report a missing item as docked at `occurred_us`; None means now."""

    occurred_us: int | None = None


def decide(work: Work, it: ReportFound, rows: Rows, context: Context) -> Decided:
    """Returns the item, and gives the excess over the tariff back."""
    current, line, draft = opened(work.caller, it, rows, context)
    life.require(current, settlement.REPORT_FOUND)
    docked_us = occurred_us(
        work.caller, settlement.REPORT_FOUND, it.occurred_us, current, draft, context.now_us
    )
    step = settlement.find(current, product_of(current, context), docked_us)
    return finish(draft, step, line, rows, context)


REPORT_FOUND = Operation(ReportFound, of_authorization, decide)
