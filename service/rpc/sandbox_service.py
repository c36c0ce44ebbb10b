"""SandboxService: a clock that moves when told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from freehold.v1 import sandbox_service_pb2 as pb

from service.clock import SandboxClock
from service.domain.access import Scope
from service.domain.errors import InvalidInput
from service.rpc import convert
from service.rpc.pipeline import Call, Method

SERVICE = "freehold.v1.SandboxService"


class SandboxServicer:
    """Moves the server's clock; does what time brings on the way before it answers."""

    def __init__(self, clock: SandboxClock, sweep: Callable[[], Awaitable[int]]) -> None:
        self._clock = clock
        self._sweep = sweep
        self._turn = asyncio.Lock()

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The service's methods with their scopes."""
        return [
            Method(
                "AdvanceClock",
                pb.AdvanceClockRequest,
                Scope.SANDBOX_CLOCK,
                self.advance,
                max_bytes,
            )
        ]

    async def advance(self, call: Call[pb.AdvanceClockRequest]) -> bytes:
        """Set the clock forward.

        One at a time: whoever came second would find nothing left to do, and be answered while the
        first is still doing it.
        """
        async with self._turn:
            if not self._clock.advance(convert.instant_us(call.message.now, "now")):
                raise InvalidInput.of("now", "now.forward", "the clock only goes forward")
            woken = await self._sweep()
        response = pb.AdvanceClockResponse(now=convert.timestamp(self._clock.now_us()), woken=woken)
        return response.SerializeToString()
