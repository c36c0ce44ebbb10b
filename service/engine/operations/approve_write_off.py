"""ApproveWriteOff: a second employee approves a proposed write-off."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collection
from service.domain.transitions import Transition
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import finish, opened
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ApproveWriteOff(AuthorizationCommand):
    """Approve a proposed write-off; `by` names the key used."""

    by: str


def decide(work: Work, it: ApproveWriteOff, rows: Rows, context: Context) -> Decided:
    """Writes the debt off; no score raises the limit until a person unfreezes it.

    An overpaid amount was Freehold's mistake, so it does not freeze the limit.
    """
    current, line, draft = opened(work.caller, it, rows, context)
    step = collection.write_off(current, it.by, context.now_us)
    if step.transition is Transition.WRITTEN_OFF:
        line.limit_fixed = True
    return finish(draft, step, line, rows, context)


APPROVE_WRITE_OFF = Operation(ApproveWriteOff, of_authorization, decide)
