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
        self._known: dict[str | bytes, tuple[Principal, float]] = {}

    def known(self, metadata: Sequence[tuple[str, str | bytes]]) -> Principal | None:
        """The caller, if the key was looked up a short while ago."""
        for name, value in metadata:
            if name == HEADER:
                known = self._known.get(value)
                if known is not None and time.monotonic() < known[1]:
                    return known[0]
                return None
        return None

    async def principal(self, metadata: Sequence[tuple[str, str | bytes]]) -> Principal:
        """The caller, looked up now; raises Unauthenticated."""
        value = next((value for name, value in metadata if name == HEADER), None)
        if value is None:
            raise Unauthenticated("KEY_MISSING", "no API key: send authorization: Bearer KEY")
        if not isinstance(value, str) or not value.startswith(PREFIX):
            raise Unauthenticated("KEY_MALFORMED", "send authorization: Bearer KEY")
        principal = await asyncio.to_thread(self._lookup, hash_key(value[len(PREFIX) :]))
        if principal is None:
            self._known.pop(value, None)
            raise Unauthenticated("KEY_UNKNOWN", "the API key is unknown or was revoked")
        if len(self._known) >= self._max_cached:
            self._known.clear()
        self._known[value] = (principal, time.monotonic() + self._cache_s)
        return principal
