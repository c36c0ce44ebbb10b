"""Debts worker: finds the operators that owe more than their bound."""

from __future__ import annotations

from service.engine.debts import Debts
from service.engine.pool import Pool


class DebtWatch:
    """Adds the operators' balances up, in a thread of the pool."""

    def __init__(self, debts: Debts, pool: Pool) -> None:
        self._debts = debts
        self._pool = pool

    async def work(self) -> bool:
        """Looks once; returns False, because no work is left."""
        await self._pool.run(self._debts.look)
        return False
