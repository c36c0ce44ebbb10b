"""Authentication: finds the caller by the API key in the call's metadata."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

from service.certificates import fingerprint_of
from service.config import KeyLimits
from service.domain.access import Principal, hash_key
from service.domain.errors import Exhausted, Unauthenticated
from service.engine.hold_back import HoldBack
from service.rpc.transport import Exchange, Metadata

HEADER = "authorization"
PREFIX = "Bearer "

Lookup = Callable[[str], Principal | None]
Name = TypeVar("Name", bound="str | bytes")
Kept = TypeVar("Kept")


class KeyRing:
    """Looks keys up by their hash, and caches the results for a short time.

    Known keys and unknown keys are looked up in separate pools, so that a flood of made-up keys
    does not delay known callers. Calls with one key share one look-up. Both caches are bounded and
    drop their oldest result first. If many keys are refused in one second, each refusal is delayed
    for a moment.
    """

    def __init__(
        self,
        lookup: Lookup,
        *,
        familiar: Executor,
        strangers: Executor,
        limits: KeyLimits,
        now_us: Callable[[], int],
    ) -> None:
        """Known keys are looked up in `familiar`, all others in `strangers`. `now_us` is the time
        by which keys expire."""
        self._lookup = lookup
        self._now_us = now_us
        self._uses: dict[str, int] = {}
        self._familiar = familiar
        self._strangers = strangers
        self._limits = limits
        self._known: dict[str | bytes, tuple[Principal, float]] = {}
        self._unknown: dict[str, float] = {}
        """Expiry times by the key's hash; the key itself is not kept."""
        self._looking: dict[str, asyncio.Future[Principal | None]] = {}
        self._hold_back = HoldBack(limits.refusals)

    def known(self, metadata: Metadata) -> Principal | None:
        """The caller, if the key's result is cached; else None."""
        for name, value in metadata:
            if name == HEADER:
                known = self._known.get(value)
                if known is not None and time.monotonic() < known[1]:
                    return known[0]
                return None
        return None

    def familiar(self, metadata: Metadata) -> Principal | None:
        """The caller, if the key was good when it was last looked up; else None.

        The result may be old: it says only that the key is not invented.
        """
        for name, value in metadata:
            if name == HEADER:
                known = self._known.get(value)
                return None if known is None else known[0]
        return None

    async def principal(self, metadata: Metadata) -> Principal:
        """The caller, looked up in the database.

        Raises Unauthenticated, and Exhausted if too many keys wait for their look-up.
        """
        value = next((value for name, value in metadata if name == HEADER), None)
        if value is None:
            raise Unauthenticated(
                "KEY_MISSING", "the API key is missing: send the metadata authorization: Bearer KEY"
            )
        if not isinstance(value, str) or not value.startswith(PREFIX):
            raise Unauthenticated(
                "KEY_MALFORMED",
                "the API key is malformed: send the metadata authorization: Bearer KEY",
            )
        try:
            principal = await self._found(value, hash_key(value[len(PREFIX) :]))
            if principal is None:
                raise Unauthenticated(
                    "KEY_UNKNOWN", "the API key is unknown, was revoked, or is over"
                )
        except (Unauthenticated, Exhausted):
            await self._hold_back.wait()
            raise
        return principal

    async def _found(self, value: str, key_hash: str) -> Principal | None:
        if time.monotonic() < self._unknown.get(key_hash, 0.0):
            return None
        looking = self._looking.get(key_hash) or self._look_up(value, key_hash)
        # A caller that hangs up must not cancel the look-up for the others.
        return await asyncio.shield(looking)

    def _look_up(self, value: str, key_hash: str) -> asyncio.Future[Principal | None]:
        pool = self._familiar if value in self._known else self._strangers
        loop = asyncio.get_running_loop()
        looking = loop.run_in_executor(pool, self._lookup, key_hash)
        self._looking[key_hash] = looking
        looking.add_done_callback(partial(self._remember, value, key_hash, time.monotonic()))
        return looking

    def _remember(
        self,
        value: str,
        key_hash: str,
        began_s: float,
        looking: asyncio.Future[Principal | None],
    ) -> None:
        """Caches the result of a look-up; a failed look-up is not cached."""
        del self._looking[key_hash]
        if looking.cancelled() or looking.exception() is not None:
            return
        principal, limits = looking.result(), self._limits
        if principal is None:
            self._known.pop(value, None)
            _keep(self._unknown, key_hash, began_s + limits.unknown_s, limits.max_unknown)
        else:
            now_us, until_s = self._now_us(), began_s + limits.known_s
            if principal.expire_us is not None:
                left_s = (principal.expire_us - now_us) / 1_000_000
                until_s = min(until_s, time.monotonic() + left_s)
            _keep(self._known, value, (principal, until_s), limits.max_known)
            # A key in use is looked up again every `known_s`, so its last use is known well enough.
            _keep(self._uses, key_hash, now_us, limits.max_known)

    def take_uses(self) -> dict[str, int]:
        """The times of last use since the last call of this, by the keys' hashes."""
        uses, self._uses = self._uses, {}
        return uses

    def give_back(self, uses: dict[str, int]) -> None:
        """Takes back uses that could not be recorded."""
        self._uses = {**uses, **self._uses}


def shows_certificate(principal: Principal, exchange: Exchange) -> bool:
    """True if the connection proved a certificate to which the caller's key is bound."""
    shown = exchange.auth_context().get("x509_pem_cert", ())
    return any(fingerprint_of(it) in principal.certificates for it in shown)


def _keep(memory: dict[Name, Kept], name: Name, value: Kept, most: int) -> None:
    """Stores a value; a full memory drops its oldest value."""
    memory.pop(name, None)
    if len(memory) >= most:
        del memory[next(iter(memory))]
    memory[name] = value
