"""Breakers worker: opens and closes breakers by the losses of policies."""

from __future__ import annotations

from service.clock import Clock
from service.engine.breakers import LossWatch
from service.engine.pool import Pool


class BreakerWatch:
    """Adds the losses up, in a thread of the pool."""

    def __init__(self, losses: LossWatch, clock: Clock, pool: Pool) -> None:
        self._losses = losses
        self._clock = clock
        self._pool = pool

    async def work(self) -> bool:
        """Looks once; returns False, because no work is left.

        Does nothing while the clock is not trusted, because the windows are then unknown.
        """
        if self._clock.trusted:
            await self._pool.run(self._losses.look, self._clock.now_us())
        return False
