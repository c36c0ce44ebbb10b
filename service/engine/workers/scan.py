"""A scan: goes over all that waits, in bounded portions, past what does not move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from service.engine.pool import Pool

Found = TypeVar("Found")


class Scan(Generic[Found]):
    """Rounds over all that waits, in a fixed order; a round begins where the last one stopped.

    What fails stays where it is, and enough of it would be found first for ever. So each portion
    is looked for behind the one before it, also from one round to the next, and after the last
    comes the first. All that is remembered is one place.
    """

    def __init__(
        self,
        find: Callable[[Found | None, int], list[Found]],
        act: Callable[[Found], Awaitable[bool]],
        size: int,
        pool: Pool,
    ) -> None:
        """`find` names what waits behind a place (None: from the front), at most `size`, in a
        thread of the pool; `act` says whether it moved one of them."""
        self._find = find
        self._act = act
        self._size = size
        self._pool = pool
        self._last: Found | None = None

    async def round(self) -> int:
        """Goes over all that waits, from where the last round stopped; returns how much moved.

        A portion of which nothing moved ends the round: what fails for now is not asked for again
        at once, nor is all that waits behind it while everything fails.
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
                to_the_end = True  # what stands before the place where this round began
            else:
                self._last = found[-1]
                if not any(results):
                    return moved
