"""A resumable scan: visits waiting rows in bounded portions, and passes rows that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from service.engine.pool import Pool

Found = TypeVar("Found")


class Scan(Generic[Found]):
    """Rounds over all waiting rows in a fixed order. A round begins at the place where the previous
    round stopped.

    Rows that fail keep waiting. If each round began at the front, many failing rows would hide all
    others. Therefore each portion begins after the previous portion, even across rounds. At the end
    the scan starts over. Its only state is the last place.
    """

    def __init__(
        self,
        find: Callable[[Found | None, int], list[Found]],
        act: Callable[[Found], Awaitable[bool]],
        size: int,
        pool: Pool,
    ) -> None:
        """Makes a scan of portions of at most `size` rows.

        `find` reads the rows after a place (None: from the front), in a thread of the pool. `act`
        returns True if it moved a row on.
        """
        self._find = find
        self._act = act
        self._size = size
        self._pool = pool
        self._last: Found | None = None

    async def round(self) -> int:
        """Runs one round and returns the number of rows moved on.

        A portion in which no row moves on ends the round. So failing rows are not tried again at
        once, and while everything fails, later rows are not tried either.
        """
        moved = 0
        to_the_end = self._last is None
        while True:
            found = await self._pool.run(self._find, self._last, self._size)
            results = await asyncio.gather(*(self._act(one) for one in found))
            moved += sum(results)
            if len(found) < self._size:
                self._last = None
                if to_the_end:
                    return moved
                to_the_end = True  # next: the rows before this round's beginning
            else:
                self._last = found[-1]
                if not any(results):
                    return moved
