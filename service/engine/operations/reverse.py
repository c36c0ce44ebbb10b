"""Reverse: everything that is held is given back."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import holding
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import one_step
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class Reverse(AuthorizationCommand):
    """Give everything back."""


def decide(work: Work, it: Reverse, rows: Rows, context: Context) -> Decided:
    """Takes the step."""
    return one_step(work, it, rows, context, lambda held: holding.reverse(held, context.now_us))


REVERSE = Operation(Reverse, of_authorization, decide)
