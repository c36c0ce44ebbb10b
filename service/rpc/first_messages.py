"""Receives the messages of calls whose headers came first, each within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from service.domain.errors import InvalidInput


class Late(Exception):
    """The message did not come in time, or the server waits for no message any more."""


class FirstMessages:
    """Awaits the first message of calls whose callers may be hostile.

    Every message has the same time to arrive. If too many are awaited, the call that has waited
    longest is given up: an honest message comes with its headers, so it is not the one that waits.
    """

    def __init__(self, *, within_s: float, most: int) -> None:
        self._within_s = within_s
        self._most = most
        self._awaited: dict[asyncio.Timeout, None] = {}

    def close(self) -> None:
        """Waits no longer for any message."""
        self._within_s = 0.0
        while self._awaited:
            self._give_up()

    async def receive(self, message: Awaitable[object]) -> bytes:
        """The first message of a call, which `message` brings.

        Raises Late, and InvalidInput if the call ends without it.
        """
        if len(self._awaited) >= self._most:
            self._give_up()
        limit = asyncio.timeout(self._within_s)
        self._awaited[limit] = None
        try:
            async with limit:
                body = await message
        except TimeoutError:
            raise Late from None
        finally:
            self._awaited.pop(limit, None)
        if not isinstance(body, bytes):
            raise InvalidInput.of("message", "message.missing", "must be sent with the call")
        return body

    def _give_up(self) -> None:
        """Waits no longer for the oldest awaited message."""
        oldest = next(iter(self._awaited))
        del self._awaited[oldest]
        oldest.reschedule(asyncio.get_running_loop().time())
