"""ClaimReturn: the user reports the item as returned."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import acts, cases, complaints, settlement
from service.domain.authorization import State
from service.domain.cases import CaseKind, Side
from service.engine.beside import tell
from service.engine.calls import AuthorizationCommand, Work
from service.engine.cases import add_evidence, require_new_case
from service.engine.context import Context, Decided
from service.engine.occurrence import occurred_us
from service.engine.operation import OfAuthorization, Operation, of_authorization
from service.engine.posting import finish, opened, product_of
from service.engine.rows import Keys, Rows
from service.engine.tables import AUTHORIZATIONS


@dataclass(frozen=True, slots=True)
class ClaimReturn(AuthorizationCommand):
    """Report the item as returned by the user at `occurred_us`; None means now.

    `evidence` is a reference to the user's or the device's evidence, if any.
    """

    occurred_us: int | None = None
    evidence: str = ""


def wanted(caller: str, it: OfAuthorization, keys: Keys) -> None:
    """Needs the rental and its cases."""
    of_authorization(caller, it, keys)
    keys.cased.add((it.user_id, it.authorization_id))


def decide(work: Work, it: ClaimReturn, rows: Rows, context: Context) -> Decided:
    """Stops the fee at the time of the return, and opens the claim's case.

    While the fee runs, a time beyond a bound counts as the bound and is not refused: the operator
    may contest the claim. After the settlement the charge stays as it is until the case is decided.
    """
    current, line, draft = opened(work.caller, it, rows, context)
    late = current.state is State.SETTLED
    if late:
        complaints.require_late_claim(current, dated=it.occurred_us is not None)
        require_new_case(current, CaseKind.LATE_CLAIM, rows, draft)
    else:
        acts.require_rental(current)
        acts.require(current, settlement.CLAIM_RETURN)
    product = product_of(current, context)
    claim_us = occurred_us(
        work.caller,
        settlement.CLAIM_RETURN,
        it.occurred_us,
        current,
        product.policy,
        draft,
        context.now_us,
        refuses_early=False,
        refuses_old=late,
    )
    if late:
        step = complaints.claim_late(current, context.now_us)
        kind = CaseKind.LATE_CLAIM
    else:
        step = settlement.claim_return(current, product, claim_us, context.now_us)
        kind = CaseKind.CLAIM
    decided = finish(draft, step, line, rows, context)
    case = cases.open_about(
        draft[AUTHORIZATIONS][-1],
        context.ids.new(context.now_us),
        kind,
        context.now_us,
        due_us=context.now_us + product.policy.claim_window_us,
        occurred_us=claim_us,
    )
    add_evidence(draft, case, Side.USER, "", it.evidence, context.now_us)
    tell(draft, case, context)
    return decided


CLAIM_RETURN = Operation(ClaimReturn, wanted, decide)
