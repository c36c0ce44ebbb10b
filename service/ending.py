"""Ends a server process in bounded time, whatever hangs.

The first SIGTERM or SIGINT asks the server to stop. The second one ends the process at once, and so
does the passing of the time: an answer is committed before it is sent, so nothing is lost.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from service.engine.pool import Pool, in_a_thread
from service.engine.readers import Readers

log = structlog.get_logger("freehold")

INTERRUPTS_S = 0.05
"""The time between two interrupts of statements that do not end."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
FAILED = 1
"""The exit code if a part of the server failed, or did not end in time."""
KILLED = 128
"""The exit code after a second signal is the signal's number above this."""


class TimeLeft:
    """The time for the end of the server's parts, and the parts that did not end."""

    def __init__(self, within_s: float) -> None:
        """All parts together have `within_s` seconds; call it on the event loop."""
        self._end_s = asyncio.get_running_loop().time() + within_s
        self.running: list[str] = []

    @property
    def left_s(self) -> float:
        """The seconds left; 0 after the end."""
        return max(0.0, self._end_s - asyncio.get_running_loop().time())

    async def wait(self, ending: Awaitable[Any], within_s: float) -> bool:
        """Waits for the end of a part, at most `within_s` seconds; True if it has ended.

        Raises as the part. A part that has not ended goes on.
        """
        task = asyncio.ensure_future(ending)
        done, _ = await asyncio.wait([task], timeout=within_s)
        if done:
            task.result()
        return bool(done)

    async def end(self, part: str, ending: Awaitable[Any], within_s: float) -> None:
        """As `wait`, and notes the part's name if it has not ended."""
        if not await self.wait(ending, within_s):
            self.running.append(part)


async def end_statements(
    time: TimeLeft,
    pools: Sequence[Readers | Pool],
    writer: asyncio.Task[None],
    interrupt: Callable[[], object],
) -> None:
    """Interrupts statements until the writer and all pools have ended, for half of the time left.

    Notes what still runs then.
    """
    for pool in pools:
        pool.end()
    until_s = time.left_s / 2
    while time.left_s > until_s and not (writer.done() and not any(it.running for it in pools)):
        # An interrupt may block itself, and a statement may begin after it.
        await time.wait(in_a_thread("interrupting", interrupt), INTERRUPTS_S)
        await asyncio.sleep(INTERRUPTS_S)
    time.running += [pool.kind for pool in pools if pool.running]
    time.running += [] if writer.done() else ["writer"]


def heed_signals(
    stop: Callable[[], object], within_s: float, end_process: Callable[[int], object]
) -> None:
    """From now on signals end the process; call it on the main thread, with a running loop.

    The first signal calls `stop` on the loop. If the process has not ended `within_s` seconds
    later, or if a second signal comes, `end_process` gets the exit code. A thread waits for this,
    so that it works while the loop hangs.
    """
    loop = asyncio.get_running_loop()
    reads_from, writes_to = os.pipe()
    os.set_blocking(writes_to, False)

    def watch() -> None:
        os.read(reads_from, 1)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(stop)
        again, _, _ = select.select([reads_from], [], [], within_s)
        if again:
            number = os.read(reads_from, 1)[0]
            log.warning("ended_by_signal", signal=signal.Signals(number).name)
            end_process(KILLED + number)
        log.error("not_ended_in_time", seconds=within_s)
        end_process(FAILED)

    threading.Thread(target=watch, name="signals", daemon=True).start()
    # Python writes each signal's number into the pipe at once, even while the main thread does not
    # come to run a handler.
    signal.set_wakeup_fd(writes_to, warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, _do_nothing)


def _do_nothing(_number: int, _frame: object) -> None:
    """Replaces the signal's default, which would end the process at once."""
