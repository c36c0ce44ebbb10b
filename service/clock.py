"""Clocks, the source of time; all other code receives instants."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from threading import Lock
from typing import Protocol

from service.bounds import bounded
from service.domain.errors import ClockUnproven

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
SLEW_DIVISOR = 10
"""A step is forgotten over ten times its length; no daemon slews faster."""
LOOKS = 5


@dataclass(frozen=True, slots=True)
class ClockLimits:
    """The accepted errors of the machine's clock, in seconds."""

    most_apart_s: float = bounded(10.0, 1, 3600)
    """The most that the wall clock and the steady clock may drift apart.

    A time daemon, or the move of a virtual machine, makes smaller steps. No term of a rental is so
    short that such a step matters.
    """
    most_behind_s: float = bounded(60.0, 0, 86_400)
    """The most that the clock may be behind the newest row at the start.

    The clocks of two servers may differ by so much.
    """
    most_ahead_s: float = bounded(30 * 86_400, 60, 3650 * 86_400)
    """The longest time without an event before the start, unless the clock is confirmed."""


CLOCK_LIMITS = ClockLimits()


class Clock(Protocol):
    """A source of instants."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...

    @property
    def trusted(self) -> bool:
        """True if timers and transfers may run by this clock."""
        ...


class ClockNews(StrEnum):
    """News of a clock; each value is the event of a log line."""

    JUMPED = "clock_jumped"
    RIGHT_AGAIN = "clock_right_again"
    BEHIND = "clock_behind_the_database"


Tell = Callable[[ClockNews, int], None]
"""A function that receives news and the error of the machine's clock in microseconds.

A positive error means that the clock is ahead.
"""


def _steady_source() -> Callable[[], int]:
    """A clock in nanoseconds that nobody can set. Where possible, it also counts the time in which
    the machine sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
    return time.monotonic_ns


def _say_nothing(_news: ClockNews, _off_us: int) -> None:
    pass


class SystemClock:
    """The machine's clock; it never goes backwards within a process, and ignores jumps.

    Each reading compares the wall clock, which can be set, with a steady clock, which cannot. While
    they agree within `most_apart_s`, the wall clock counts. After a small step back, time stands
    still until the wall clock has caught up.

    A larger difference is a jump, and is reported. Time then continues from before the jump by the
    steady clock, so calls are answered as usual. Meanwhile the clock is not `trusted`, so that
    timers and transfers rest. When the wall clock is right again, it is used again, and that is
    reported too.

    A lasting jump is never followed. The process cannot distinguish the correction of a wrong clock
    from the fault of a right clock. A rental that was sold by a wrong clock cannot be undone. If
    the new time is right, restart the process: it starts with the wall clock of that moment. A
    virtual machine that was stopped for longer than `most_apart_s` also sees a jump.

    At the start there is only the database to compare with (`compare_start`). A clock behind the
    newest row is only reported, because late work harms nobody. If the clock is ahead by more than
    `most_ahead_s`, the server starts only with a confirmed clock. Otherwise any call would sell
    items by the wrong clock, and the event of this call would make the clock look right from then
    on.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] | None = None,
        tell: Tell = _say_nothing,
        limits: ClockLimits = CLOCK_LIMITS,
    ) -> None:
        """`wall_ns` counts nanoseconds since the epoch, `steady_ns` since any fixed instant.

        `tell` must not block, because readers of the clock call it.
        """
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns or _steady_source()
        self._tell = tell
        self._most_apart_ns = int(limits.most_apart_s * 1_000_000_000)
        self._most_behind_us = int(limits.most_behind_s * SECOND_US)
        self._most_ahead_us = int(limits.most_ahead_s * SECOND_US)
        self._lock = Lock()
        self._looked_ns, wall = self._read_together()
        # The accepted difference between the wall clock and the steady clock.
        self._ahead_ns = wall - self._looked_ns
        self._jump_ns = 0
        self._off_ns = 0
        self._last_us = 0

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC; never less than an earlier result."""
        news = None
        with self._lock:
            steady_ns = self._steady_ns()
            wall_ns = self._wall_ns()
            off_ns = wall_ns - steady_ns - self._ahead_ns
            most_apart_ns = self._most_apart_ns
            if not -most_apart_ns <= off_ns <= most_apart_ns:
                steady_ns, wall_ns = self._read_together()
                off_ns = wall_ns - steady_ns - self._ahead_ns
            if -most_apart_ns <= off_ns <= most_apart_ns:
                if off_ns:
                    most_ns = (steady_ns - self._looked_ns) // SLEW_DIVISOR
                    self._ahead_ns += max(-most_ns, min(most_ns, off_ns))
                if self._jump_ns:
                    news, self._jump_ns = ClockNews.RIGHT_AGAIN, 0
                now_us = wall_ns // 1000
            else:
                if abs(off_ns - self._jump_ns) > most_apart_ns:
                    news, self._jump_ns = ClockNews.JUMPED, off_ns
                now_us = (steady_ns + self._ahead_ns) // 1000
            self._looked_ns, self._off_ns = steady_ns, off_ns
            if now_us > self._last_us:
                self._last_us = now_us
            now_us = self._last_us
        if news is not None:
            self._tell(news, off_ns // 1000)
        return now_us

    def _read_together(self) -> tuple[int, int]:
        """The steady and the wall clock at one moment: the fastest of several pairs of readings.

        The process may be stopped between two readings, for any time.
        """
        best = (0, 0)
        shortest_ns: int | None = None
        for _ in range(LOOKS):
            before_ns = self._steady_ns()
            wall_ns = self._wall_ns()
            took_ns = self._steady_ns() - before_ns
            if shortest_ns is None or took_ns < shortest_ns:
                best, shortest_ns = (before_ns, wall_ns), took_ns
        return best

    @property
    def off_us(self) -> int:
        """The lead of the machine's clock over this one now, in microseconds."""
        self.now_us()
        return self._off_ns // 1000

    @property
    def trusted(self) -> bool:
        """True if the wall clock and the steady clock agree now."""
        self.now_us()
        return not self._jump_ns

    def compare_start(self, newest_us: int | None, *, vouched: bool) -> None:
        """Compares the clock with the newest row (microseconds since the epoch, or None).

        `vouched` means that the operator of the server confirms the clock. Raises ClockUnproven if
        the clock is ahead by more than `most_ahead_s` and not confirmed.
        """
        if newest_us is None:
            return
        off_us = self.now_us() - newest_us
        if off_us < -self._most_behind_us:
            self._tell(ClockNews.BEHIND, off_us)
        elif off_us > self._most_ahead_us and not vouched:
            raise ClockUnproven(
                f"the machine's clock is {off_us / DAY_US:,.1f} days ahead of the newest event in "
                "the database: correct the clock; if the clock is right and nothing happened for "
                "so long, start once with --trust-clock"
            )


class SandboxClock:
    """A clock that stands still until `advance` moves it."""

    trusted = True

    def __init__(self, start_us: int) -> None:
        self._now_us = start_us

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC, as last set."""
        return self._now_us

    def advance(self, now_us: int) -> bool:
        """Moves the clock; returns False, and moves nothing, if the instant is in the past."""
        if now_us < self._now_us:
            return False
        self._now_us = now_us
        return True
