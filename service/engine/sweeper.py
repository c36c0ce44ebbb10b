"""The sweeper: does what time has brought, through the same committer as every call."""

from __future__ import annotations

import asyncio
import secrets

from service.clock import Clock
from service.domain.errors import FreeholdError
from service.engine.commands import Wake, own_work
from service.engine.committer import Committer
from service.engine.engine import FaultLog
from service.engine.pool import Pool
from service.engine.portions import Portions
from service.engine.ports import Store, Waking


class Sweeper:
    """Looks for authorizations to which time has done something, in bounded portions.

    Several processes may sweep the same database: whoever comes second finds nothing to do.
    """

    def __init__(
        self,
        store: Store,
        committer: Committer,
        clock: Clock,
        pool: Pool,
        *,
        portion: int,
        interval_s: float,
        log_fault: FaultLog,
    ) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._interval_s = interval_s
        self._log_fault = log_fault
        self._portions = Portions(self._waking, self._wake, portion, pool)

    async def sweep(self) -> int:
        """Wakes all whose time has come by now; returns how many.

        Nobody is woken by a clock that is not trusted.
        """
        if not self._clock.trusted:
            return 0
        return await self._portions.round()

    async def run(self) -> None:
        """Sweeps at intervals until cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception as error:
                # What could not be read or ended now is looked for again in the next round.
                self._log_fault(secrets.token_hex(8), error)
            await asyncio.sleep(self._interval_s)

    def _waking(self, after: Waking | None, limit: int) -> list[Waking]:
        return self._store.waking(self._clock.now_us(), limit, after)

    async def _wake(self, due: Waking) -> bool:
        try:
            await self._committer.submit(own_work(Wake(due.user_id, due.authorization_id)))
        except FreeholdError:
            return False  # confirmed, closed or refused in between; a later round looks again
        return True
