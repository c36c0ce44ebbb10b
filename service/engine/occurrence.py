"""When something occurred that a client reports later."""

from __future__ import annotations

from service.domain.authorization import Act, Authorization
from service.domain.dunning import DAY_US
from service.domain.errors import InvalidInput
from service.engine.clock_gaps import ClockGap
from service.engine.rows import Draft

OLDEST_OCCURRENCE_US = DAY_US
"""How far back a device may say that something occurred."""
EARLIEST_OCCURRENCE_US = 60 * 1_000_000
"""How long before the start; another server's clock, or the device's own, may be off by so much."""


def occurred_us(
    caller: str, act: Act, asked_us: int | None, current: Authorization, draft: Draft, now_us: int
) -> int:
    """When it occurred, by the caller; not told: now.

    What is later than now is taken as now, which never costs the person more, and what is a little
    earlier than the start as the start. Where another process whose clock is ahead has written the
    start, nothing occurs before that, not even now.
    """
    begin_us = current.create_us if current.start_us is None else current.start_us
    if asked_us is None:
        return max(now_us, begin_us)
    if asked_us < max(begin_us - EARLIEST_OCCURRENCE_US, now_us - OLDEST_OCCURRENCE_US):
        raise InvalidInput.of(
            "occurred_at",
            "occurred_at.range",
            "at most a minute before the start, and at most a day ago",
        )
    if asked_us > now_us:
        draft.clock_gap = ClockGap(caller, act.call, asked_us - now_us, now_us)
    elif asked_us < begin_us:
        draft.clock_gap = ClockGap(caller, act.call, asked_us - begin_us, now_us)
    return max(begin_us, min(asked_us, now_us))
