"""OpenDispute: the user disputes a part of the due amount."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import cases, collection
from service.domain.cases import CaseKind, Side
from service.domain.money import Money
from service.engine.beside import tell
from service.engine.calls import AuthorizationCommand, Work
from service.engine.cases import add_evidence, cases_of
from service.engine.context import Context, Decided
from service.engine.correcting import Remark, captures_of
from service.engine.operation import Operation, of_correction
from service.engine.posting import finish_correction, minor_of, opened
from service.engine.rows import Rows
from service.engine.tables import AUTHORIZATIONS


@dataclass(frozen=True, slots=True)
class OpenDispute(AuthorizationCommand):
    """Dispute a part of the due amount.

    `capture` is the number of the disputed capture; None means the newest with enough left.
    """

    amount: Money
    capture: int | None = None
    reason: str = ""


def decide(work: Work, it: OpenDispute, rows: Rows, context: Context) -> Decided:
    """Disputes the amount, and opens its case; a further dispute joins the open case."""
    current, line, draft = opened(work.caller, it, rows, context)
    amount_minor = minor_of(it.amount, current)
    captures = captures_of(current, rows, draft)
    step = collection.open_dispute(current, amount_minor, context.now_us, captures, it.capture)
    decided = finish_correction(draft, step, line, rows, context, Remark(it.reason))
    of_disputes = (case for case in cases_of(current, rows, draft) if case.is_open)
    before = next((case for case in of_disputes if case.kind is CaseKind.DISPUTE), None)
    if before is None:
        case = cases.open_about(
            draft[AUTHORIZATIONS][-1],
            context.ids.new(context.now_us),
            CaseKind.DISPUTE,
            context.now_us,
            waits_for=Side.PLATFORM,
            asked_minor=amount_minor,
        )
        tell(draft, case, context)
    else:
        case = cases.asking_more(before, amount_minor)
    add_evidence(draft, case, Side.USER, it.reason, "", context.now_us)
    return decided


OPEN_DISPUTE = Operation(OpenDispute, of_correction, decide)
