"""Decrease: hold less."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import hold
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import minor_of, one_step
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class Decrease(AuthorizationCommand):
    """Hold less by an amount."""

    amount: Money


def decide(work: Work, it: Decrease, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return one_step(
        work,
        it,
        rows,
        context,
        lambda held: hold.decrease(held, minor_of(it.amount, held), context.now_us),
    )


DECREASE = Operation(Decrease, of_authorization, decide)
