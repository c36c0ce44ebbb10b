"""Times that clients told and the server could not take as they are: counted, and warned of.

Two clocks never agree to the last millisecond, so that a time a little off is taken as the nearest
one that can be. A time that is far ahead is taken as well, and somebody should set that clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from service.bounds import bounded


class ClockGap(NamedTuple):
    """A client told a time that was moved to one that the server can take.

    `gap_us` is how much later than the server's `now_us` it was, or, negative, how much earlier
    than the start. `method` is the call's name. Microseconds.
    """

    caller: str
    method: str
    gap_us: int
    now_us: int


@dataclass(frozen=True, slots=True)
class ClockGapLimits:
    """When a client's time is warned of, in seconds."""

    far_s: float = bounded(60.0, 0, 86_400)
    """How far ahead of the server it may be before it is."""
    pause_s: float = bounded(600.0, 0, 86_400)
    """How long there is no other warning of the same caller and method."""


Warn = Callable[[ClockGap, int], None]
"""Warns of a time that is far ahead; of so many since the last warning, this one included."""


class ClockGaps:
    """Counts times that were moved; warns of a caller and method now and then, however many come.

    ahead         taken as now, since they were later
    far_ahead     of these, by more than `far_s`
    before_start  taken as the start, since they were earlier
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
        """One more; for one thread."""
        if gap.gap_us < 0:
            self.before_start += 1
            return
        self.ahead += 1
        if gap.gap_us <= self._far_us:
            return
        self.far_ahead += 1
        # As many as there are operators and methods: who calls was known by a key.
        key = (gap.caller, gap.method)
        unsaid = self._unsaid.get(key, 0) + 1
        warned_us = self._warned_us.get(key)
        if warned_us is not None and gap.now_us < warned_us + self._pause_us:
            self._unsaid[key] = unsaid
            return
        self._warned_us[key], self._unsaid[key] = gap.now_us, 0
        self._warn(gap, unsaid)
