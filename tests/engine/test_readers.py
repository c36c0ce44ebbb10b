"""Readers: callers share the threads by turns, and no read keeps a thread for nobody."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from service.domain.access import Principal
from service.domain.errors import Exhausted
from service.engine.read_time import read_time
from service.engine.readers import ReaderLimits, Readers

WAIT_S = 30.0


@dataclass(frozen=True)
class Asking:
    """A call of one caller."""

    principal: Principal
    deadline: float | None = None


def of(operator_id: str | None, deadline: float | None = None) -> Asking:
    """A call by this operator; None means the platform."""
    return Asking(Principal(operator_id, frozenset(), "key"), deadline)


class Gate:
    """Reads that note their caller and wait for a permit each."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._permits = threading.Semaphore(0)
        self._begins = threading.Condition()

    def read(self, caller: str) -> Callable[[], str]:
        """A read of this caller, which waits for a permit."""

        def read() -> str:
            with self._begins:
                self.begun.append(caller)
                self._begins.notify_all()
            assert self._permits.acquire(timeout=WAIT_S)
            return caller

        return read

    def permit(self, count: int = 1) -> None:
        """Lets running reads end."""
        self._permits.release(count)

    def until_begun(self, count: int) -> None:
        """Waits until so many reads have begun."""
        with self._begins:
            assert self._begins.wait_for(lambda: len(self.begun) >= count, WAIT_S)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that lets everything through at the end."""
    made = Gate()
    yield made
    made.permit(10_000)


def test_a_flood_delays_another_callers_read_by_one_read_of_each_thread(gate: Gate) -> None:
    """While a caller has 200 reads in the queue, another caller's read begins after at most one
    read of each thread has ended."""
    threads = 4

    async def main() -> None:
        flood = [
            asyncio.ensure_future(readers.run(of("flood"), gate.read("flood"))) for _ in range(200)
        ]
        await asyncio.to_thread(gate.until_begun, threads)
        good = asyncio.ensure_future(readers.run(of("good"), gate.read("good")))
        await asyncio.sleep(0)
        ended = 0
        while "good" not in gate.begun:
            gate.permit()
            ended += 1
            await asyncio.to_thread(gate.until_begun, threads + ended)
        assert ended <= threads
        gate.permit(300)
        assert await good == "good"
        assert await asyncio.gather(*flood) == ["flood"] * 200

    readers = Readers(ReaderLimits(threads=threads, max_waiting=1000, max_waiting_each=1000))
    asyncio.run(main())
    readers.shutdown()


def test_three_callers_take_turns(gate: Gate) -> None:
    """The reads of three callers run in turn, whoever sent how many."""

    async def main() -> None:
        first = asyncio.ensure_future(readers.run(of("a"), gate.read("a")))
        await asyncio.to_thread(gate.until_begun, 1)
        rest = [
            asyncio.ensure_future(readers.run(of(it), gate.read(str(it))))
            for it in ("a", "a", "a", "a", "b", "b", None)
        ]
        await asyncio.sleep(0)
        gate.permit(20)
        await asyncio.gather(first, *rest)

    readers = Readers(ReaderLimits(threads=1))
    asyncio.run(main())
    readers.shutdown()
    assert gate.begun == ["a", "a", "b", "None", "a", "b", "a", "a"]


def test_a_caller_beyond_its_queue_is_refused_and_others_are_not(gate: Gate) -> None:
    """A caller's reads beyond its own queue are refused with a delay; another caller is served."""

    async def main() -> None:
        waiting = [asyncio.ensure_future(readers.run(of("flood"), gate.read("flood")))]
        await asyncio.to_thread(gate.until_begun, 1)
        waiting += [
            asyncio.ensure_future(readers.run(of("flood"), gate.read("flood"))) for _ in range(2)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Exhausted) as refused:
            await readers.run(of("flood"), gate.read("flood"))
        assert refused.value.reason == "TOO_MANY_READS"
        assert refused.value.retry_after_ms == 70
        good = asyncio.ensure_future(readers.run(of("good"), gate.read("good")))
        gate.permit(20)
        assert await good == "good"
        await asyncio.gather(*waiting)

    limits = ReaderLimits(threads=1, max_waiting=2, max_waiting_each=2, retry_after_ms=70)
    readers = Readers(limits)
    asyncio.run(main())
    readers.shutdown()


def test_a_cancelled_call_ends_its_read() -> None:
    """The time of a read is over as soon as its call is cancelled; a read that still waits is not
    done at all."""
    begun, over = threading.Event(), threading.Event()
    done: list[int] = []

    def long() -> None:
        given = read_time()
        assert given is not None
        begun.set()
        end = time.monotonic() + WAIT_S
        while not given.over and time.monotonic() < end:
            time.sleep(0.001)
        if given.over:
            over.set()

    async def main() -> None:
        running = asyncio.ensure_future(readers.run(of("a"), long))
        await asyncio.to_thread(begun.wait, WAIT_S)
        waiting = asyncio.ensure_future(readers.run(of("a"), lambda: done.append(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        running.cancel()
        await asyncio.gather(waiting, running, return_exceptions=True)
        assert await asyncio.to_thread(over.wait, WAIT_S)
        assert await readers.run(of("a"), lambda: 2) == 2

    readers = Readers(ReaderLimits(threads=1))
    asyncio.run(main())
    readers.shutdown()
    assert done == []


def test_the_read_knows_its_calls_deadline() -> None:
    """A read whose call has no time left is over at its beginning, and one with time is not."""

    def over() -> bool:
        given = read_time()
        assert given is not None
        return given.over

    async def main() -> None:
        assert await readers.run(of("a", time.monotonic() - 1), over)
        assert not await readers.run(of("a", time.monotonic() + WAIT_S), over)
        assert not await readers.run(of("a"), over)
        assert read_time() is None

    readers = Readers(ReaderLimits(threads=1))
    asyncio.run(main())
    readers.shutdown()


def test_an_error_of_the_read_reaches_its_caller() -> None:
    """An error of the read reaches its caller, and the thread goes on."""

    def fail() -> None:
        raise KeyError("why")

    async def main() -> None:
        for _ in range(3):
            with pytest.raises(KeyError, match="why"):
                await readers.run(of("a"), fail)

    readers = Readers(ReaderLimits(threads=1))
    asyncio.run(main())
    readers.shutdown()


def test_the_end_of_the_server_interrupts_reads() -> None:
    """At the end of the server running reads are told to end, and waiting reads are cancelled."""
    begun = threading.Event()

    def long() -> bool:
        given = read_time()
        assert given is not None
        begun.set()
        end = time.monotonic() + WAIT_S
        while not given.over and time.monotonic() < end:
            time.sleep(0.001)
        return given.over

    async def main() -> None:
        running = asyncio.ensure_future(readers.run(of("a"), long))
        await asyncio.to_thread(begun.wait, WAIT_S)
        waiting = asyncio.ensure_future(readers.run(of("a"), long))
        await asyncio.sleep(0)
        await asyncio.to_thread(readers.shutdown)
        assert await running
        with pytest.raises(asyncio.CancelledError):
            await waiting

    readers = Readers(ReaderLimits(threads=1))
    asyncio.run(main())
