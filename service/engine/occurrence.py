"""The time of an event that a client reports later."""

from __future__ import annotations

from service.domain.acts import Act
from service.domain.authorization import Authorization
from service.domain.dunning import HOUR_US
from service.domain.errors import InvalidInput
from service.domain.policy import Policy
from service.engine.clock_gaps import ClockGap
from service.engine.rows import Draft

EARLIEST_OCCURRENCE_US = 60 * 1_000_000
"""The time before the rental's start that is still accepted: clocks may differ by so much."""


def occurred_us(
    caller: str,
    act: Act,
    asked_us: int | None,
    current: Authorization,
    policy: Policy,
    draft: Draft,
    now_us: int,
    *,
    refuses_early: bool = True,
    refuses_old: bool = True,
    lowers: bool = False,
) -> int:
    """The time of the event in microseconds; None in the call means now.

    An event may be reported within the policy's window, and not before the authorization. A time
    long before the start counts as the start, and a time before the window counts as the window's
    beginning. Some commands refuse such times instead. The window does not bound an operator's own
    report that lowers the fee: a refusal would keep the meter running.

    A time later than now counts as now, which never costs the person more. A time a little before
    the rental's start counts as the start. The event is never before the start. This holds even if
    another process with a fast clock wrote a start that is later than now.
    """
    begin_us = current.create_us if current.start_us is None else current.start_us
    if asked_us is None:
        return max(now_us, begin_us)
    window_us = policy.report_window_us
    early = asked_us < begin_us - EARLIEST_OCCURRENCE_US
    old = asked_us < now_us - window_us and not lowers
    if (early and refuses_early and not lowers) or (old and refuses_old):
        raise InvalidInput.of(
            "occurred_at",
            "occurred_at.range",
            "must be at most a minute before the start, and at most"
            f" {window_us // HOUR_US} hours ago",
        )
    if asked_us > now_us:
        draft.clock_gap = ClockGap(caller, act.call, asked_us - now_us, now_us)
    elif asked_us < begin_us:
        draft.clock_gap = ClockGap(caller, act.call, asked_us - begin_us, now_us)
    return max(begin_us, now_us - window_us if old else begin_us, min(asked_us, now_us))
