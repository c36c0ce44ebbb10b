"""Figures worker: reads sums over the whole database for those who watch the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from service.clock import Clock
from service.engine.figures import Figures
from service.engine.pool import Pool
from service.engine.ports import Store


class FiguresRead(NamedTuple):
    """Figures with their instant: by the server's clock, and by a steady clock in seconds."""

    figures: Figures
    now_us: int
    read_s: float


class FiguresWatch:
    """Reads the figures in a thread of the pool, and keeps the last ones."""

    def __init__(
        self, store: Store, clock: Clock, pool: Pool, sealed_sequence: Callable[[], int]
    ) -> None:
        """`sealed_sequence` returns the number of the event up to which all lines are sealed."""
        self._store = store
        self._clock = clock
        self._pool = pool
        self._sealed_sequence = sealed_sequence
        self.last: FiguresRead | None = None
        """The last figures; None before the first read."""

    async def work(self) -> bool:
        """Reads once; returns False, because no work is left."""
        now_us, sealed = self._clock.now_us(), self._sealed_sequence()
        figures = await self._pool.run(self._store.figures, now_us, sealed)
        self.last = FiguresRead(figures, now_us, time.monotonic())
        return False
