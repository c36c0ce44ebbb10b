"""Where time comes from; everything else is given an instant."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of instants."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's clock, which never goes backwards within a process."""

    def __init__(self) -> None:
        self._last_us = 0

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC; at least the last answer."""
        self._last_us = max(self._last_us, time.time_ns() // 1000)
        return self._last_us


class SandboxClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, start_us: int) -> None:
        self._now_us = start_us

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC, as last set."""
        return self._now_us

    def advance(self, now_us: int) -> bool:
        """Moves the clock; False, and unmoved, when the instant lies in the past."""
        if now_us < self._now_us:
            return False
        self._now_us = now_us
        return True
