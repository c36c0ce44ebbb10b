"""SetProvision: an amount is set aside for the loss."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collecting
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import minor_of, one_step
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class SetProvision(AuthorizationCommand):
    """Set an amount aside for the loss."""

    amount: Money


def decide(work: Work, it: SetProvision, rows: Rows, context: Context) -> Decided:
    """Takes the step."""
    return one_step(
        work,
        it,
        rows,
        context,
        lambda held: collecting.provision(held, minor_of(it.amount, held), context.now_us),
    )


SET_PROVISION = Operation(SetProvision, of_authorization, decide)
