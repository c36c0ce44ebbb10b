"""ContestReturn: the operator contests a claimed return."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import settlement
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import one_step
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ContestReturn(AuthorizationCommand):
    """Contest a claimed return; `evidence` is the operator's reference to its evidence."""

    evidence: str


def decide(work: Work, it: ContestReturn, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return one_step(
        work, it, rows, context, lambda held: settlement.contest_return(held, context.now_us)
    )


CONTEST_RETURN = Operation(ContestReturn, of_authorization, decide)
