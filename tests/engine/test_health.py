"""Health follows storage: causes of its fall and rise, and no pile of probes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from service.alarms import log_health
from service.domain.errors import Unavailable
from service.engine.health import Health, ProbeLimits, Prober
from service.engine.ports import StorageFailed

HANG_S = 30.0
LIMITS = ProbeLimits(interval_s=0.01, timeout_s=HANG_S, first_pause_s=1.0, most_pause_s=30.0)
HASTY = replace(LIMITS, timeout_s=0.1)


@pytest.fixture
def health() -> Health:
    """Health of a server that has started."""
    made = Health(LIMITS)
    made.started()
    return made


def test_a21_it_is_down_before_the_start() -> None:
    """A21: a server that has not started is not healthy."""
    assert not Health(LIMITS).serving


def test_a21_it_rises_with_a_commit_that_began_after_the_failure(health: Health) -> None:
    """A21: after a failure, health is NOT_SERVING. A commit that began before the failure does not
    change that; a later commit does."""
    health.failed(10.0)
    assert not health.serving
    health.committed(9.9)
    assert not health.serving
    health.committed(10.1)
    assert health.serving


def test_a21_relapses_delay_the_rise(health: Health) -> None:
    """A21: health that falls soon after a rise needs a commit after 1 s, 2 s, 4 s … and at most 30
    s."""
    now, waited = 100.0, []
    for _ in range(8):
        health.failed(now)
        fell = now
        while not health.serving:
            health.committed(now)
            now += 0.25
        waited.append(now - 0.25 - fell)
        now += 0.25
    assert waited == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a21_a_long_steady_time_resets_the_delay(health: Health) -> None:
    """A21: after more than the longest delay without a failure, health rises with the next commit
    again."""
    for now in (100.0, 100.5):
        health.failed(now)
        health.committed(now + 1.0)
    health.failed(200.0)
    health.committed(200.0)
    assert health.serving


def test_a21_failures_while_down_delay_the_rise(health: Health) -> None:
    """A21: a further failure while health is down counts as the latest one, not as a relapse."""
    health.failed(10.0)
    health.failed(20.0)
    health.committed(15.0)
    assert not health.serving
    health.committed(20.0)
    assert health.serving


def test_a21_a_server_that_stops_stays_down(health: Health) -> None:
    """A21: while the server drains, nothing lifts health."""
    health.close()
    health.committed(10.0)
    health.started()
    assert not health.serving


class Storage:
    """A database that can be away, full or silent."""

    def __init__(self) -> None:
        self.away = self.full = self.busy = False
        self.silent = threading.Event()
        self.silent.set()
        self.tried: list[bool] = []
        self.under_way = self.most_under_way = 0

    def probe(self, writes: bool) -> bool:
        self.tried.append(writes)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            assert self.silent.wait(HANG_S)
            if self.away or (self.full and writes):
                raise StorageFailed("away")
            return not self.busy
        finally:
            self.under_way -= 1


class Watched:
    """A prober on a storage, and its reports."""

    def __init__(self, storage: Storage, limits: ProbeLimits) -> None:
        self._storage = storage
        self.told: list[bool] = []
        self.logged: list[tuple[bool, BaseException | None]] = []
        self.prober = Prober(
            storage.probe, self._tell, limits, lambda *change: self.logged.append(change)
        )

    async def _tell(self, serving: bool) -> None:
        self.told.append(serving)

    async def until(self, told: list[bool]) -> None:
        """Waits until exactly these reports have arrived."""
        end = time.monotonic() + HANG_S
        while self.told != told:
            assert time.monotonic() < end, self.told
            await asyncio.sleep(0.005)

    async def more_probes(self, number: int) -> None:
        """Waits until this many more probes have begun."""
        end, wanted = time.monotonic() + HANG_S, len(self._storage.tried) + number
        while len(self._storage.tried) < wanted:
            assert time.monotonic() < end, self._storage.tried
            await asyncio.sleep(0.005)


def probing(
    story: Callable[[Storage, Watched], Awaitable[None]], limits: ProbeLimits = LIMITS
) -> Watched:
    """Runs a test beside a prober, which is cancelled after it."""

    async def run() -> Watched:
        storage = Storage()
        watched = Watched(storage, limits)
        await watched.prober.start()
        task = asyncio.create_task(watched.prober.run())
        try:
            await story(storage, watched)
        finally:
            storage.silent.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return watched

    return asyncio.run(run())


def test_a21_a_storage_outage_is_seen_without_traffic() -> None:
    """A21: without any call, health falls when storage is away and rises when it is back."""

    async def story(storage: Storage, watched: Watched) -> None:
        await watched.more_probes(3)
        assert set(storage.tried) == {False}
        storage.away = True
        await watched.until([True, False])
        storage.away = False
        await watched.until([True, False, True])

    logged = probing(story).logged
    assert [serving for serving, _ in logged] == [False, True]
    assert isinstance(logged[0][1], StorageFailed)


def test_a21_a_failed_batch_is_seen_before_the_next_probe() -> None:
    """A21: a batch that storage refuses makes health fall at once, whichever probe is under way;
    other refusals do not."""

    async def story(storage: Storage, watched: Watched) -> None:
        storage.silent.clear()
        for reason in ("CONTENTION", "SHUTTING_DOWN"):
            refuse(watched, reason)
        await asyncio.sleep(0.02)
        assert watched.told == [True]
        refuse(watched, "STORAGE_UNAVAILABLE")
        await watched.until([True, False])

    probing(story)


def refuse(watched: Watched, reason: str) -> None:
    """A batch of one command that is refused for a reason."""
    watched.prober.notice([Unavailable(reason, "no")])


def test_a21_a_read_does_not_lift_health() -> None:
    """A21: with a disk that reads but does not write, health stays down until a commit."""

    async def story(storage: Storage, watched: Watched) -> None:
        storage.full = True
        refuse(watched, "OUTCOME_UNKNOWN")
        await watched.until([True, False])
        # One that reads may have begun before.
        await watched.more_probes(5)
        assert storage.tried[-3:] == [True, True, True]
        assert watched.told == [True, False]
        storage.full = False
        await watched.until([True, False, True])

    probing(story)


def test_a21_probes_do_not_pile_up() -> None:
    """A21: if a probe does not end, health is NOT_SERVING after the probe's time limit. No other
    probe begins before this one ends, and its late answer does not change health."""

    async def story(storage: Storage, watched: Watched) -> None:
        storage.silent.clear()
        await watched.until([True, False])
        await asyncio.sleep(0.1)
        assert storage.most_under_way == 1
        storage.full = True
        storage.silent.set()
        await watched.more_probes(3)
        assert watched.told == [True, False]
        storage.full = False
        # On a busy machine a later probe may be too slow again.
        end = time.monotonic() + HANG_S
        while watched.told[:3] != [True, False, True]:
            assert time.monotonic() < end, watched.told
            await asyncio.sleep(0.005)

    probing(story, HASTY)


def test_a21_a_probe_without_connection_changes_nothing() -> None:
    """A21: a probe that could not be tried changes nothing."""

    async def story(storage: Storage, watched: Watched) -> None:
        storage.busy = True
        await watched.more_probes(3)
        assert watched.told == [True]
        refuse(watched, "STORAGE_UNAVAILABLE")
        await watched.until([True, False])
        await watched.more_probes(3)
        assert watched.told == [True, False]
        storage.busy = False
        await watched.until([True, False, True])

    probing(story)


def test_a21_draining_stays() -> None:
    """A21: once the server stops, storage that comes back is not reported."""

    async def story(storage: Storage, watched: Watched) -> None:
        storage.away = True
        await watched.until([True, False])
        watched.prober.close()
        storage.away = False
        await asyncio.sleep(0.05)
        assert watched.told == [True, False]

    probing(story)


def test_a21_a_failure_without_a_text_is_logged() -> None:
    """A21: the log reports that storage is away, even when the database's error has no text."""
    failure = StorageFailed("refused")
    failure.__cause__ = OSError()
    with capture_logs() as lines:
        log_health(False, failure)
    assert [(it["event"], it["cause"]) for it in lines] == [("storage is away", "OSError")]
