"""Wake: run the due timers of one authorization."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import appearances
from service.domain.authorization import Custody
from service.domain.errors import IllegalState, NotFound
from service.engine.calls import Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import apply, brought_up, line_of, product_of
from service.engine.rows import Draft, Rows
from service.engine.tables import AUTHORIZATIONS


@dataclass(frozen=True, slots=True)
class Wake:
    """Run the due timers of one authorization. This command is not a call, and has no request
    record.

    `seen` says that somebody else has the item, which may be missing so far.
    """

    user_id: str
    authorization_id: str
    seen: bool = False


def decide(work: Work, it: Wake, rows: Rows, context: Context) -> Decided:
    """Applies the steps of all due timers; a missing item that is seen has appeared."""
    current = rows[AUTHORIZATIONS].get((it.user_id, it.authorization_id))
    if current is None:
        raise NotFound("authorization", it.authorization_id)
    line = line_of(current, rows).copy()
    draft = Draft(list)
    result = brought_up(current, line, draft, rows, context)
    if it.seen and result.custody is Custody.MISSING:
        step = appearances.appear(result, product_of(result, context), context.now_us)
        result = apply(draft, step, line, rows, context)
    if result is current:
        raise IllegalState("NOTHING_TO_DO", "no timer is due", current.state)
    return Decided(draft, result, result.user_id, result.authorization_id)


WAKE = Operation(Wake, of_authorization, decide)
