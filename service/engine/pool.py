"""Thread pools for blocking work: one bounded pool for each kind of work.

The event loop's default pool is shared and unbounded: a flood of one kind of work would delay all
other work, including the server's own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, NoReturn, ParamSpec, TypeVar

from service.bounds import bounded
from service.domain.errors import Exhausted, InvariantBroken

Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of one pool."""

    threads: int = bounded(1, 1, 256)
    """The threads, and so the work done at the same time."""
    max_waiting: int = bounded(64, 0, 1_000_000)
    """The work that may wait for a thread; more is refused."""
    retry_after_ms: int = bounded(100, 1, 3_600_000)
    """The retry delay named by a refusal."""


class Pool(ThreadPoolExecutor):
    """A thread pool for one kind of work; it refuses work beyond its bound."""

    def __init__(self, kind: str, limits: PoolLimits) -> None:
        """`kind` names the work in the plural, for the threads' names and for refusals."""
        super().__init__(limits.threads, thread_name_prefix=kind)
        self._retry_after_ms = limits.retry_after_ms
        self._asked: set[Future[Any]] = set()
        self.kind = kind
        self.threads = limits.threads
        self._most = limits.threads + limits.max_waiting
        self._lock = Lock()
        self.taken = 0
        """The work that runs or waits."""
        self.refused = 0
        """The work refused since the start."""

    def submit(
        self, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        """Runs a call in a thread; thread-safe. Raises Exhausted if too many calls wait."""
        if not self._take():
            reason = f"TOO_MANY_{self.kind.upper().replace(' ', '_')}"
            raise Exhausted(reason, f"too many {self.kind} are waiting", self._retry_after_ms)
        asked: Future[Any] = Future()
        self._asked.add(asked)
        asked.add_done_callback(self._asked.discard)

        def run() -> None:
            # A cancelled call keeps its place in the queue until a thread skips it.
            wanted = asked.set_running_or_notify_cancel()
            try:
                result = fn(*args, **kwargs) if wanted else None
            except BaseException as error:
                self._release()
                asked.set_exception(error)
            else:
                # Release first: the caller may submit its next call as soon as it has the result.
                self._release()
                if wanted:
                    asked.set_result(result)

        try:
            super().submit(run)
        except BaseException:
            self._asked.discard(asked)
            self._release()
            raise
        return asked

    def _take(self) -> bool:
        """Takes a place; returns False if there is none."""
        with self._lock:
            if self.taken >= self._most:
                self.refused += 1
                return False
            self.taken += 1
            return True

    def _release(self) -> None:
        with self._lock:
            self.taken -= 1

    async def run(self, fn: Callable[..., Result], /, *args: Any) -> Result:
        """Runs a call in a thread and returns its result; raises as the call and as `submit`."""
        return await asyncio.get_running_loop().run_in_executor(self, fn, *args)

    def end(self) -> None:
        """Takes no more work and cancels the work that waits; running work goes on."""
        self.shutdown(wait=False)
        for waiting in list(self._asked):
            waiting.cancel()

    @property
    def running(self) -> int:
        """The calls that did not end yet; after `end`, those that a thread still works on."""
        return len(self._asked)


class NoPool(ThreadPoolExecutor):
    """Replaces the event loop's default pool, and refuses all work."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises InvariantBroken."""
        raise InvariantBroken("work was sent to the default pool; give it a Pool of its own")


async def in_a_thread(name: str, work: Callable[[], Result]) -> Result:
    """Runs `work` in a daemon thread, which does not delay the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future
