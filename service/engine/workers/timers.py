"""Timers worker: runs due timers, through the same committer as every call."""

from __future__ import annotations

from service.clock import Clock
from service.domain.errors import FreeholdError
from service.engine.calls import own_work
from service.engine.group_commit import Committer
from service.engine.operations import Wake
from service.engine.pool import Pool
from service.engine.ports import Store, Waking
from service.engine.workers.scan import Scan


class Timers:
    """Wakes authorizations whose timers are due, in bounded portions.

    Several processes may wake those of one database: the second one finds nothing to do.
    """

    def __init__(
        self, store: Store, committer: Committer, clock: Clock, pool: Pool, *, portion: int
    ) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._scan = Scan(self._waking, self._wake, portion, pool)

    async def wake_due(self) -> int:
        """Wakes every authorization with a due timer; returns the number woken.

        Wakes none while the clock is not trusted.
        """
        if not self._clock.trusted:
            return 0
        return await self._scan.round()

    async def work(self) -> bool:
        """Runs one round; returns False, because no work is left."""
        await self.wake_due()
        return False

    def _waking(self, after: Waking | None, limit: int) -> list[Waking]:
        return self._store.waking(self._clock.now_us(), limit, after)

    async def _wake(self, due: Waking) -> bool:
        try:
            await self._committer.submit(own_work(Wake(due.user_id, due.authorization_id)))
        except FreeholdError:
            return False  # confirmed, closed or refused meanwhile; a later round tries again
        return True
