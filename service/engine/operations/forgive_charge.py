"""ForgiveCharge: Freehold bears the due amount."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collection
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.correcting import Remark
from service.engine.operation import Operation, of_authorization
from service.engine.posting import finish_correction, opened
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ForgiveCharge(AuthorizationCommand):
    """Freehold bears the whole amount that is due now."""

    reason: str = ""


def decide(work: Work, it: ForgiveCharge, rows: Rows, context: Context) -> Decided:
    """Takes the step."""
    current, line, draft = opened(work.caller, it, rows, context)
    step = collection.forgive(current, context.now_us)
    return finish_correction(draft, step, line, rows, context, Remark(it.reason))


FORGIVE_CHARGE = Operation(ForgiveCharge, of_authorization, decide)
