"""ApproveWriteOff: a second employee gives up collecting."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collecting
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import finish, opened
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ApproveWriteOff(AuthorizationCommand):
    """A second person agrees."""

    by: str


def decide(work: Work, it: ApproveWriteOff, rows: Rows, context: Context) -> Decided:
    """A debt was given up: from then on no score raises the limit, until a person lets it."""
    current, line, draft = opened(work.caller, it, rows, context)
    step = collecting.write_off(current, it.by, context.now_us)
    line.limit_fixed = True
    return finish(draft, step, line, rows, context)


APPROVE_WRITE_OFF = Operation(ApproveWriteOff, of_authorization, decide)
