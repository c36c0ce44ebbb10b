"""ForgiveCharge: Freehold bears the due amount."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collection
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import one_step
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ForgiveCharge(AuthorizationCommand):
    """Freehold bears the whole amount that is due now."""


def decide(work: Work, it: ForgiveCharge, rows: Rows, context: Context) -> Decided:
    """Takes the step."""
    return one_step(work, it, rows, context, lambda held: collection.forgive(held, context.now_us))


FORGIVE_CHARGE = Operation(ForgiveCharge, of_authorization, decide)
