"""OpenComplaint: the user complains about the charge of a closed authorization."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import cases, complaints
from service.domain.cases import CaseKind, Side
from service.domain.money import Money
from service.engine.beside import tell
from service.engine.calls import AuthorizationCommand, CaseTold, Work
from service.engine.cases import add_evidence, require_new_case
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.operations.claim_return import wanted
from service.engine.posting import apply, opened, positive_minor
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class OpenComplaint(AuthorizationCommand):
    """Complain about a charge.

    `amount` is asked back; None means all of the charge. `text` and `reference` are the user's
    first evidence.
    """

    complaint: CaseKind
    amount: Money | None = None
    text: str = ""
    reference: str = ""


def decide(work: Work, it: OpenComplaint, rows: Rows, context: Context) -> Decided:
    """Opens the case; the operator answers in time, or it is decided for the user."""
    current, line, draft = opened(work.caller, it, rows, context)
    step = complaints.complain(current, context.now_us)
    require_new_case(current, it.complaint, rows, draft)
    asked_minor = 0 if it.amount is None else positive_minor(it.amount, current)
    result = apply(draft, step, line, rows, context)
    case = cases.open_about(
        result,
        context.ids.new(context.now_us),
        it.complaint,
        context.now_us,
        due_us=context.now_us + cases.CLOCK_US,
        asked_minor=asked_minor,
    )
    tell(draft, case, context)
    case = add_evidence(draft, case, Side.USER, it.text, it.reference, context.now_us)
    return Decided(draft, CaseTold(case), result.user_id, result.authorization_id)


OPEN_COMPLAINT = Operation(OpenComplaint, wanted, decide)
