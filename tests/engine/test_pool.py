"""Pools of threads: the queue is bounded, and no kind of work delays another."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress

import pytest

from service.domain.errors import Exhausted, InvariantBroken
from service.engine.pool import NoPool, Pool, PoolLimits

WAIT_S = 30.0


@pytest.fixture
def gate() -> threading.Event:
    """A gate that stays closed until it is set."""
    return threading.Event()


def test_d7_work_beyond_the_bound_is_refused(gate: threading.Event) -> None:
    """D7: a pool accepts as much work as its threads and its queue take; more work is refused with
    Exhausted and a delay, until some work finishes."""
    with Pool("key lookups", PoolLimits(threads=2, max_waiting=3, retry_after_ms=70)) as pool:
        taken = [pool.submit(gate.wait, WAIT_S) for _ in range(5)]
        for _ in range(3):
            with pytest.raises(Exhausted) as refused:
                pool.submit(gate.wait, WAIT_S)
        assert refused.value.reason == "TOO_MANY_KEY_LOOKUPS"
        assert refused.value.retry_after_ms == 70
        gate.set()
        assert [it.result(WAIT_S) for it in taken] == [True] * 5
        for _ in range(100):
            assert pool.submit(gate.wait, WAIT_S).result(WAIT_S)


def test_d7_cancelled_work_keeps_its_place(gate: threading.Event) -> None:
    """D7: work that was cancelled in the queue keeps its place until a thread skips it, so
    cancelled calls cannot fill the memory. Cancelled work is not done."""
    done: list[int] = []
    with Pool("reads", PoolLimits(threads=1, max_waiting=2)) as pool:
        first = pool.submit(gate.wait, WAIT_S)
        for number in range(2):
            assert pool.submit(done.append, number).cancel()
        with pytest.raises(Exhausted):
            pool.submit(done.append, 2)
        gate.set()
        assert first.result(WAIT_S)
        last: Future[None] | None = None
        while last is None:
            with suppress(Exhausted):
                last = pool.submit(done.append, 3)
        last.result(WAIT_S)
    assert done == [3]


def test_a7_the_end_of_a_pool_waits_for_nothing(gate: threading.Event) -> None:
    """A7: a pool that ends cancels the work that waits, and counts the work that still runs, until
    that is done."""
    pool = Pool("reads", PoolLimits(threads=1, max_waiting=2))
    begun = threading.Event()

    def work() -> bool:
        begun.set()
        return gate.wait(WAIT_S)

    running = pool.submit(work)
    waiting = [pool.submit(gate.wait, WAIT_S) for _ in range(2)]
    assert begun.wait(WAIT_S)
    pool.end()
    assert [it.cancelled() for it in waiting] == [True, True]
    assert pool.running == 1
    gate.set()
    assert running.result(WAIT_S)
    pool.shutdown()
    assert pool.running == 0


def test_an_error_of_the_work_reaches_its_caller() -> None:
    """An error of the work reaches the caller and frees the place."""

    def fail() -> None:
        raise KeyError("why")

    async def main() -> None:
        for _ in range(3):
            with pytest.raises(KeyError, match="why"):
                await pool.run(fail)
        assert await pool.run(max, 1, 2) == 2

    with Pool("reads", PoolLimits(threads=1, max_waiting=0)) as pool:
        asyncio.run(main())


def test_a_closed_pool_refuses_and_keeps_no_place() -> None:
    """A closed pool raises RuntimeError, however often it is asked."""
    pool = Pool("reads", PoolLimits(threads=1, max_waiting=0))
    pool.shutdown()
    for _ in range(3):
        with pytest.raises(RuntimeError, match="shutdown"):
            pool.submit(int)


def test_d7_the_default_pool_refuses_all_work() -> None:
    """D7: where the server has put NoPool in place of the default pool, work for the default pool
    is refused."""

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(NoPool())
        with pytest.raises(InvariantBroken, match="a Pool of its own"):
            await asyncio.to_thread(int)

    asyncio.run(main())
