"""Records when keys were last used: seldom, and between two batches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from service.engine.ports import Conflict, OutcomeUnknown, StorageFailed


class Uses(Protocol):
    """The uses of keys since the last look, by the keys' hashes: microseconds since the epoch."""

    def take_uses(self) -> dict[str, int]:
        """The uses, which are forgotten here."""
        ...

    def give_back(self, uses: dict[str, int]) -> None:
        """Takes back uses that could not be recorded."""
        ...


class KeyUses:
    """Writes the last uses of all keys together, in one short transaction."""

    def __init__(self, uses: Uses, write: Callable[[Mapping[str, int]], Awaitable[None]]) -> None:
        self._uses = uses
        self._write = write

    async def work(self) -> bool:
        """Writes what was used since the last round; returns False, because no more is left."""
        uses = self._uses.take_uses()
        if uses:
            try:
                await self._write(uses)
            except (Conflict, StorageFailed, OutcomeUnknown):
                # The engine and the health check tell of a database that is away.
                self._uses.give_back(uses)
        return False
