"""Catalog: terms that somebody else has changed are loaded, by another server or a command."""

from __future__ import annotations

import asyncio

from service.engine.terms import Terms


class CatalogReloader:
    """Looks whether terms have changed, and loads what did, in a thread beside the writer's."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms

    async def work(self) -> bool:
        """One look; nothing more waits after it."""
        await asyncio.to_thread(self._terms.follow)
        return False
