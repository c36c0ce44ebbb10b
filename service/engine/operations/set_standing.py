"""SetStanding: suspend or watch a user, or end that."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.errors import NotFound
from service.domain.ledger import Standing
from service.domain.transitions import Transition
from service.engine.aliases import survivor_of
from service.engine.calls import Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.people import announce_of, of_user
from service.engine.posting import line_for
from service.engine.rows import Draft, Rows
from service.engine.tables import LINES, USERS


@dataclass(frozen=True, slots=True)
class SetStanding:
    """Set a person's standing on every line."""

    user_id: str
    standing: Standing


def decide(work: Work, it: SetStanding, rows: Rows, context: Context) -> Decided:
    """Sets the standing on every line; open authorizations go on."""
    user_id = survivor_of(it.user_id, rows)
    if rows[USERS].get(user_id) is None and not rows.lines_of(user_id):
        raise NotFound("user", it.user_id)
    first, _ = line_for(user_id, context.currency, rows, context)
    others = [line.copy() for line in rows.lines_of(user_id) if line.currency != context.currency]
    lines = [first, *others]
    for line in lines:
        line.standing = it.standing
    draft = Draft(list)
    draft[LINES] = lines
    announce_of(draft, Transition.STANDING_SET, user_id, context)
    return Decided(draft, first, user_id, "")


SET_STANDING = Operation(SetStanding, of_user, decide)
