"""The loop of every worker: a bounded portion of work, then a pause, until it is stopped."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from service.domain.errors import FreeholdError
from service.engine.engine import FaultLog

Work = Callable[[], Awaitable[bool]]
"""Does a bounded portion; says whether more is waiting."""


class Worker:
    """Does one kind of work in the background; a failure is logged and ends nothing."""

    def __init__(
        self,
        name: str,
        work: Work,
        *,
        interval_s: float,
        log_fault: FaultLog,
        pause_s: float | None = None,
    ) -> None:
        """Portions come `interval_s` seconds apart, and `pause_s` while more is waiting, so that
        calls come in between; None: after the interval all the same."""
        self.name = name
        self._work = work
        self._interval_s = interval_s
        self._pause_s = interval_s if pause_s is None else pause_s
        self._log_fault = log_fault
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to work, on the event loop that is running."""
        if self._running is not None:
            raise RuntimeError(f"the worker {self.name} was started twice")
        self._running = asyncio.create_task(self.run(), name=self.name)

    async def stop(self) -> None:
        """Ends the work where it is; a portion that was cut off is found again by the next start.

        Nothing is half done: what a worker writes is one transaction of the committer.
        """
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            more = await self.portion()
            await asyncio.sleep(self._pause_s if more else self._interval_s)

    async def portion(self) -> bool:
        """One portion; says whether more is waiting, and never raises."""
        try:
            return await self._work()
        except FreeholdError:
            return False  # refused, busy or away, which the engine has told; the next round looks
        except Exception as error:
            # What could not be read or done now is looked for again in the next round.
            self._log_fault(secrets.token_hex(8), error)
            return False
