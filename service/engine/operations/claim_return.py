"""ClaimReturn: the user reports the item as returned."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import acts, settlement
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.occurrence import occurred_us
from service.engine.operation import Operation, of_authorization
from service.engine.posting import finish, opened, product_of
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ClaimReturn(AuthorizationCommand):
    """Report the item as returned by the user at `occurred_us`; None means now.

    `evidence` is a reference to the user's or the device's evidence, if any.
    """

    occurred_us: int | None = None
    evidence: str = ""


def decide(work: Work, it: ClaimReturn, rows: Rows, context: Context) -> Decided:
    """Stops the fee at the time of the return."""
    current, line, draft = opened(work.caller, it, rows, context)
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
    )
    step = settlement.claim_return(current, product, claim_us, context.now_us)
    return finish(draft, step, line, rows, context)


CLAIM_RETURN = Operation(ClaimReturn, of_authorization, decide)
