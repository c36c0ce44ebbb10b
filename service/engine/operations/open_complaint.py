"""OpenComplaint: the user complains about a charge, or about an item that is out."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import cases, complaints
from service.domain.authorization import CLOSED
from service.domain.cases import CaseKind, Side
from service.domain.errors import InvalidInput
from service.domain.money import Money
from service.engine.beside import tell
from service.engine.calls import AuthorizationCommand, CaseTold, Work
from service.engine.cases import add_evidence, require_new_case
from service.engine.context import Context, Decided
from service.engine.occurrence import occurred_us
from service.engine.operation import Operation
from service.engine.operations.claim_return import wanted
from service.engine.posting import apply, opened, positive_minor, product_of
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class OpenComplaint(AuthorizationCommand):
    """Complain about a charge, or about an item that is out.

    `amount` is asked back; None means all of the charge. `text` and `reference` are the user's
    first evidence. With `occurred_us`, the complaint asks back the fee after that time instead of
    an amount. While the item is out, None means now.
    """

    complaint: CaseKind
    amount: Money | None = None
    text: str = ""
    reference: str = ""
    occurred_us: int | None = None


def decide(work: Work, it: OpenComplaint, rows: Rows, context: Context) -> Decided:
    """Opens the case; the operator answers in time, or it is decided for the user.

    While the item is out, a time beyond a bound counts as the bound and is not refused: the
    operator may still answer.
    """
    current, line, draft = opened(work.caller, it, rows, context)
    dated = complaints.require_complaint(current, it.complaint, dated=it.occurred_us is not None)
    require_new_case(current, it.complaint, rows, draft)
    if dated and it.amount is not None:
        raise InvalidInput.of(
            "amount",
            "amount.dated",
            "must be absent with occurred_at, and while the item is out: such a complaint asks"
            " back the fee after its time",
        )
    asked_minor = 0 if it.amount is None else positive_minor(it.amount, current)
    stop_us = None
    if dated:
        stop_us = occurred_us(
            work.caller,
            complaints.OPEN_COMPLAINT,
            it.occurred_us,
            current,
            product_of(current, context).policy,
            draft,
            context.now_us,
            refuses_early=False,
            refuses_old=current.state in CLOSED,
        )
    step = complaints.complain(current, context.now_us)
    result = apply(draft, step, line, rows, context)
    case = cases.open_about(
        result,
        context.ids.new(context.now_us),
        it.complaint,
        context.now_us,
        due_us=context.now_us + cases.CLOCK_US,
        asked_minor=asked_minor,
        occurred_us=stop_us,
    )
    tell(draft, case, context)
    case = add_evidence(draft, case, Side.USER, it.text, it.reference, context.now_us)
    return Decided(draft, CaseTold(case), result.user_id, result.authorization_id)


OPEN_COMPLAINT = Operation(OpenComplaint, wanted, decide)
