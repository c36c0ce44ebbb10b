"""Notices terms that somebody else has changed: another server, or a command beside this one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Hashable

from service.engine.engine import FaultLog
from service.engine.pool import Pool


class CatalogWatch:
    """Looks at intervals whether the catalog is still what it was, off the way of the calls."""

    def __init__(
        self,
        mark: Callable[[], Hashable],
        changed: Callable[[], None],
        pool: Pool,
        *,
        interval_s: float,
        log_fault: FaultLog,
    ) -> None:
        """`mark` is another one whenever the catalog is, and is asked for in a thread of the
        pool; `changed` is told."""
        self._mark = mark
        self._changed = changed
        self._pool = pool
        self._interval_s = interval_s
        self._log_fault = log_fault
        self._last: Hashable = None

    async def look(self) -> None:
        """Looks once. The first time the catalog counts as changed: it was read before."""
        mark = await self._pool.run(self._mark)
        if mark != self._last:
            self._last = mark
            self._changed()

    async def run(self) -> None:
        """Looks at intervals until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.look()
            except Exception as error:
                # What could not be read now is looked at again in the next round.
                self._log_fault(secrets.token_hex(8), error)
