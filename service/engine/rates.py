"""Rate limits by key: the generic cell rate algorithm (GCRA), with a weight for each kind of call.

A key has a budget of units. It grows by `units_a_second`, up to `burst_s` seconds' worth, and each
call takes its weight. The algorithm keeps one number for each key: the time at which its budget
would be full again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from service.bounds import bounded


class Weight(StrEnum):
    """A kind of call; the value is the name of its weight in the limits."""

    READ = "read"
    LIST = "list"
    QUOTE = "quote"
    WRITE = "write"
    BATCH = "batch"
    BULK = "bulk"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The budget of one key, and the units that each kind of call takes from it."""

    units_a_second: float = bounded(0.0, 0, 1_000_000)
    """The growth of a key's budget; 0: no limit. A key may have a rate of its own."""
    burst_s: float = bounded(2.0, 0.001, 3600)
    """The largest budget, as the time in which it grows."""
    read: float = bounded(1.0, 0, 1_000_000)
    """A call that reads one thing."""
    list: float = bounded(5.0, 0, 1_000_000)
    """A call that reads a page of a list."""
    quote: float = bounded(2.0, 0, 1_000_000)
    """A call that decides as if it changed something, and changes nothing."""
    write: float = bounded(2.0, 0, 1_000_000)
    """A call that changes something."""
    batch: float = bounded(0.0, 0, 1_000_000)
    """BatchAuthorize or BatchSettle, in addition to its items, each of which is a write."""
    bulk: float = bounded(100.0, 0, 1_000_000)
    """PutUsers, which writes up to a thousand people."""
    verify: float = bounded(100.0, 0, 1_000_000)
    """VerifyBooks, which reads all books."""
    max_keys: int = bounded(4096, 1, 1_000_000)
    """The keys with a budget that is not full; the fullest budgets are forgotten first."""

    def units(self, weight: Weight) -> float:
        """The units that a call of this kind takes."""
        units: float = getattr(self, weight.value)
        return units


class Rates:
    """The budgets of all keys."""

    __slots__ = ("_burst_s", "_full_at", "_max_keys", "_unit_s")

    def __init__(self, limits: RateLimits) -> None:
        rate = limits.units_a_second
        self._unit_s = 1 / rate if rate else 0.0
        self._burst_s = limits.burst_s
        self._max_keys = limits.max_keys
        self._full_at: dict[str, float] = {}

    def wait_s(self, key_id: str, units: float, now_s: float, own: int | None = None) -> float:
        """Takes the units from a key's budget and returns 0; or, if they are not there, takes none
        and returns the seconds until they will be.

        `now_s` is from any steady clock. `own` is the key's own growth in units a second, in place
        of the usual one; 0 means no limit. A call of more units than a full budget passes if the
        budget is full, and leaves a debt.
        """
        if own == 0:
            return 0.0
        unit_s = self._unit_s if own is None else 1 / own
        full_at, cost_s = max(self._full_at.get(key_id, 0.0), now_s), units * unit_s
        wait_s = full_at - now_s - max(0.0, self._burst_s - cost_s)
        if wait_s > 0:
            return wait_s
        if len(self._full_at) >= self._max_keys and key_id not in self._full_at:
            self._forget(now_s)
        self._full_at[key_id] = full_at + cost_s
        return 0.0

    def _forget(self, now_s: float) -> None:
        """Drops the budgets that are full, or else the one that is the first to be full."""
        full = [key for key, full_at in self._full_at.items() if full_at <= now_s]
        for key in full or [min(self._full_at, key=self._full_at.__getitem__)]:
            del self._full_at[key]


def retry_ms(wait_s: float) -> int:
    """The wait in whole milliseconds, rounded up, so that a retry in time is not early."""
    return max(1, math.ceil(wait_s * 1000))
