"""Group commit: one bounded queue, one writer, one transaction a batch.

asyncio hands calls over one by one, so a writer that takes whatever is there commits a handful
at a time and pays for a transaction each time. The writer therefore lingers for a moment when
enough calls are expected to arrive in it (`linger_s`), and not when the server is quiet.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from service.domain.errors import UNKNOWN, Exhausted, FreeholdError, Unavailable
from service.engine.commands import Work
from service.engine.engine import Result

Apply = Callable[[Sequence[Work]], list[Result]]


@dataclass(frozen=True, slots=True)
class CommitLimits:
    """Bounds of the queue and the batch.

    The writer lingers at most `max_linger_s`, at most as long as a batch takes to arrive, and
    only when at least `min_arrivals` calls are expected meanwhile. It stops waiting when nothing
    arrived for `quiet_s`, or for `patience_s` while fewer wait than the last batch had: callers
    who wait for their answers come back together.
    """

    max_queue: int = 4096
    max_batch: int = 64
    max_linger_s: float = 0.010
    quiet_s: float = 0.001
    patience_s: float = 0.003
    min_arrivals: float = 4.0
    rate_window_s: float = 0.05


@dataclass(slots=True)
class CommitStatistics:
    """What the writer did so far; `sizes` counts batches by their number of commands."""

    batches: int = 0
    commands: int = 0
    sizes: Counter[int] = field(default_factory=Counter)

    @property
    def batch_mean(self) -> float:
        """Commands a batch; 0 before the first."""
        return self.commands / self.batches if self.batches else 0.0


class ArrivalRate:
    """Calls a second, as an exponential average over a short window."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._count = 0
        self._since = 0.0
        self.per_second = 0.0

    def count(self) -> None:
        """One more call arrived."""
        self._count += 1

    def measure(self, now: float) -> float:
        """The rate as of now (seconds of any steady clock)."""
        elapsed = now - self._since
        if elapsed >= self._window_s:
            weight = min(1.0, elapsed / (4 * self._window_s))
            self.per_second += weight * (self._count / elapsed - self.per_second)
            self._count, self._since = 0, now
        return self.per_second


def linger_s(rate_per_second: float, waiting: int, limits: CommitLimits) -> float:
    """How long to wait for more calls before taking a batch, in seconds."""
    if waiting >= limits.max_batch or rate_per_second <= 0:
        return 0.0
    pause = min(limits.max_linger_s, limits.max_batch / rate_per_second)
    return pause if pause * rate_per_second >= limits.min_arrivals else 0.0


class Committer:
    """The only way in for calls that change something. Lives on one event loop."""

    def __init__(self, apply: Apply, limits: CommitLimits) -> None:
        self._apply = apply
        self._limits = limits
        self._queue: deque[tuple[Work, asyncio.Future[bytes]]] = deque()
        self._arrived = asyncio.Event()
        self._filled = asyncio.Event()
        self._closing = False
        self._last_batch = 0
        self._rate = ArrivalRate(limits.rate_window_s)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="committer")
        self._task: asyncio.Task[None] | None = None
        self.statistics = CommitStatistics()

    def start(self) -> None:
        """Starts the writer."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="committer")

    @property
    def waiting(self) -> int:
        """Commands in the queue."""
        return len(self._queue)

    async def submit(self, work: Work) -> bytes:
        """The answer's bytes, once what they say is committed.

        Raises what the domain refuses; Exhausted when the queue is full; Unavailable while
        shutting down or when the outcome is unknown.
        """
        if self._closing:
            raise Unavailable("SHUTTING_DOWN", "the server is shutting down")
        queue = self._queue
        if len(queue) >= self._limits.max_queue:
            raise Exhausted("QUEUE_FULL", "too many calls are waiting", retry_after_ms=100)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        queue.append((work, future))
        self._rate.count()
        self._arrived.set()
        if len(queue) >= self._limits.max_batch:
            self._filled.set()
        return await future

    async def close(self) -> None:
        """Refuses new work, finishes what is queued, stops the writer."""
        self._closing = True
        self._arrived.set()
        self._filled.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                continue
            pause = linger_s(self._rate.measure(loop.time()), len(self._queue), self._limits)
            if pause and not self._closing:
                await self._linger(pause)
            taken = [
                self._queue.popleft() for _ in range(min(len(self._queue), self._limits.max_batch))
            ]
            works = [work for work, _ in taken]
            try:
                results = await loop.run_in_executor(self._thread, self._apply, works)
            except Exception:
                # `apply` promises not to raise; the writer must not end over a broken promise.
                results = [Unavailable("OUTCOME_UNKNOWN", UNKNOWN) for _ in works]
            self._last_batch = len(works)
            self.statistics.batches += 1
            self.statistics.commands += len(works)
            self.statistics.sizes[len(works)] += 1
            for (_, future), result in zip(taken, results, strict=True):
                if future.done():
                    continue  # the caller went away; a retry finds the answer
                if isinstance(result, FreeholdError):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    async def _linger(self, pause: float) -> None:
        """Waits until a batch is full, or the pause is over, or nothing arrives any more."""
        loop = asyncio.get_running_loop()
        end = loop.time() + pause
        self._filled.clear()
        limits, waiting = self._limits, -1
        while waiting < len(self._queue) < limits.max_batch and loop.time() < end:
            waiting = len(self._queue)
            fewer = 8 * waiting < 7 * self._last_batch
            quiet_s = limits.patience_s if fewer else limits.quiet_s
            slice_end = loop.call_later(quiet_s, self._filled.set)
            await self._filled.wait()
            slice_end.cancel()
            self._filled.clear()
