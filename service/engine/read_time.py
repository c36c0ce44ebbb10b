"""The time of a read: it has a bound, and it ends when the caller goes away.

A thread that reads for a caller carries a ReadTime. Storage asks for it, and interrupts the
database when the time is over. Threads without one, such as the server's workers, have no bound
here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.domain.errors import Exhausted, FreeholdError, Unavailable


class ReadTime:
    """The time of one read, which begins now; thread-safe."""

    __slots__ = ("_end_s", "_given_up", "_longest_s")

    def __init__(self, longest_s: float, deadline: float | None = None) -> None:
        """It ends after `longest_s` seconds or at the caller's deadline, if that is earlier.

        The deadline is an instant of `time.monotonic`.
        """
        self._longest_s = longest_s
        end_s = time.monotonic() + longest_s
        self._end_s = end_s if deadline is None else min(end_s, deadline)
        self._given_up = False

    def give_up(self) -> None:
        """Ends the time, because nobody waits for the read."""
        self._given_up = True

    @property
    def over(self) -> bool:
        """Whether the read must end."""
        return self._given_up or time.monotonic() >= self._end_s

    def refusal(self) -> FreeholdError:
        """The error of a read that was interrupted."""
        if self._given_up:
            return Unavailable("SHUTTING_DOWN", "the server is shutting down")
        return Exhausted(
            "READ_TOO_LONG",
            f"the read took longer than {self._longest_s:g} s, or than the call's deadline allows:"
            " ask for less by a smaller page_size or by one more filter, such as user_id",
        )


class _Local(threading.local):
    time: ReadTime | None = None


_LOCAL = _Local()


def read_time() -> ReadTime | None:
    """The time of the read in this thread; None if the read has no bound."""
    return _LOCAL.time


@contextmanager
def timed(given: ReadTime) -> Iterator[None]:
    """Gives the reads of this thread a time within the block."""
    _LOCAL.time = given
    try:
        yield
    finally:
        _LOCAL.time = None
