"""ClaimReturn: the user reports the item as returned."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import settlement
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import one_step, product_of
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ClaimReturn(AuthorizationCommand):
    """Report the item as returned by the user."""


def decide(work: Work, it: ClaimReturn, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return one_step(
        work,
        it,
        rows,
        context,
        lambda held: settlement.claim_return(held, product_of(held, context), context.now_us),
    )


CLAIM_RETURN = Operation(ClaimReturn, of_authorization, decide)
