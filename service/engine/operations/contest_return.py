"""ContestReturn: the operator contests a claimed return."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import complaints, settlement
from service.domain.cases import CaseKind, Side
from service.engine.calls import AuthorizationCommand, Work
from service.engine.cases import add_evidence, cases_of
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import finish, opened
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ContestReturn(AuthorizationCommand):
    """Contest a claimed return; `evidence` is the operator's reference to its evidence."""

    evidence: str


def decide(work: Work, it: ContestReturn, rows: Rows, context: Context) -> Decided:
    """Lets the rental go on, and closes the claim's case with the operator's evidence."""
    current, line, draft = opened(work.caller, it, rows, context)
    about = cases_of(current, rows, draft)
    step = settlement.contest_return(current, context.now_us, complaints.granted_us(about))
    for case in about:
        if case.is_open and case.kind is CaseKind.CLAIM:
            add_evidence(draft, case, Side.OPERATOR, "", it.evidence, context.now_us)
    return finish(draft, step, line, rows, context)


CONTEST_RETURN = Operation(ContestReturn, of_authorization, decide)
