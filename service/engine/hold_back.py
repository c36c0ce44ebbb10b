"""Delays of refusals: a caller that waits for its refusal sends no more calls meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from service.bounds import bounded


@dataclass(frozen=True, slots=True)
class HoldBackLimits:
    """The number of refusals that are not delayed, and the delay of the others."""

    refusals_a_second: int = bounded(200, 0, 1_000_000)
    """Further refusals in the same second are delayed."""
    delay_s: float = bounded(0.5, 0, 60)
    """The mean delay of a refusal."""
    max_held: int = bounded(1024, 0, 1_000_000)
    """The refusals delayed at one time; further ones are sent at once, to leave room."""


class HoldBack:
    """Delays the refusals of a flood. A delay costs no CPU, and slows the flood down."""

    def __init__(self, limits: HoldBackLimits) -> None:
        self._limits = limits
        self._second = self._refusals = 0
        """The counted second, and the refusals in it."""
        self.held = 0
        """The number of refusals that are delayed now."""

    async def wait(self) -> None:
        """Delays one of many refusals for a moment."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._refusals = second, 0
        self._refusals += 1
        limits = self._limits
        if self._refusals > limits.refusals_a_second and self.held < limits.max_held:
            self.held += 1
            try:
                # A random delay, so that the refused callers do not retry all at once.
                await asyncio.sleep(limits.delay_s * random.uniform(0.5, 1.5))
            finally:
                self.held -= 1
