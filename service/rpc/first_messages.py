"""Receives the messages of calls whose headers came first, each within a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable

from service.config import Limits
from service.domain.errors import InvalidInput
from service.rpc.message_bounds import arriving


class Late(Exception):
    """The message did not come in time, or the server waits for no message any more."""


class GivenUp(Late):
    """The message was late when there was no place for it any more."""


class FirstMessages:
    """Awaits the first message of calls whose callers may be hostile.

    Every message has the same time to arrive. If too many are late, then the oldest message of the
    caller with the most late messages is given up.
    """

    def __init__(self, limits: Limits) -> None:
        self._within_s = limits.body_s
        self._late_s = limits.late_s
        self._most = arriving(limits)
        self._awaited: set[asyncio.Timeout] = set()
        self._late: dict[asyncio.Timeout, str | None] = {}
        """The callers of late messages, by the limits of their times."""

    def close(self) -> None:
        """Waits no longer for any message."""
        self._within_s = 0.0
        for limit in self._awaited:
            _end(limit)

    async def receive(self, message: Awaitable[object], caller: str | None = None) -> bytes:
        """The first message of a call, which `message` brings; the calls of None are nobody's.

        Raises Late, GivenUp, and InvalidInput if the call ends without a message.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._within_s
        limit = asyncio.timeout_at(until_s)
        look = loop.call_later(self._late_s, self._count, limit, caller)
        self._awaited.add(limit)
        try:
            async with limit:
                body = await message
        except TimeoutError:
            raise (GivenUp if loop.time() < until_s else Late) from None
        finally:
            look.cancel()
            self._awaited.discard(limit)
            self._late.pop(limit, None)
        if not isinstance(body, bytes):
            raise InvalidInput.of("message", "message.missing", "must be sent with the call")
        return body

    def _count(self, limit: asyncio.Timeout, caller: str | None) -> None:
        """Counts a message that is late, and gives one up if there are too many."""
        self._late[limit] = caller
        if len(self._late) > self._most:
            ((greediest, _),) = Counter(self._late.values()).most_common(1)
            oldest = next(it for it, of in self._late.items() if of == greediest)
            del self._late[oldest]
            _end(oldest)


def _end(limit: asyncio.Timeout) -> None:
    limit.reschedule(asyncio.get_running_loop().time())
