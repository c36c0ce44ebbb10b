"""AddEvidence: a side of a case adds evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service.domain import cases, complaints
from service.domain.cases import Side
from service.engine.calls import AuthorizationCommand, CaseTold, Work
from service.engine.cases import add_evidence, case_of
from service.engine.context import Context, Decided
from service.engine.operation import OfAuthorization, Operation, of_correction
from service.engine.posting import apply, opened
from service.engine.rows import Draft, Keys, Rows


@dataclass(frozen=True, slots=True)
class AddEvidence(AuthorizationCommand):
    """Add evidence to an open case, as a text or a reference to it, or both."""

    case_id: str
    side: Side
    text: str = ""
    reference: str = ""


class OfCase(OfAuthorization, Protocol):
    """A command that names one case."""

    @property
    def case_id(self) -> str: ...


def of_case(caller: str, it: OfCase, keys: Keys) -> None:
    """Adds the keys of a command on one case: its authorization, with all cases, or itself."""
    if it.authorization_id:
        of_correction(caller, it, keys)
        keys.cased.add((it.user_id, it.authorization_id))
        keys.attested.add((it.user_id, it.authorization_id))
    else:
        keys.questions.add((it.user_id, it.authorization_id, it.case_id))


def decide(work: Work, it: AddEvidence, rows: Rows, context: Context) -> Decided:
    """Adds the evidence. Both sides get the event, unless only the platform may know the case."""
    names = (it.user_id, it.authorization_id, it.case_id)
    draft, authorization_id = Draft(list), ""
    if case_of(work.caller, *names, rows, draft).kind not in cases.PLATFORM_ONLY:
        current, line, draft = opened(work.caller, it, rows, context)
        authorization_id = current.authorization_id
        cases.require_open(case_of(work.caller, *names, rows, draft), context.now_us)
        apply(draft, complaints.more_evidence(current, context.now_us), line, rows, context)
    case = case_of(work.caller, *names, rows, draft)
    cases.require_open(case, context.now_us)
    case = add_evidence(draft, case, it.side, it.text, it.reference, context.now_us)
    return Decided(draft, CaseTold(case), it.user_id, authorization_id)


ADD_EVIDENCE = Operation(AddEvidence, of_case, decide)
