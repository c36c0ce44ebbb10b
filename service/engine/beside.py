"""Adds to the event of a step the other rows that the step wrote.

The answer shares the event's bytes. By these bytes the verifier notices that a row was removed.
"""

from __future__ import annotations

from service.domain.cases import Case
from service.domain.errors import InvariantBroken
from service.engine.calls import Beside
from service.engine.context import Context
from service.engine.rows import Draft
from service.engine.tables import OUTBOX


def tell(draft: Draft, row: Beside, context: Context) -> None:
    """Adds the content of a row to the event of the step that wrote the row."""
    version = row.open_version if isinstance(row, Case) else row.authorization_version
    step = (row.user_id, row.authorization_id, version)
    events = draft[OUTBOX]
    for place in reversed(range(len(events))):
        event = events[place]
        if event[1:4] == step:
            told = event.payload + context.encode_beside(row)
            events[place] = event._replace(payload=told)
            return
    raise InvariantBroken("a row belongs to no step of its command")
