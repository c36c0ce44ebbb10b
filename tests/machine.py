"""A machine with two clocks that the test moves."""

from __future__ import annotations

from service.clock import ClockNews, SystemClock
from tests.fakes import START_US

YEAR_S = 365 * 86_400
SECOND_NS = 10**9


class Machine:
    """A wall clock that can be set, and a monotonic one."""

    def __init__(self) -> None:
        self._wall_ns = START_US * 1_000
        self._steady_ns = 12_345 * SECOND_NS
        self.told: list[tuple[ClockNews, int]] = []
        self.stop_once_s = 0.0
        """The pause of the process after its next reading of the monotonic clock."""

    def pass_s(self, seconds: float) -> None:
        """Time passes on both clocks."""
        self._wall_ns += round(seconds * SECOND_NS)
        self._steady_ns += round(seconds * SECOND_NS)

    def set_clock(self, by_s: float) -> None:
        """Sets the wall clock forward or back."""
        self._wall_ns += round(by_s * SECOND_NS)

    def now_us(self) -> int:
        """The wall clock's time."""
        return self._wall_ns // 1_000

    def _steady(self) -> int:
        read_ns = self._steady_ns
        stop_s, self.stop_once_s = self.stop_once_s, 0.0
        self.pass_s(stop_s)
        return read_ns

    def clock(self) -> SystemClock:
        """The clock of a process that starts now; its reports are kept in `told`."""
        return SystemClock(
            lambda: self._wall_ns, self._steady, lambda news, off: self.told.append((news, off))
        )
