"""Threads for work that blocks: each kind of work has a pool of its own, and each pool a bound.

The event loop's default pool has neither: a flood of one kind of work would keep all others
waiting, those of the server itself included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any, NoReturn, ParamSpec, TypeVar

from service.bounds import bounded
from service.domain.errors import Exhausted, InvariantBroken

Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of one pool."""

    threads: int = bounded(1, 1, 256)
    max_waiting: int = bounded(64, 0, 1_000_000)
    """Work that waits for a thread; more is refused."""
    retry_after_ms: int = bounded(100, 1, 3_600_000)
    """The delay that a refusal tells the caller."""


class Pool(ThreadPoolExecutor):
    """Threads for one kind of work. Work beyond the bound is refused, and nothing is kept of it."""

    def __init__(self, kind: str, limits: PoolLimits) -> None:
        """`kind` names the work in the plural: in the threads' names and in refusals."""
        super().__init__(limits.threads, thread_name_prefix=kind)
        self._kind = kind
        self._retry_after_ms = limits.retry_after_ms
        self._room = BoundedSemaphore(limits.threads + limits.max_waiting)

    def submit(
        self, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        """Runs a call in a thread; for any thread. Raises Exhausted when too many calls wait."""
        if not self._room.acquire(blocking=False):
            reason = f"TOO_MANY_{self._kind.upper().replace(' ', '_')}"
            raise Exhausted(reason, f"too many {self._kind} are waiting", self._retry_after_ms)
        asked: Future[Any] = Future()

        def run() -> None:
            # A call that nobody waits for any more has its place until a thread has passed it by.
            wanted = asked.set_running_or_notify_cancel()
            try:
                result = fn(*args, **kwargs) if wanted else None
            except BaseException as error:
                self._room.release()
                asked.set_exception(error)
            else:
                # Before the caller knows, who may come with the next one at once.
                self._room.release()
                if wanted:
                    asked.set_result(result)

        try:
            super().submit(run)
        except BaseException:
            self._room.release()
            raise
        return asked

    async def run(self, fn: Callable[..., Result], /, *args: Any) -> Result:
        """What a call returns, run in a thread; raises as it does, and as `submit`."""
        return await asyncio.get_running_loop().run_in_executor(self, fn, *args)


class NoPool(ThreadPoolExecutor):
    """Stands where the event loop's default pool would, and refuses all work."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises InvariantBroken."""
        raise InvariantBroken("work for the default pool: give it a Pool of its own")
