"""Owed-back worker: tells how much is owed back to people, and for how long."""

from __future__ import annotations

from collections.abc import Callable

from service.clock import Clock
from service.engine.pool import Pool
from service.engine.ports import OwedBack, Store


class OwedBackWatch:
    """Adds up the amounts owed back, in a thread of the pool, and makes one report for each
    currency."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        pool: Pool,
        *,
        late_us: int,
        report: Callable[[OwedBack, int], None],
    ) -> None:
        """Refunds that wait for more than `late_us` count as late.

        `report` receives a sum and the present instant.
        """
        self._store = store
        self._clock = clock
        self._pool = pool
        self._late_us = late_us
        self._report = report
        self.last: tuple[list[OwedBack], int] | None = None
        """The last sums, and their instant; None before the first look."""

    async def work(self) -> bool:
        """Looks once; returns False, because no work is left.

        Says nothing while the clock is not trusted, because ages are then unknown.
        """
        if self._clock.trusted:
            now_us = self._clock.now_us()
            found = await self._pool.run(self._store.owed_back, now_us - self._late_us)
            self.last = (found, now_us)
            for sum_of_currency in found:
                self._report(sum_of_currency, now_us)
        return False
