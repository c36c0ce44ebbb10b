"""Turns: a bounded queue for each caller, and one item of each caller in turn.

With one queue for all, a caller that sends many calls delays everybody else by its whole queue.
Here a caller waits behind its own items, and behind one item of each other caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Full(Exception):
    """There is no room for the item; `of_caller` is True if the caller's own queue is full."""

    def __init__(self, *, of_caller: bool) -> None:
        super().__init__("the caller's queue is full" if of_caller else "all queues are full")
        self.of_caller = of_caller


class Turns(Generic[Item]):
    """Items that wait, by caller; not thread-safe."""

    __slots__ = ("_most", "_most_each", "_order", "_queues", "_waiting")

    def __init__(self, most: int, most_each: int) -> None:
        """At most `most_each` items of one caller wait, and at most `most` in all.

        One item more may wait for each caller that has none yet: so a flood of others' items shuts
        nobody out. The number of these items is at most `most` too.
        """
        self._most, self._most_each = most, most_each
        self._queues: dict[Hashable, deque[Item]] = {}
        # The callers with items, in the order of their turns.
        self._order: deque[Hashable] = deque()
        self._waiting = 0

    def __len__(self) -> int:
        """The number of items of all callers."""
        return self._waiting

    @property
    def callers(self) -> int:
        """The number of callers whose items wait."""
        return len(self._queues)

    @property
    def next(self) -> Hashable:
        """The caller whose turn is next; there must be one."""
        return self._order[0]

    def waiting(self, caller: Hashable) -> int:
        """The number of a caller's items."""
        return len(self._queues.get(caller, ()))

    def put(self, caller: Hashable, item: Item) -> None:
        """Adds an item behind the caller's others; raises Full."""
        queue = self._queues.get(caller)
        if queue is None:
            if self._most_each < 1 or self._waiting >= 2 * self._most:
                raise Full(of_caller=self._most_each < 1)
            self._queues[caller] = deque((item,))
            self._order.append(caller)
        else:
            if len(queue) >= self._most_each:
                raise Full(of_caller=True)
            if self._waiting >= self._most:
                raise Full(of_caller=False)
            queue.append(item)
        self._waiting += 1

    def take(self, count: int, at_most_each: int | None = None) -> list[Item]:
        """Removes up to `count` items, one of each caller in turn, and returns them.

        The next call goes on with the caller whose turn it is then. With `at_most_each`, so many of
        one caller at most are taken as long as several callers wait; a caller alone gets all.
        """
        order, queues = self._order, self._queues
        rounds = at_most_each if at_most_each is not None and len(order) > 1 else count
        taken: list[Item] = []
        for _ in range(rounds):
            turns = min(len(order), count - len(taken))
            if not turns:
                break
            for _ in range(turns):
                caller = order.popleft()
                queue = queues[caller]
                taken.append(queue.popleft())
                if queue:
                    order.append(caller)
                else:
                    del queues[caller]
        self._waiting -= len(taken)
        return taken
