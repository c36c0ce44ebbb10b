"""The gate: an overloaded server reads no new call until the next batch is answered.

A refusal costs the one interpreter nearly as much as an answer. So a server that reads every call
only to refuse most of them has no time left for the answers. The transport refuses calls at a small
part of that price, but only if they wait there. So after a refusal for overload the gate is closed,
and the transport keeps the next calls.
"""

from __future__ import annotations

import asyncio


class Gate:
    """Holds new calls back; belongs to one event loop."""

    def __init__(self, longest_s: float) -> None:
        """The gate is closed for at most `longest_s` at a time, even if no batch ends."""
        self._longest_s = longest_s
        self._opened: asyncio.Event | None = None
        """Set when the gate opens; None while it is open."""
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self.closings = 0
        """The number of times that the gate was closed."""

    @property
    def closed(self) -> bool:
        """True while no new call is to be read."""
        return self._opened is not None

    def close(self) -> None:
        """Closes the gate until `open`; no effect after `end`."""
        if self._opened is None and not self._ended:
            self.closings += 1
            self._opened = asyncio.Event()
            self._timer = asyncio.get_running_loop().call_later(self._longest_s, self.open)

    def open(self) -> None:
        """Opens the gate."""
        if self._opened is not None:
            self._opened.set()
            self._opened = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Opens the gate for good."""
        self._ended = True
        self.open()

    async def wait(self) -> None:
        """Waits until the gate is open."""
        while self._opened is not None:
            await self._opened.wait()
