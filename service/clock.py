"""Where time comes from; everything else is given an instant."""

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
"""A step is forgotten at a tenth of the time that goes by: no daemon slews faster."""
LOOKS = 5


@dataclass(frozen=True, slots=True)
class ClockLimits:
    """How far the machine's clock may be off, in seconds."""

    most_apart_s: float = bounded(10.0, 1, 3600)
    """How far the machine's two clocks may move apart. A daemon that keeps time, or a virtual
    machine that is moved, steps by less; and no term of a rental is so short that it would
    matter."""
    most_behind_s: float = bounded(60.0, 0, 86_400)
    """How far the clock may be behind the newest row at the start, as those of two servers may
    be."""
    most_ahead_s: float = bounded(30 * 86_400, 60, 3650 * 86_400)
    """How long nothing may have happened before the start, unless somebody vouches for the
    clock."""


CLOCK_LIMITS = ClockLimits()


class Clock(Protocol):
    """A source of instants."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...

    @property
    def trusted(self) -> bool:
        """Whether it may be done now what time alone brings: lapse, lose, sell, hand in."""
        ...


class ClockNews(StrEnum):
    """What a clock has to tell; each is the event of a line in the log."""

    JUMPED = "clock_jumped"
    RIGHT_AGAIN = "clock_right_again"
    BEHIND = "clock_behind_the_database"


Tell = Callable[[ClockNews, int], None]
"""Takes the news and by how much the machine's clock is off, in microseconds; ahead is positive."""


def _steady_source() -> Callable[[], int]:
    """Nanoseconds that nobody sets, counted while the machine sleeps too, where that is had."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
    return time.monotonic_ns


def _say_nothing(_news: ClockNews, _off_us: int) -> None:
    pass


class SystemClock:
    """The machine's clock, which never goes backwards within a process and follows no jump.

    Each reading compares the wall clock, which anybody may set, with a steady clock, which nobody
    can. As long as they agree within `most_apart_s` the wall clock counts; after a small step back
    time stands still until the wall clock has caught up. When they do not, that is a jump: it is
    told, time goes on from before it by the steady clock, so that calls are answered as if nothing
    had happened, and the clock is not `trusted`, so that the timers and the transfers rest. When
    the wall clock comes back it is followed again, and that is told too.

    A jump that stays is not followed, however long: nobody here can tell the operator who sets a
    wrong clock right from the fault that sets a right one wrong, and a rental that was sold by a
    wrong clock is not brought back. Whoever knows restarts the process, which takes the wall clock
    as it then is. A virtual machine that was stopped for longer than `most_apart_s` sees a jump
    as well.

    At the start there is nothing to compare with but the database (`compare_start`). A clock behind
    its newest row is told and no more: what is done late harms nobody. With one that is
    `most_ahead_s` ahead no server starts unless somebody vouches for it: any call would sell by
    that clock, and its event would make the clock look right from then on.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] | None = None,
        tell: Tell = _say_nothing,
        limits: ClockLimits = CLOCK_LIMITS,
    ) -> None:
        """`wall_ns` is nanoseconds since the epoch, `steady_ns` since whenever; `tell` must not
        block: it is called by whoever asks for the time."""
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns or _steady_source()
        self._tell = tell
        self._most_apart_ns = int(limits.most_apart_s * 1_000_000_000)
        self._most_behind_us = int(limits.most_behind_s * SECOND_US)
        self._most_ahead_us = int(limits.most_ahead_s * SECOND_US)
        self._lock = Lock()
        self._looked_ns, wall = self._read_together()
        # By how much the wall clock is ahead of the steady one, as far as that is believed.
        self._ahead_ns = wall - self._looked_ns
        self._jump_ns = 0
        self._last_us = 0

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC; at least the last answer."""
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
            self._looked_ns = steady_ns
            if now_us > self._last_us:
                self._last_us = now_us
            now_us = self._last_us
        if news is not None:
            self._tell(news, off_ns // 1000)
        return now_us

    def _read_together(self) -> tuple[int, int]:
        """Steady and wall clock of one moment, of several looks the one that took the shortest.

        A process may be stopped between two readings, for any time.
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
    def trusted(self) -> bool:
        """Whether wall and steady clock agree by now."""
        self.now_us()
        return not self._jump_ns

    def compare_start(self, newest_us: int | None, *, vouched: bool) -> None:
        """Compares the clock with the newest row of the database, in microseconds since the epoch;
        None: there is none. `vouched`: somebody says that the clock is right.

        Raises ClockUnproven when it is more than `most_ahead_s` ahead and nobody vouches for it.
        """
        if newest_us is None:
            return
        off_us = self.now_us() - newest_us
        if off_us < -self._most_behind_us:
            self._tell(ClockNews.BEHIND, off_us)
        elif off_us > self._most_ahead_us and not vouched:
            raise ClockUnproven(
                f"the machine's clock is {off_us / DAY_US:,.1f} days ahead of the newest event in "
                "the database: set the clock right; or, where it is right and nothing happened for "
                "so long, start once with --trust-clock"
            )


class SandboxClock:
    """A clock that stands still until it is told to go on."""

    trusted = True

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
