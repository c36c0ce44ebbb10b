"""Cases worker: decides for the user what nobody answered in time."""

from __future__ import annotations

from service.clock import Clock
from service.domain.cases import WaitingCase
from service.domain.errors import FreeholdError
from service.engine.calls import own_work
from service.engine.group_commit import Committer
from service.engine.operations import DecideCase
from service.engine.pool import Pool
from service.engine.ports import Store
from service.engine.workers.scan import Scan


class CaseClock:
    """Decides cases whose own clock has run out, in bounded portions.

    Several processes may decide those of one database: the second one finds nothing to do.
    """

    def __init__(
        self, store: Store, committer: Committer, clock: Clock, pool: Pool, *, portion: int
    ) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._scan = Scan(self._over, self._decide, portion, pool)

    async def decide_over(self) -> int:
        """Decides every case whose time is over; returns the number decided.

        Decides none while the clock is not trusted.
        """
        return await self._scan.round() if self._clock.trusted else 0

    async def work(self) -> bool:
        """Runs one round; returns False, because no work is left."""
        await self.decide_over()
        return False

    def _over(self, after: WaitingCase | None, limit: int) -> list[WaitingCase]:
        return self._store.cases_over(self._clock.now_us(), limit, after)

    async def _decide(self, over: WaitingCase) -> bool:
        command = DecideCase(over.user_id, over.authorization_id, over.case_id)
        try:
            await self._committer.submit(own_work(command))
        except FreeholdError:
            return False  # answered or decided meanwhile, or refused; a later round tries again
        return True
