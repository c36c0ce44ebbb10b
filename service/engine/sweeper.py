"""The sweeper: does what time has brought, through the same committer as every call."""

from __future__ import annotations

import asyncio
import secrets

from service.clock import Clock
from service.domain.errors import FreeholdError
from service.engine.commands import Wake, own_work
from service.engine.committer import Committer
from service.engine.engine import FaultLog
from service.engine.ports import Store


class Sweeper:
    """Looks for authorizations to which time has done something, in bounded portions.

    Several processes may sweep the same database: whoever comes second finds nothing to do.
    """

    def __init__(
        self,
        store: Store,
        committer: Committer,
        clock: Clock,
        *,
        portion: int,
        interval_s: float,
        log_fault: FaultLog,
    ) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._portion = portion
        self._interval_s = interval_s
        self._log_fault = log_fault

    async def sweep(self) -> int:
        """Wakes all whose time has come by now; returns how many."""
        woken = 0
        while True:
            waking = await asyncio.to_thread(
                self._store.waking, self._clock.now_us(), self._portion
            )
            results = await asyncio.gather(*(self._wake(user_id, name) for user_id, name in waking))
            woken += sum(results)
            # A portion that moved nothing would come again: leave it to the next round.
            if len(waking) < self._portion or not any(results):
                return woken

    async def run(self) -> None:
        """Sweeps at intervals until cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception as error:
                # What could not be read or ended now is looked for again in the next round.
                self._log_fault(secrets.token_hex(8), error)
            await asyncio.sleep(self._interval_s)

    async def _wake(self, user_id: str, authorization_id: str) -> bool:
        try:
            await self._committer.submit(own_work(Wake(user_id, authorization_id)))
        except FreeholdError:
            return False  # confirmed, closed or refused in between; the next round looks again
        return True
