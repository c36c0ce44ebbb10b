"""ContestReturn: the operator says that a claimed item is not back."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import returning
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import one_step
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ContestReturn(AuthorizationCommand):
    """The operator says that the item is not back; `evidence` is its reference to why."""

    evidence: str


def decide(work: Work, it: ContestReturn, rows: Rows, context: Context) -> Decided:
    """Takes the step."""
    return one_step(
        work, it, rows, context, lambda held: returning.contest_return(held, context.now_us)
    )


CONTEST_RETURN = Operation(ContestReturn, of_authorization, decide)
