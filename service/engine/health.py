"""Health follows storage: a server whose database is away tells those who send it calls.

It falls with whatever fails: a batch that the database refused or did not answer, or a probe that
failed or was not over in time. It rises with one thing alone, a transaction that was committed. A
read tells nothing of a full or read-only disk, and an answer to a call may be an old one that was
stored. So the probe reads while all is well, for little, and writes while it is not.

A probe may promise too much: what it writes is tiny, and the next batch may be refused again.
Therefore a server that falls soon after it rose waits longer each time before a commit counts.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from service.bounds import bounded
from service.domain.errors import FreeholdError, Unavailable

STORAGE_REASONS = frozenset({"STORAGE_UNAVAILABLE", "OUTCOME_UNKNOWN"})

Probe = Callable[[bool], bool]
"""Tries the database, by writing if True is given; may block.

Returns False when that could not be tried; raises StorageFailed or OutcomeUnknown.
"""


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """How often storage is tried, and what counts as failed; all in seconds."""

    interval_s: float = bounded(1.0, 0.01, 3600)
    timeout_s: float = bounded(3.0, 0.01, 600)
    """A probe that takes longer has failed."""
    first_pause_s: float = bounded(1.0, 0, 3600)
    """After a relapse no commit counts for so long; twice as long after the next."""
    most_pause_s: float = bounded(30.0, 0, 3600)
    """The longest pause; who stays up for longer than this has not relapsed when it falls."""


class Health:
    """Whether the server should be sent calls. Instants are seconds of any steady clock."""

    def __init__(self, limits: ProbeLimits) -> None:
        self._limits = limits
        self._up = False
        self._closed = False
        self._rose_s: float | None = None
        self._failed_s = 0.0
        self._pause_s = 0.0

    @property
    def serving(self) -> bool:
        """Whether it is up."""
        return self._up and not self._closed

    def failed(self, now_s: float) -> None:
        """Storage failed just now."""
        if self._up:
            most_s = self._limits.most_pause_s
            relapse = self._rose_s is not None and now_s - self._rose_s < most_s
            longer_s = max(self._limits.first_pause_s, 2 * self._pause_s)
            self._pause_s = min(most_s, longer_s) if relapse else 0.0
        self._up = False
        self._failed_s = now_s

    def started(self) -> None:
        """The server has opened its database and begins to serve."""
        self._up = True

    def committed(self, began_s: float) -> None:
        """A transaction that began at this instant was committed.

        It counts unless something failed since, or too short a while before.
        """
        if not self._up and began_s >= self._failed_s + self._pause_s:
            self._up, self._rose_s = True, began_s

    def close(self) -> None:
        """The server stops: it is never up again."""
        self._closed = True


class Prober:
    """Tries storage at intervals, and at once when a batch was refused; lives on an event loop.

    Each probe has a thread of its own, apart from the writer's and the readers', and none begins
    before the last one is over, however long that takes.
    """

    def __init__(
        self,
        probe: Probe,
        tell: Callable[[bool], Awaitable[None]],
        limits: ProbeLimits,
        log_change: Callable[[bool, BaseException | None], None],
    ) -> None:
        """`tell` is told whether the server serves, and `log_change` why, each time it changes."""
        self._probe = probe
        self._tell = tell
        self._limits = limits
        self._log_change = log_change
        self._health = Health(limits)
        self._told = False
        self._look = asyncio.Event()
        self._saying: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """The server serves from now on."""
        self._health.started()
        self._told = True
        await self._tell(True)

    def close(self) -> None:
        """The server stops; whoever stops it tells so."""
        self._health.close()

    def notice(self, refusals: Sequence[FreeholdError]) -> None:
        """Falls at once when it was storage that refused a call; on the event loop."""
        if any(isinstance(it, Unavailable) and it.reason in STORAGE_REASONS for it in refusals):
            self._fall()

    def _fall(self) -> None:
        self._health.failed(self._now_s())
        self._look.set()
        # A probe under way may take long; nobody is to wait for it.
        saying = asyncio.get_running_loop().create_task(self._say(None))
        self._saying.add(saying)
        saying.add_done_callback(self._saying.discard)

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Probes until cancelled."""
        while True:
            self._look.clear()
            await self._try()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._limits.interval_s)

    async def _try(self) -> None:
        """One probe to its end."""
        began_s = self._now_s()
        writes = not self._health.serving
        probing = asyncio.ensure_future(_in_a_thread(lambda: self._probe(writes)))
        error: BaseException | None = None
        try:
            done, _ = await asyncio.wait([probing], timeout=self._limits.timeout_s)
            if not done:
                self._health.failed(self._now_s())
                await self._say(TimeoutError(f"no answer in {self._limits.timeout_s:g} s"))
            if await probing and writes and done:
                self._health.committed(began_s)
        except Exception as failed:
            error = failed
            self._health.failed(self._now_s())
        finally:
            probing.cancel()
        await self._say(error)

    async def _say(self, error: BaseException | None) -> None:
        """Tells what has changed."""
        serving = self._health.serving
        if serving != self._told:
            self._told = serving
            await self._tell(serving)
            self._log_change(serving, error)


async def _in_a_thread(work: Callable[[], bool]) -> bool:
    """What `work` returns in a thread that nobody waits for when the process ends."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bool] = loop.create_future()

    def settle(result: bool, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = False, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="probe", daemon=True).start()
    return await future
