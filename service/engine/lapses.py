"""Adds what time ended or decided to the draft."""

from __future__ import annotations

from service.domain.authorization import Authorization, Step
from service.domain.lapses import lapse_of
from service.engine.records.lapses import LapseRecord
from service.engine.rows import Draft
from service.engine.tables import LAPSES


def add_lapse(draft: Draft, before: Authorization, step: Step, now_us: int) -> LapseRecord | None:
    """Adds and returns the row of a timer's step; None if the step ended nothing."""
    lapse = lapse_of(before, step.transition)
    if lapse is None:
        return None
    it = step.authorization
    row = LapseRecord(
        it.user_id,
        it.authorization_id,
        it.version,
        lapse,
        it.operator_id,
        step.transition,
        step.event_us,
        now_us,
        b"",
    )
    row = row._replace(digest=row.expected_digest)
    draft[LAPSES].append(row)
    return row
