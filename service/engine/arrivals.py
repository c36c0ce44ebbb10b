"""Measures of the calls that arrive at the writer of group commit: their rate, the number of their
callers, and whether it pays to wait for more of them."""

from __future__ import annotations

RETURNING = 1.5
"""Waits pay if they bring so many times the calls that arrive in such a time on average."""

PROBING = 64
"""While waits do not pay, the writer waits before one batch in so many, to learn if they do now."""


class ArrivalRate:
    """The rate of calls in a second, an exponential average over a short window."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._arrived = 0
        self._since = 0.0
        self.per_second = 0.0

    def measure(self, now: float, arrived: int) -> float:
        """The rate at `now` (seconds of any steady clock), with `arrived` calls since the start."""
        elapsed = now - self._since
        if elapsed >= self._window_s:
            weight = min(1.0, elapsed / (4 * self._window_s))
            self.per_second += weight * ((arrived - self._arrived) / elapsed - self.per_second)
            self._arrived, self._since = arrived, now
        return self.per_second


class Crowd:
    """The number of calls at a time: the largest number that were present at once recently.

    Only the moments at which the last two batches were answered count as recent. A caller that is
    away for one batch still counts for the next one; a caller that has left soon does not.
    """

    def __init__(self) -> None:
        self._last = self._before = 0

    def answered(self, here: int) -> None:
        """Records the number of calls, waiting or in the batch, when a batch was answered."""
        self._last, self._before = here, self._last

    @property
    def size(self) -> int:
        """The known number of callers."""
        return max(self._last, self._before)


class Waits:
    """The measure of whether it pays to wait for more calls.

    Callers that come back after their answers all arrive while the writer waits, and none while it
    works: a wait brings far more calls than arrive on average. Calls of many people who do not wait
    for one another arrive at one rate all the time, and to wait for them only delays them.
    """

    def __init__(self) -> None:
        self._brought, self._expected = 2 * RETURNING, 1.0
        self._skipped = 0

    def pay(self) -> bool:
        """Whether to wait before the next batch."""
        if self._brought >= RETURNING * self._expected:
            return True
        self._skipped += 1
        return self._skipped % PROBING == 0

    def ended(self, brought: int, per_second: float, waited_s: float, pause_s: float) -> None:
        """Records the calls that a wait brought, at a rate of arrivals.

        `waited_s` is the time of the wait, which was to take at most `pause_s`. A wait that
        outlasts its pause measures a machine that stood still, or a loop that came late to read the
        calls, so the pause counts.

        Both are averaged apart. A wait ends with the call that it waited for, so after a short one
        the ratio of the two is high by chance.
        """
        self._brought += (brought - self._brought) / 4
        expected = per_second * min(waited_s, pause_s)
        self._expected += (expected - self._expected) / 4
