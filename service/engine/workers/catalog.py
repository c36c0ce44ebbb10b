"""Catalog: terms that somebody else has changed are loaded, by another server or a command."""

from __future__ import annotations

from service.engine.pool import Pool
from service.engine.terms import Terms


class CatalogReloader:
    """Looks whether terms have changed, and loads what did, in a thread of the pool."""

    def __init__(self, terms: Terms, pool: Pool) -> None:
        self._terms = terms
        self._pool = pool

    async def work(self) -> bool:
        """One look; nothing more waits after it."""
        await self._pool.run(self._terms.follow)
        return False
