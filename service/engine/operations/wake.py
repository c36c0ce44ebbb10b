"""Wake: run the due timers of one authorization."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.errors import IllegalState, NotFound
from service.engine.calls import Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import brought_up, line_of
from service.engine.rows import Draft, Rows
from service.engine.tables import AUTHORIZATIONS


@dataclass(frozen=True, slots=True)
class Wake:
    """Run the due timers of one authorization; it is not a call, and has no request record."""

    user_id: str
    authorization_id: str


def decide(work: Work, it: Wake, rows: Rows, context: Context) -> Decided:
    """Applies the steps of all due timers."""
    current = rows[AUTHORIZATIONS].get((it.user_id, it.authorization_id))
    if current is None:
        raise NotFound("authorization", it.authorization_id)
    line = line_of(current, rows).copy()
    draft = Draft(list)
    result = brought_up(current, line, draft, rows, context)
    if result is current:
        raise IllegalState("NOTHING_TO_DO", "no timer is due", current.state)
    return Decided(draft, result, result.user_id, result.authorization_id)


WAKE = Operation(Wake, of_authorization, decide)
