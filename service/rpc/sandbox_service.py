"""SandboxService: moves the sandbox's clock."""

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
    """Moves the server's clock, and runs the timers due by then before it answers."""

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
        """Answers AdvanceClock.

        Calls run one at a time. Otherwise a second call would find no timer left to run, and answer
        while the first call still runs them.
        """
        async with self._turn:
            if not self._clock.advance(convert.instant_us(call.message.now, "now")):
                raise InvalidInput.of(
                    "now", "now.forward", "must not be before the clock's present time"
                )
            woken = await self._sweep()
        response = pb.AdvanceClockResponse(now=convert.timestamp(self._clock.now_us()), woken=woken)
        return response.SerializeToString()
