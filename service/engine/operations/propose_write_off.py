"""ProposeWriteOff: one employee proposes to write off the due amount."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collection
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import one_step
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ProposeWriteOff(AuthorizationCommand):
    """Propose to write off the due amount; `by` names the key used."""

    by: str


def decide(work: Work, it: ProposeWriteOff, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return one_step(
        work,
        it,
        rows,
        context,
        lambda held: collection.propose_write_off(held, it.by, context.now_us),
    )


PROPOSE_WRITE_OFF = Operation(ProposeWriteOff, of_authorization, decide)
