"""Who is calling, from the key in the call's metadata."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from service.domain.access import Principal, hash_key
from service.domain.errors import Unauthenticated

HEADER = "authorization"
PREFIX = "Bearer "

Lookup = Callable[[str], Principal | None]


class KeyRing:
    """Looks keys up by their hash and believes the answer for a short while.

    Unknown keys are not remembered, so that guessing fills no memory.
    """

    def __init__(self, lookup: Lookup, *, cache_s: float, max_cached: int) -> None:
        self._lookup = lookup
        self._cache_s = cache_s
        self._max_cached = max_cached
        self._known: dict[str, tuple[Principal, float]] = {}

    async def principal(self, metadata: Sequence[tuple[str, str | bytes]]) -> Principal:
        """The caller; raises Unauthenticated."""
        for name, value in metadata:
            if name == HEADER:
                return await self._by_header(value)
        raise Unauthenticated("KEY_MISSING", "no API key: send authorization: Bearer KEY")

    async def _by_header(self, value: str | bytes) -> Principal:
        if not isinstance(value, str) or not value.startswith(PREFIX):
            raise Unauthenticated("KEY_MALFORMED", "send authorization: Bearer KEY")
        known = self._known.get(value)
        now = time.monotonic()
        if known is not None and now < known[1]:
            return known[0]
        principal = await asyncio.to_thread(self._lookup, hash_key(value[len(PREFIX) :]))
        if principal is None:
            self._known.pop(value, None)
            raise Unauthenticated("KEY_UNKNOWN", "the API key is unknown or was revoked")
        if len(self._known) >= self._max_cached:
            self._known.clear()
        self._known[value] = (principal, now + self._cache_s)
        return principal
