"""RefundPass: the operator takes an unused pass back."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import complaints, passes
from service.domain.errors import NotFound
from service.domain.transitions import Transition
from service.engine.calls import AuthorizationCommand, PassTold, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.people import announce_of
from service.engine.posting import apply, opened
from service.engine.rows import Draft, Keys, Rows
from service.engine.tables import PASSES


@dataclass(frozen=True, slots=True)
class RefundPass:
    """Take a pass back that no rental has used, and give its price back."""

    user_id: str
    pass_id: str


def wanted(caller: str, it: RefundPass, keys: Keys) -> None:
    """Needs the pass, and the debt of a pass that was bought."""
    keys.users.add(it.user_id)
    keys.refunded.add((it.user_id, caller, it.pass_id))


def decide(work: Work, it: RefundPass, rows: Rows, context: Context) -> Decided:
    """Ends the pass. What the person still owes for it is dropped, and what was paid is owed
    back."""
    held = rows[PASSES].get((it.user_id, work.caller, it.pass_id))
    if held is None:
        raise NotFound("pass", it.pass_id)
    passes.require_unused(held.uses, held.refund_us)
    draft, result = Draft(list), None
    if held.authorization_id:
        named = AuthorizationCommand(held.user_id, held.authorization_id)
        debt, line, draft = opened(work.caller, named, rows, context)
        if amount_minor := complaints.grantable_minor(debt):
            step = complaints.grant(debt, amount_minor, Transition.PASS_REFUNDED, context.now_us)
            result = apply(draft, step, line, rows, context)
    if result is None:
        announce_of(draft, Transition.PASS_REFUNDED, held.user_id, context)
    refunded = held._replace(
        refund_us=context.now_us, refund_request_id=work.request_id, changes=held.changes + 1
    )
    draft[PASSES].append(refunded)
    authorization_id = "" if result is None else result.authorization_id
    return Decided(draft, PassTold(refunded, result), held.user_id, authorization_id)


REFUND_PASS = Operation(RefundPass, wanted, decide)
