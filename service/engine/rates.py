"""Rate limits by key: the generic cell rate algorithm (GCRA), with a weight for each kind of call.

A key has a budget of units. It grows by `units_a_second`, up to `burst_s` seconds' worth, and each
call takes its weight. The algorithm keeps one number for each key: the time at which its budget
would be full again. It counts whole nanoseconds: sums of seconds are rounded, which could refuse
the last call of a full budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from service.bounds import bounded

SECOND_NS = 1_000_000_000


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

    __slots__ = ("_burst_ns", "_full_at_ns", "_max_keys", "_unit_ns")

    def __init__(self, limits: RateLimits) -> None:
        rate = limits.units_a_second
        self._unit_ns = SECOND_NS / rate if rate else 0.0
        self._burst_ns = round(limits.burst_s * SECOND_NS)
        self._max_keys = limits.max_keys
        self._full_at_ns: dict[str, int] = {}

    def wait_s(self, key_id: str, units: float, now_s: float, own: int | None = None) -> float:
        """Takes the units from a key's budget and returns 0; or, if they are not there, takes none
        and returns the seconds until they will be.

        `now_s` is from any steady clock. `own` is the key's own growth in units a second, in place
        of the usual one; 0 means no limit. A call of more units than a full budget passes if the
        budget is full, and leaves a debt.
        """
        if own == 0:
            return 0.0
        cost_ns = int(units * (self._unit_ns if own is None else SECOND_NS / own))
        now_ns = int(now_s * SECOND_NS)
        full_at_ns = max(self._full_at_ns.get(key_id, 0), now_ns)
        wait_ns = full_at_ns - now_ns - max(0, self._burst_ns - cost_ns)
        if wait_ns > 0:
            return wait_ns / SECOND_NS
        if len(self._full_at_ns) >= self._max_keys and key_id not in self._full_at_ns:
            self._forget(now_ns)
        self._full_at_ns[key_id] = full_at_ns + cost_ns
        return 0.0

    def _forget(self, now_ns: int) -> None:
        """Drops the budgets that are full, or else the one that is the first to be full."""
        full_at_ns = self._full_at_ns
        full = [key for key, full_ns in full_at_ns.items() if full_ns <= now_ns]
        for key in full or [min(full_at_ns, key=full_at_ns.__getitem__)]:
            del full_at_ns[key]


def retry_ms(wait_s: float) -> int:
    """The wait in whole milliseconds, rounded up, so that a retry in time is not early."""
    return max(1, math.ceil(wait_s * 1000))
