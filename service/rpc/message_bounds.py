"""Bounds of the memory that messages take: while they arrive, and while their calls are answered.

gRPC reads the message of an admitted call by itself, up to its limit, and no caller of gRPC learns
how much of it has come. So a message that is arriving counts with the most that gRPC takes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from service.config import Limits
from service.domain.errors import Exhausted


def arriving(limits: Limits) -> int:
    """The number of messages that may arrive at the same time."""
    return max(1, limits.max_arriving_bytes // longest_bytes(limits))


def longest_bytes(limits: Limits) -> int:
    """The longest message that gRPC takes: above our own limits, so that our refusal, with its
    reason, comes first."""
    return 2 * limits.max_bulk_message_bytes


class Arriving:
    """The admitted calls whose message has not come, by the tasks that run them.

    gRPC cannot be told to give such a call up. So a call keeps its place until its message comes or
    its caller goes away.
    """

    def __init__(self, limits: Limits) -> None:
        self._most = arriving(limits)
        self._most_a_caller = limits.max_unread
        self._callers: dict[asyncio.Task[Any] | None, str | None] = {}
        self._calls: Counter[str | None] = Counter()

    def admit(self, caller: str | None) -> bool:
        """Takes a place for the call of the present task; False if there is none."""
        if self._full(caller):
            for task in [it for it in self._callers if it is None or it.done()]:
                self._leave(task)
            if self._full(caller):
                return False
        task = asyncio.current_task()
        self._leave(task)
        self._callers[task] = caller
        self._calls[caller] += 1
        return True

    def came(self) -> None:
        """Gives the place of the present task's call back, if it has one."""
        self._leave(asyncio.current_task())

    def _full(self, caller: str | None) -> bool:
        return len(self._callers) >= self._most or self._calls[caller] >= self._most_a_caller

    def _leave(self, task: asyncio.Task[Any] | None) -> None:
        if task in self._callers:
            self._calls[self._callers.pop(task)] -= 1


class InHand:
    """The calls in progress, and the bytes of their messages."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._calls: Counter[str | None] = Counter()
        self._bytes: Counter[str | None] = Counter()
        self._all_bytes = 0

    @property
    def calls(self) -> int:
        """The number of calls in progress."""
        return self._calls.total()

    def take(self, caller: str | None, size: int) -> None:
        """Takes a place for a call with a message of `size` bytes.

        A message that is alone in its bound always gets one. Raises Exhausted.
        """
        limits = self._limits
        if self._calls[caller] >= limits.max_calls_a_caller:
            raise too_many_calls()
        own, together = self._bytes[caller], self._all_bytes
        if (own and own + size > limits.max_caller_in_hand_bytes) or (
            together and together + size > limits.max_in_hand_bytes
        ):
            text = "the messages of the calls under way take too much memory"
            raise Exhausted("TOO_MANY_BYTES", text, 100)
        self._calls[caller] += 1
        self._bytes[caller] = own + size
        self._all_bytes += size

    def take_more(self, caller: str | None, calls: int) -> int:
        """Takes up to so many further places without a message; returns the number taken."""
        taken = min(calls, max(0, self._limits.max_calls_a_caller - self._calls[caller]))
        self._calls[caller] += taken
        return taken

    def give_more_back(self, caller: str | None, calls: int) -> None:
        """Gives such places back."""
        self._calls[caller] -= calls

    def give_back(self, caller: str | None, size: int) -> None:
        """Gives the place of an ended call back."""
        self._calls[caller] -= 1
        self._bytes[caller] -= size
        self._all_bytes -= size


def too_many_calls() -> Exhausted:
    """The refusal of a call whose caller has too many calls in progress."""
    return Exhausted("TOO_MANY_CALLS", "too many calls are under way", 100)
