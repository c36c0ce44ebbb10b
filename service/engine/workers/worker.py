"""The loop of every worker: a bounded portion of work, then a pause, until it is stopped."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

from service.domain.errors import FreeholdError
from service.engine.engine import FaultLog

Work = Callable[[], Awaitable[bool]]
"""A function that does a bounded portion of work; it returns True if more is waiting."""


class Worker:
    """Runs one kind of work in the background; a failure is logged and does not end it."""

    def __init__(
        self,
        name: str,
        work: Work,
        *,
        interval_s: float,
        log_fault: FaultLog,
        pause_s: float | None = None,
    ) -> None:
        """The pause between portions is `interval_s` seconds, and `pause_s` while more is waiting.

        Calls run during the pauses. If `pause_s` is None, every pause is `interval_s`.
        """
        self.name = name
        self._work = work
        self._pause_s = interval_s if pause_s is None else pause_s
        self._log_fault = log_fault
        self._running: asyncio.Task[None] | None = None
        self.interval_s = interval_s
        self.failures = 0
        """The portions that failed since the start."""
        self._succeeded_s = time.monotonic()

    @property
    def idle_s(self) -> float:
        """The seconds since the last success, or since the start before the first success."""
        return time.monotonic() - self._succeeded_s

    def start(self) -> None:
        """Starts the work on the running event loop."""
        if self._running is not None:
            raise RuntimeError(f"the worker {self.name} was started twice")
        self._succeeded_s = time.monotonic()
        self._running = asyncio.create_task(self.run(), name=self.name)

    async def stop(self) -> None:
        """Stops the work at once; the next start finds the interrupted portion again.

        No write is left half done: each is one transaction of the committer.
        """
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def run(self) -> None:
        """Runs portions until cancelled."""
        while True:
            more = await self.portion()
            await asyncio.sleep(self._pause_s if more else self.interval_s)

    async def portion(self) -> bool:
        """Runs one portion; returns True if more is waiting, and never raises."""
        try:
            more = await self._work()
        except FreeholdError:
            # Refused, busy or unavailable, which the engine has logged: the next round tries again.
            self.failures += 1
            return False
        except Exception as error:
            # The next round tries again.
            self.failures += 1
            self._log_fault(secrets.token_hex(8), error)
            return False
        self._succeeded_s = time.monotonic()
        return more
