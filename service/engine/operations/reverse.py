"""Reverse: release the whole hold."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import hold
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import one_step
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class Reverse(AuthorizationCommand):
    """Release the whole hold."""


def decide(work: Work, it: Reverse, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return one_step(work, it, rows, context, lambda held: hold.reverse(held, context.now_us))


REVERSE = Operation(Reverse, of_authorization, decide)
