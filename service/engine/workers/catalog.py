"""Catalog worker: loads terms that another server or a command has changed."""

from __future__ import annotations

from service.engine.pool import Pool
from service.engine.terms import Terms


class CatalogReloader:
    """Checks for changed terms and loads them, in a thread of the pool."""

    def __init__(self, terms: Terms, pool: Pool) -> None:
        self._terms = terms
        self._pool = pool

    async def work(self) -> bool:
        """Checks once; returns False, because no work is left."""
        await self._pool.run(self._terms.follow)
        return False
