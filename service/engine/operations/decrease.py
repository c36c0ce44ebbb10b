"""Decrease: hold less."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import holding
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import minor_of, one_step
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class Decrease(AuthorizationCommand):
    """Hold less."""

    amount: Money


def decide(work: Work, it: Decrease, rows: Rows, context: Context) -> Decided:
    """Takes the step."""
    return one_step(
        work,
        it,
        rows,
        context,
        lambda held: holding.decrease(held, minor_of(it.amount, held), context.now_us),
    )


DECREASE = Operation(Decrease, of_authorization, decide)
