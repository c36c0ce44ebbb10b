"""Health follows storage: a server without its database reports NOT_SERVING.

Health falls after any failure: the database refused or did not answer a batch, or a probe failed or
took too long. Health rises only after a committed transaction. A read would not detect a full or
read-only disk, and an answered call may be a stored answer. So the probe only reads while the
server is healthy, because reading is cheap. While the server is not healthy, the probe writes.

A probe may be too optimistic: it writes little, and the next batch may still fail. Therefore a
server whose health falls soon after it rose waits longer each time before a commit counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from service.bounds import bounded
from service.domain.errors import FreeholdError, Unavailable
from service.engine.pool import in_a_thread

STORAGE_REASONS = frozenset({"STORAGE_UNAVAILABLE", "OUTCOME_UNKNOWN"})

Probe = Callable[[bool], bool]
"""A function that probes the database, by writing if True is given; it may block.

Returns False if it could not probe; raises StorageFailed or OutcomeUnknown.
"""


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """The intervals of probes and the waits after failures, all in seconds."""

    interval_s: float = bounded(1.0, 0.01, 3600)
    """The time between two probes of the database."""
    timeout_s: float = bounded(3.0, 0.01, 600)
    """The longest probe; a longer one has failed."""
    first_pause_s: float = bounded(1.0, 0, 3600)
    """The wait after a relapse before a commit counts; it doubles with each relapse."""
    most_pause_s: float = bounded(30.0, 0, 3600)
    """The longest such wait; a failure after a longer healthy time is not a relapse."""


class Health:
    """The health of the server; instants are seconds of any steady clock."""

    def __init__(self, limits: ProbeLimits) -> None:
        self._limits = limits
        self._up = False
        self._closed = False
        self._rose_s: float | None = None
        self._failed_s = 0.0
        self._pause_s = 0.0

    @property
    def serving(self) -> bool:
        """True if the server should receive calls."""
        return self._up and not self._closed

    def failed(self, now_s: float) -> None:
        """Records that storage failed."""
        if self._up:
            most_s = self._limits.most_pause_s
            relapse = self._rose_s is not None and now_s - self._rose_s < most_s
            longer_s = max(self._limits.first_pause_s, 2 * self._pause_s)
            self._pause_s = min(most_s, longer_s) if relapse else 0.0
        self._up = False
        self._failed_s = now_s

    def started(self) -> None:
        """Records that the server has opened its database."""
        self._up = True

    def committed(self, began_s: float) -> None:
        """Records that a transaction that began at this instant was committed.

        The commit does not count if the transaction began before storage failed, or too soon
        afterwards.
        """
        if not self._up and began_s >= self._failed_s + self._pause_s:
            self._up, self._rose_s = True, began_s

    def close(self) -> None:
        """Records that the server stops; it never receives calls again."""
        self._closed = True


class Prober:
    """Probes storage at intervals, and at once after a refused batch. It runs on one event loop.

    Each probe has a thread of its own, apart from the writer and the readers. A probe begins only
    after the previous probe has ended, however long the previous one takes.
    """

    def __init__(
        self,
        probe: Probe,
        tell: Callable[[bool], Awaitable[None]],
        limits: ProbeLimits,
        log_change: Callable[[bool, BaseException | None], None],
    ) -> None:
        """`tell` receives each change of health; `log_change` receives its cause as well."""
        self._probe = probe
        self._tell = tell
        self._limits = limits
        self._log_change = log_change
        self._health = Health(limits)
        self._told = False
        self._look = asyncio.Event()
        self._saying: set[asyncio.Task[None]] = set()

    @property
    def serving(self) -> bool:
        """True if the server reports SERVING."""
        return self._health.serving

    async def start(self) -> None:
        """Reports SERVING from now on."""
        self._health.started()
        self._told = True
        await self._tell(True)

    def close(self) -> None:
        """Stops reporting; the caller reports NOT_SERVING itself."""
        self._health.close()

    def notice(self, refusals: Sequence[FreeholdError]) -> None:
        """Lowers health at once if storage refused a call; call it on the event loop."""
        if any(isinstance(it, Unavailable) and it.reason in STORAGE_REASONS for it in refusals):
            self._fall()

    def _fall(self) -> None:
        self._health.failed(self._now_s())
        self._look.set()
        # Do not wait for a probe that is under way: it may take long.
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
        """Runs one probe to its end."""
        began_s = self._now_s()
        writes = not self._health.serving
        probing = asyncio.ensure_future(in_a_thread("probe", lambda: self._probe(writes)))
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
        """Reports health if it has changed."""
        serving = self._health.serving
        if serving != self._told:
            self._told = serving
            await self._tell(serving)
            self._log_change(serving, error)
