"""The first answer of a request id, which a retry gets again."""

from __future__ import annotations

import time

from service.domain.errors import DeadlineTooNear, FreeholdError, RequestIdReused
from service.engine.calls import Work
from service.engine.operations.authorize import Authorize
from service.engine.records.requests import TOMBSTONE
from service.engine.rows import Rows
from service.engine.tables import REQUESTS


def first_answer(work: Work, rows: Rows) -> bytes | FreeholdError | None:
    """The stored answer of the request id; None if the work must be decided.

    Raises RequestIdReused for another request, and DeadlineTooNear if the caller's deadline is
    over.
    """
    first = rows[REQUESTS].get((work.caller, work.request_id)) if work.request_id else None
    if first is not None and first.method != TOMBSTONE:
        return first.answer_again(work.method, work.body, work.differing_field)
    if first is not None and not isinstance(work.command, Authorize):
        raise RequestIdReused("method")
    if work.deadline is not None and work.deadline <= time.monotonic():
        raise DeadlineTooNear
    return None
