"""Pauses between the attempts to decide a batch."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from service.bounds import bounded


@dataclass(frozen=True, slots=True)
class ConflictPauses:
    """The pauses before a batch is decided again because another process changed its rows.

    A pause is random, from 0 to a bound that doubles with each attempt from `first_s` to
    `longest_s`, in seconds. Otherwise two processes that collided once could collide again.
    """

    first_s: float = bounded(0.000_5, 0, 1)
    """The bound of the first pause; it doubles with each attempt."""
    longest_s: float = bounded(0.010, 0, 10)
    """The bound of the longest pause."""
    draw: Callable[[], float] = random.random
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int) -> None:
        """Waits after an attempt; the first attempt is 1."""
        self.sleep(self.draw() * min(self.longest_s, self.first_s * 2 ** (attempt - 1)))


PAUSES = ConflictPauses()
