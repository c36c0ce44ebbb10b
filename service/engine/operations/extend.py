"""Extend: move the due time of a rental, or the end of a hold."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import hold
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import one_step, product_of
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class Extend(AuthorizationCommand):
    """Move the due time, or the instant at which a hold lapses, to a later time."""

    by_us: int


def decide(work: Work, it: Extend, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return one_step(
        work,
        it,
        rows,
        context,
        lambda held: hold.extend(held, product_of(held, context), it.by_us, context.now_us),
    )


EXTEND = Operation(Extend, of_authorization, decide)
