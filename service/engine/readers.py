"""The threads for calls that only read: callers take turns, and each read has a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple, Protocol, TypeVar

from service.bounds import bounded
from service.domain.access import Principal
from service.domain.errors import Exhausted
from service.engine.read_time import ReadTime, timed
from service.engine.turns import Full, Turns

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """Bounds of the threads for reads."""

    threads: int = bounded(8, 1, 256)
    """The reads at the same time, of all callers together."""
    max_waiting: int = bounded(1024, 1, 1_000_000)
    """The reads of all callers together that may wait for a thread."""
    max_waiting_each: int = bounded(256, 1, 1_000_000)
    """The reads of one operator, or of the platform, that may wait for a thread."""
    retry_after_ms: int = bounded(100, 1, 3_600_000)
    """The retry delay of a read that found no room to wait."""
    longest_s: float = bounded(5.0, 0.01, 3600)
    """The longest time of one read; the call's deadline may end it earlier."""


class Asker(Protocol):
    """The call that a read is for."""

    @property
    def principal(self) -> Principal:
        """The caller; all keys of one operator share its turns."""
        ...

    @property
    def deadline(self) -> float | None:
        """An instant of `time.monotonic`."""
        ...


class _Read(NamedTuple):
    """A read that waits for its turn."""

    read: Callable[[], Any]
    answer: Future[Any]
    asker: Asker


class Readers:
    """Threads that operators and the platform share by turns.

    A caller's read waits for the caller's own earlier reads, and for one read of each other caller
    in each turn; so a flood of one caller delays the others by one read of each thread at most.
    """

    kind = "reads"
    """The name of the threads."""

    def __init__(self, limits: ReaderLimits) -> None:
        self._limits = limits
        self.threads = limits.threads
        self.refused = 0
        """The reads refused since the start, because too many waited."""
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix=self.kind)
        # Guards the turns and the running reads.
        self._lock = Lock()
        self._turns: Turns[_Read] = Turns(limits.max_waiting, limits.max_waiting_each)
        self._running: dict[Future[Any], ReadTime] = {}

    async def run(self, asker: Asker, read: Callable[[], Answer]) -> Answer:
        """The result of a read for a call.

        A read is interrupted if its time is over or if the call is cancelled. Raises Exhausted if
        too many reads wait or the read takes too long; raises as the read does.
        """
        answer: Future[Answer] = Future()
        caller = asker.principal.operator_id
        try:
            with self._lock:
                self._turns.put(caller, _Read(read, answer, asker))
        except Full as full:
            self.refused += 1
            whose = "of this caller " if full.of_caller else ""
            text = f"too many reads {whose}are waiting"
            raise Exhausted("TOO_MANY_READS", text, self._limits.retry_after_ms) from None
        # There are as many of these as reads that wait: each takes the read whose turn it is.
        self._threads.submit(self._next)
        try:
            return await asyncio.wrap_future(answer)
        except asyncio.CancelledError:
            with self._lock:
                if not answer.cancel() and answer in self._running:
                    self._running[answer].give_up()
            raise

    def _next(self) -> None:
        with self._lock:
            for taken in self._turns.take(1):
                # A read that was cancelled in the queue keeps its place there until its turn.
                if taken.answer.set_running_or_notify_cancel():
                    break
            else:
                return
            time = ReadTime(self._limits.longest_s, taken.asker.deadline)
            self._running[taken.answer] = time
        try:
            with timed(time):
                result = taken.read()
        except BaseException as error:
            self._ended(taken.answer)
            taken.answer.set_exception(error)
        else:
            self._ended(taken.answer)
            taken.answer.set_result(result)

    def _ended(self, answer: Future[Any]) -> None:
        with self._lock:
            del self._running[answer]

    def end(self) -> None:
        """Takes no more reads, cancels those that wait, and interrupts the running ones."""
        with self._lock:
            for time in self._running.values():
                time.give_up()
            for waiting in self._turns.take(len(self._turns)):
                waiting.answer.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def shutdown(self) -> None:
        """As `end`, and waits for the threads."""
        self.end()
        self._threads.shutdown()

    @property
    def taken(self) -> int:
        """The reads that run or wait."""
        return len(self._running) + len(self._turns)

    @property
    def running(self) -> int:
        """The reads that a thread works on."""
        return len(self._running)
