"""DecideCase: a case that nobody answered in time is decided for the user."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import cases
from service.domain.cases import Outcome
from service.domain.errors import IllegalState, NotFound
from service.domain.transitions import Transition
from service.engine.attesting import meter
from service.engine.calls import CaseTold, Work
from service.engine.cases import case_of, put_case
from service.engine.context import Context, Decided
from service.engine.correcting import captures_of
from service.engine.operation import Operation
from service.engine.operations.add_evidence import of_case
from service.engine.operations.resolve_case import decision
from service.engine.posting import apply, brought_up, line_of, product_of
from service.engine.rows import Draft, Rows
from service.engine.tables import AUTHORIZATIONS


@dataclass(frozen=True, slots=True)
class DecideCase:
    """Decide a case after its time has ended. This command is not a call, and has no request
    record."""

    user_id: str
    authorization_id: str
    case_id: str


def decide(work: Work, it: DecideCase, rows: Rows, context: Context) -> Decided:
    """Gives back the amount that the case asks for, as of the instant at which the case's time
    ended."""
    draft = Draft(list)
    names = (it.user_id, it.authorization_id, it.case_id)
    case_of(work.caller, *names, rows, draft)
    current = rows[AUTHORIZATIONS].get((it.user_id, it.authorization_id))
    if current is None:
        raise NotFound("authorization", it.authorization_id)
    line = line_of(current, rows).copy()
    current = brought_up(current, line, draft, rows, context)
    case = case_of(work.caller, *names, rows, draft)
    due_us = case.due_us
    if not case.is_open or case.kind not in cases.CLOCKED or not due_us or due_us > context.now_us:
        raise IllegalState("NOTHING_TO_DO", "no time limit of the case has passed", str(case.state))
    step = decision(
        current,
        product_of(current, context),
        case,
        None,
        Transition.CASE_DECIDED_BY_TIME,
        due_us,
        captures_of(current, rows, draft),
        meter(current, rows, draft),
    )
    result = apply(draft, step, line, rows, context)
    case = cases.closed(
        case,
        Outcome.FOR_USER,
        due_us,
        granted_minor=sum(part.amount_minor for part in step.parts),
        close_version=result.version,
    )
    put_case(draft, case)
    return Decided(draft, CaseTold(case), result.user_id, result.authorization_id)


DECIDE_CASE = Operation(DecideCase, of_case, decide)
