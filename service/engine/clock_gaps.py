"""Clock gaps: counts times from clients that the server had to adjust, and warns of large gaps.

Two clocks never agree exactly, so an impossible time is moved to the nearest possible time. A time
that is far ahead is moved too, but then somebody should set the client's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from service.bounds import bounded


class ClockGap(NamedTuple):
    """A client's time that the server adjusted.

    A positive `gap_us` is the lead of the client's time over the server's `now_us`. A negative one
    is its distance before the rental's start. `method` is the call's name. Times are microseconds.
    """

    caller: str
    method: str
    gap_us: int
    now_us: int


@dataclass(frozen=True, slots=True)
class ClockGapLimits:
    """The bounds of warnings about clients' times, in seconds."""

    far_s: float = bounded(60.0, 0, 86_400)
    """A time further ahead of the server than this causes a warning."""
    pause_s: float = bounded(600.0, 0, 86_400)
    """The least time between two warnings about the same caller and method."""


Warn = Callable[[ClockGap, int], None]
"""A function that warns of a time far ahead; it gets their number since the last warning."""


class ClockGaps:
    """Counts adjusted times, and warns of each caller and method now and then.

    ahead         later than now, and taken as now
    far_ahead     of these, ahead by more than `far_s`
    before_start  earlier than the rental's start, and taken as the start
    """

    def __init__(self, warn: Warn, limits: ClockGapLimits) -> None:
        self.ahead = 0
        self.far_ahead = 0
        self.before_start = 0
        self._warn = warn
        self._far_us = int(limits.far_s * 1_000_000)
        self._pause_us = int(limits.pause_s * 1_000_000)
        self._warned_us: dict[tuple[str, str], int] = {}
        self._unsaid: dict[tuple[str, str], int] = {}

    def add(self, gap: ClockGap) -> None:
        """Counts one gap; call it from one thread only."""
        if gap.gap_us < 0:
            self.before_start += 1
            return
        self.ahead += 1
        if gap.gap_us <= self._far_us:
            return
        self.far_ahead += 1
        # Callers are authenticated, so the keys are bounded by operators and methods.
        key = (gap.caller, gap.method)
        unsaid = self._unsaid.get(key, 0) + 1
        warned_us = self._warned_us.get(key)
        if warned_us is not None and gap.now_us < warned_us + self._pause_us:
            self._unsaid[key] = unsaid
            return
        self._warned_us[key], self._unsaid[key] = gap.now_us, 0
        self._warn(gap, unsaid)
