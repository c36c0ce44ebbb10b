"""The loop of every worker: portions, pauses, faults and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.domain.errors import Unavailable
from service.engine.workers.worker import Worker

HANG_S = 30.0


def worker(
    work: Callable[[], Awaitable[bool]],
    faults: list[BaseException],
    *,
    interval_s: float = 0.0,
    pause_s: float | None = None,
) -> Worker:
    """A worker that collects its faults."""
    return Worker(
        "test",
        work,
        interval_s=interval_s,
        pause_s=pause_s,
        log_fault=lambda _id, error, _about=None: faults.append(error),
    )


def test_a_failure_ends_no_worker() -> None:
    """A defect and an absent database are logged, a refusal is not, and the worker goes on."""
    faults: list[BaseException] = []
    outcomes: list[BaseException | bool] = [OSError("away"), Unavailable("BUSY", "busy"), True]
    done = 0

    async def work() -> bool:
        nonlocal done
        done += 1
        outcome = outcomes.pop(0) if outcomes else False
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def main() -> None:
        it = worker(work, faults)
        it.start()
        while done < 5:
            await asyncio.sleep(0)
        await it.stop()
        ended = done
        await asyncio.sleep(0.01)
        assert done == ended

    asyncio.run(asyncio.wait_for(main(), HANG_S))
    assert [str(it) for it in faults] == ["away"]


def test_pauses_and_intervals() -> None:
    """While more work is left, portions follow after the pause; else after the interval."""
    left = 4
    emptied = asyncio.Event()

    async def work() -> bool:
        nonlocal left
        left -= 1
        if left == 0:
            emptied.set()
        return left > 0

    async def main() -> None:
        it = worker(work, [], interval_s=2 * HANG_S, pause_s=0.0)
        it.start()
        await emptied.wait()
        await asyncio.sleep(0.01)
        await it.stop()

    asyncio.run(asyncio.wait_for(main(), HANG_S))
    assert left == 0


def test_a_worker_is_started_once() -> None:
    """A second start is refused; after a stop the worker can start again, and a second stop is
    harmless."""

    async def work() -> bool:
        return False

    async def main() -> None:
        it = worker(work, [])
        it.start()
        with pytest.raises(RuntimeError, match="started twice"):
            it.start()
        await it.stop()
        await it.stop()
        it.start()
        await it.stop()

    asyncio.run(asyncio.wait_for(main(), HANG_S))


def test_a_stop_interrupts_a_portion() -> None:
    """A worker that is stopped within a portion ends at once."""

    async def work() -> bool:
        await asyncio.sleep(2 * HANG_S)
        return False

    async def main() -> None:
        it = worker(work, [])
        it.start()
        await asyncio.sleep(0)
        await it.stop()

    asyncio.run(asyncio.wait_for(main(), HANG_S))
