"""The committer: one bounded queue, one writer, one transaction for each batch."""

from __future__ import annotations

import asyncio
import string
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from service.domain.errors import Exhausted, NotFound, Unavailable
from service.engine.arrivals import PROBING, ArrivalRate, Crowd, Waits
from service.engine.calls import Work
from service.engine.engine import Result
from service.engine.group_commit import (
    CommitLimits,
    CommitStatistics,
    Committer,
    enough,
    linger_s,
)
from tests.engine.calls import authorize, counts
from tests.fakes import Desk

ON_BOTH = "batches are transactions"

T = TypeVar("T")
HANG_S = 30.0
AT_ONCE = CommitLimits(max_queue=4, max_batch=2, min_arrivals=1e9)
PATIENT = CommitLimits(
    max_queue=16, max_batch=3, max_linger_s=HANG_S, patience=100_000, min_arrivals=0.0
)


def run(main: Coroutine[object, object, T]) -> T:
    """Runs to the end, or fails after a time limit."""
    return asyncio.run(asyncio.wait_for(main, HANG_S))


def echo(works: Sequence[Work]) -> list[Result]:
    """Answers every command with its request id."""
    return [work.request_id.encode() for work in works]


class Gate:
    """Holds the writer inside a batch until it is opened."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self._open = threading.Event()
        self._entered = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def apply(self, works: Sequence[Work]) -> list[Result]:
        """Waits for the gate, then answers."""
        self.batches.append([work.request_id for work in works])
        self._loop.call_soon_threadsafe(self._entered.set)
        if not self._open.wait(HANG_S):
            raise TimeoutError
        return echo(works)

    async def entered(self) -> None:
        """Returns once the writer has a batch."""
        await self._entered.wait()

    def open(self) -> None:
        """Lets the writer go on for good."""
        self._open.set()


@pytest.fixture
def work(desk: Desk) -> Callable[[str], Work]:
    """Works with these request ids."""
    return lambda name: desk.work(authorize(product_id="umbrella"), request_id=name)


Make = Callable[[str], Work]


# -- the linger rule -------------------------------------------------------------------------

LIMITS = CommitLimits(max_batch=64, max_linger_s=0.004, min_arrivals=4.0)


@pytest.mark.parametrize(
    ("rate_per_second", "waiting", "pause_s"),
    [
        (0.0, 1, 0.0),  # no arrivals
        (999.0, 1, 0.0),  # fewer than four within 4 ms
        (1_000.0, 1, 0.004),  # four within 4 ms
        (16_000.0, 1, 0.004),  # a batch in exactly 4 ms
        (32_000.0, 1, 0.002),  # a batch in 2 ms
        (128_000.0, 1, 0.0005),
        (32_000.0, 63, 0.002),
        (16_000.0, 64, 0.0),  # the batch is full
        (16_000.0, 500, 0.0),
    ],
)
def test_the_writer_lingers_only_when_calls_are_expected(
    rate_per_second: float, waiting: int, pause_s: float
) -> None:
    """The writer lingers for a batch, up to the limit, and only when enough calls are expected."""
    pause = linger_s(rate_per_second, waiting, LIMITS.max_batch, LIMITS)
    assert pause == pytest.approx(pause_s)


def test_the_rate_follows_the_arrivals() -> None:
    """The average rate of arrivals follows a change, up or down, within a few windows."""
    rate = ArrivalRate(0.05)
    assert rate.measure(100.0, 0) == 0.0
    for step in range(1, 41):
        rate.measure(100.0 + step * 0.05, 50 * step)
    assert rate.per_second == pytest.approx(1_000, rel=0.01)
    for step in range(41, 81):
        rate.measure(100.0 + step * 0.05, 2_000)
    assert rate.per_second == pytest.approx(0, abs=1)


def test_the_rate_is_not_measured_within_a_window() -> None:
    """Within one window the rate stays; the arrivals count in the next measurement."""
    rate = ArrivalRate(0.05)
    rate.measure(100.0, 0)
    assert rate.measure(100.049, 1) == 0.0
    assert rate.measure(100.2, 1) == pytest.approx(1 / 0.2)


def test_the_crowd_is_the_recent_peak_of_callers() -> None:
    """The expected number of callers is the larger of the numbers at the last two answered
    batches."""
    crowd = Crowd()
    sizes = []
    for here in (1, 5, 2, 2, 0, 0):
        crowd.answered(here)
        sizes.append(crowd.size)
    assert sizes == [1, 5, 5, 2, 2, 0]


def test_a_wait_pays_only_for_callers_that_come_back() -> None:
    """Waits that bring no more calls than arrive on average soon end, but for a trial now and then;
    once trials bring callers that came back, the writer waits before each batch again."""
    waits = Waits()
    for _ in range(100):
        assert waits.pay()
        waits.ended(8, 300, 0.01, 0.01)
    for _ in range(10):
        waits.ended(10, 950, 0.01, 0.01)
    tried = [waits.pay() for _ in range(4 * PROBING)]
    assert tried.count(True) == 4
    for _ in range(4):
        waits.ended(8, 300, 0.01, 0.01)
    assert all(waits.pay() for _ in range(2 * PROBING))


def test_a_machine_that_stood_still_does_not_end_the_waits() -> None:
    """A wait of 10 ms that took 150 ms, because the machine stood still, counts as 10 ms: waits for
    callers that come back go on."""
    waits = Waits()
    for _ in range(100):
        waits.ended(60, 2_000, 0.006, 0.01)
    waits.ended(60, 2_000, 0.15, 0.01)
    assert waits.pay()


def test_a_short_wait_by_chance_is_no_gain() -> None:
    """Waits for one call of a steady rate do not pay, though most of them end before the time in
    which one call arrives on average."""
    waits = Waits()
    for expected in [0.2, 0.4, 2.4] * 20:
        waits.ended(1, expected, 1, 1)
    assert not waits.pay()


# -- batches ---------------------------------------------------------------------------------


def test_every_caller_gets_its_own_answer(work: Make) -> None:
    """Answers return to their callers, refusals as exceptions."""

    def apply(works: Sequence[Work]) -> list[Result]:
        return [
            NotFound("user", "x") if w.request_id == "bad" else w.request_id.encode() for w in works
        ]

    async def main() -> list[bytes | BaseException]:
        committer = Committer(apply, AT_ONCE)
        committer.start()
        names = ["a", "bad", "b"]
        results = await asyncio.gather(
            *(committer.submit(work(name)) for name in names), return_exceptions=True
        )
        await committer.close()
        return results

    first, refusal, second = run(main())
    assert (first, second) == (b"a", b"b")
    assert isinstance(refusal, NotFound)


def test_waiting_calls_form_one_batch(work: Make) -> None:
    """Calls that arrive during a batch are taken in order, a batch at a time."""

    async def main() -> tuple[list[list[str]], CommitStatistics]:
        gate = Gate()
        committer = Committer(gate.apply, AT_ONCE)
        committer.start()
        first = asyncio.ensure_future(committer.submit(work("a")))
        await gate.entered()
        rest = [asyncio.ensure_future(committer.submit(work(name))) for name in "bcd"]
        await asyncio.sleep(0)
        assert committer.waiting == 3
        gate.open()
        await asyncio.gather(first, *rest)
        await committer.close()
        return gate.batches, committer.statistics

    batches, statistics = run(main())
    assert batches == [["a"], ["b", "c"], ["d"]]
    assert (statistics.batches, statistics.commands) == (3, 4)
    assert statistics.sizes == {1: 2, 2: 1}
    assert statistics.batch_mean == pytest.approx(4 / 3)


def test_without_batches_the_mean_is_zero() -> None:
    """Before the first batch the mean is 0."""
    assert CommitStatistics().batch_mean == 0.0


async def crowded(committer: Committer, gate: Gate, work: Make, names: str) -> None:
    """Sends calls of these callers together, so that the committer knows their number."""
    committer.start()
    first = asyncio.ensure_future(committer.submit(work(names[0])))
    await gate.entered()
    rest = [asyncio.ensure_future(committer.submit(work(name))) for name in names[1:]]
    await asyncio.sleep(0)
    gate.open()
    await first
    await asyncio.gather(*rest, committer.submit(work(f"{names[0]} again")))


@pytest.mark.parametrize(
    ("crowd", "calls", "batches"),
    [("ab", "cd", [["c", "d"]]), ("abc", "defgh", [["d", "e", "f"], ["g", "h"]])],
)
def test_the_writer_goes_when_there_are_enough(
    work: Make, crowd: str, calls: str, batches: list[list[str]]
) -> None:
    """A lingering writer goes when all recent callers wait, or the batch is full."""

    async def main() -> list[list[str]]:
        gate = Gate()
        committer = Committer(gate.apply, PATIENT)
        await crowded(committer, gate, work, crowd)
        before = len(gate.batches)
        tasks = [asyncio.ensure_future(committer.submit(work(calls[0])))]
        for _ in range(10):
            await asyncio.sleep(0)
        assert committer.waiting == 1
        tasks += [asyncio.ensure_future(committer.submit(work(name))) for name in calls[1:]]
        await asyncio.gather(*tasks[: len(batches[0])])
        await committer.close()
        await asyncio.gather(*tasks)
        return gate.batches[before:]

    assert run(main()) == batches


@pytest.mark.parametrize(
    ("callers", "overlapping", "calls"),
    [(32, True, 32), (33, True, 11), (64, True, 22), (64, False, 64), (100, False, 64)],
)
def test_a_third_of_many_callers_is_enough(callers: int, overlapping: bool, calls: int) -> None:
    """A batch waits for all callers, but only for a third of more than 32 if the process is mostly
    idle while callers send."""
    assert enough(callers, LIMITS.max_batch, LIMITS, overlapping=overlapping) == calls


def test_the_writer_goes_when_a_part_of_many_callers_waits(work: Make) -> None:
    """Of 36 recent callers, 12 that wait are one batch if the transport reads calls cheaply."""
    names = string.ascii_letters[:36]

    async def main() -> list[str]:
        gate = Gate()
        committer = Committer(gate.apply, replace(PATIENT, max_queue=64, max_batch=64))
        committer.overlapping = True
        committer.start()
        tasks = [asyncio.ensure_future(committer.submit(work(names[0])))]
        await gate.entered()
        tasks += [asyncio.ensure_future(committer.submit(work(name))) for name in names[1:]]
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(*tasks)
        tasks = [asyncio.ensure_future(committer.submit(work(name))) for name in names[:11]]
        for _ in range(10):
            await asyncio.sleep(0)
        assert committer.waiting == 11
        await asyncio.gather(*tasks, committer.submit(work("the twelfth")))
        await committer.close()
        return gate.batches[-1]

    assert len(run(main())) == 12


def test_the_writer_does_not_wait_for_unknown_callers(work: Make) -> None:
    """A single caller is answered at once, call after call, however long the writer may linger."""

    async def main() -> list[list[str]]:
        gate = Gate()
        gate.open()
        committer = Committer(gate.apply, PATIENT)
        committer.start()
        for name in "abc":
            await committer.submit(work(name))
        await committer.close()
        return gate.batches

    assert run(main()) == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize(
    "limits",
    [
        CommitLimits(max_linger_s=0.001, patience=100_000, min_arrivals=0.0),
        CommitLimits(max_linger_s=HANG_S, patience=2, min_arrivals=0.0),
    ],
)
def test_the_writer_lingers_up_to_the_limit(work: Make, limits: CommitLimits) -> None:
    """If recent callers stay away, the writer takes the batch after the longest wait, or earlier if
    no call came for a shorter time."""

    async def main() -> list[str]:
        gate = Gate()
        committer = Committer(gate.apply, limits)
        await crowded(committer, gate, work, "abc")
        await committer.submit(work("d"))
        await committer.close()
        return gate.batches[-1]

    assert run(main()) == ["d"]


def test_chores_run_between_batches(work: Make) -> None:
    """A chore runs on the writing thread after the present batch, and its error goes to whoever
    waits for it; the batches go on."""

    async def main() -> tuple[list[str], BaseException]:
        gate = Gate()
        committer = Committer(gate.apply, AT_ONCE)
        committer.start()
        first = asyncio.ensure_future(committer.submit(work("a")))
        await gate.entered()
        done: list[str] = []

        def note(name: str) -> None:
            done.append(f"{name} on {threading.current_thread().name}")

        def fail() -> None:
            raise IndexError

        chore = committer.between(note, "chore")
        failing = committer.between(fail)
        await asyncio.sleep(0)
        assert done == []
        gate.open()
        await asyncio.gather(first, chore)
        failed = (await asyncio.gather(failing, return_exceptions=True))[0]
        assert await committer.submit(work("b")) == b"b"
        await committer.close()
        assert isinstance(failed, BaseException)
        return done, failed

    done, failed = run(main())
    assert done == ["chore on committer"]
    assert isinstance(failed, IndexError)


def test_a_full_queue_refuses(work: Make) -> None:
    """With a full queue a call is refused at once, to be retried; the others pass."""

    async def main() -> tuple[Exhausted, list[bytes]]:
        gate = Gate()
        committer = Committer(gate.apply, AT_ONCE)
        committer.start()
        waiting = [asyncio.ensure_future(committer.submit(work("a")))]
        await gate.entered()
        waiting += [asyncio.ensure_future(committer.submit(work(name))) for name in "bcde"]
        await asyncio.sleep(0)
        with pytest.raises(Exhausted) as refused:
            await committer.submit(work("f"))
        gate.open()
        answers = await asyncio.gather(*waiting)
        assert await committer.submit(work("f")) == b"f"
        await committer.close()
        return refused.value, answers

    refusal, answers = run(main())
    assert (refusal.reason, refusal.retry_after_ms) == ("QUEUE_FULL", 100)
    assert answers == [b"a", b"b", b"c", b"d", b"e"]


def test_closing_finishes_the_queue(work: Make) -> None:
    """Closing answers every call in the queue and refuses later calls."""

    async def main() -> tuple[list[bytes], Unavailable]:
        gate = Gate()
        committer = Committer(gate.apply, AT_ONCE)
        committer.start()
        waiting = [asyncio.ensure_future(committer.submit(work("a")))]
        await gate.entered()
        waiting += [asyncio.ensure_future(committer.submit(work(name))) for name in "bcd"]
        await asyncio.sleep(0)
        closing = asyncio.create_task(committer.close())
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as refused:
            await committer.submit(work("e"))
        gate.open()
        await closing
        assert all(task.done() for task in waiting)
        return await asyncio.gather(*waiting), refused.value

    answers, refusal = run(main())
    assert answers == [b"a", b"b", b"c", b"d"]
    assert refusal.reason == "SHUTTING_DOWN"


def test_closing_ends_the_lingering(work: Make) -> None:
    """A lingering writer goes on at once when the server stops."""

    async def main() -> bytes:
        gate = Gate()
        committer = Committer(gate.apply, PATIENT)
        await crowded(committer, gate, work, "abc")
        waiting = asyncio.ensure_future(committer.submit(work("d")))
        for _ in range(10):
            await asyncio.sleep(0)
        assert committer.waiting == 1
        await committer.close()
        return await waiting

    assert run(main()) == b"d"


def test_a_committer_that_never_started_closes() -> None:
    """Closing before the start is no error."""

    async def main() -> None:
        await Committer(echo, AT_ONCE).close()

    run(main())


def test_a_caller_that_goes_away_does_not_break_the_batch(work: Make) -> None:
    """A cancelled call is still applied with its batch, and the others get their answers."""

    async def main() -> tuple[list[list[str]], bytes]:
        gate = Gate()
        committer = Committer(gate.apply, AT_ONCE)
        committer.start()
        gone = [asyncio.ensure_future(committer.submit(work("a")))]
        await gate.entered()
        gone.append(asyncio.ensure_future(committer.submit(work("b"))))
        stays = asyncio.ensure_future(committer.submit(work("c")))
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        gate.open()
        answer = await stays
        await committer.close()
        return gate.batches, answer

    assert run(main()) == ([["a"], ["b", "c"]], b"c")


def test_the_writer_survives_an_error_in_apply(work: Make) -> None:
    """An apply that raises an error gives its callers an unknown outcome, and the writer goes
    on."""

    def broken(works: Sequence[Work]) -> list[Result]:
        if works[0].request_id == "bad":
            raise RuntimeError("apply never raises")
        return echo(works)

    async def main() -> None:
        committer = Committer(broken, AT_ONCE)
        committer.start()
        with pytest.raises(Unavailable) as refused:
            await committer.submit(work("bad"))
        assert refused.value.reason == "OUTCOME_UNKNOWN"
        assert await committer.submit(work("good")) == b"good"
        await committer.close()

    run(main())


def test_a_retry_gets_the_answer_of_a_cancelled_call(desk: Desk, work: Make) -> None:
    """A cancelled call's decision stands, and a retry with its id gets the answer."""

    async def main() -> bytes:
        gate = Gate()

        def apply(works: Sequence[Work]) -> list[Result]:
            results = desk.engine.apply(works)
            gate.apply(works)
            return results

        committer = Committer(apply, AT_ONCE)
        committer.start()
        gone = asyncio.ensure_future(committer.submit(work("r")))
        await gate.entered()
        gone.cancel()
        gate.open()
        answer = await committer.submit(work("r"))
        await committer.close()
        return answer

    answer = run(main())
    assert answer == repr(desk.answers["r"]).encode()
    assert counts(desk)["authorizations"] == 1


def test_many_callers_on_a_real_engine(desk: Desk, work: Make) -> None:
    """Two hundred concurrent calls of twenty ids have twenty effects."""

    async def main() -> list[bytes]:
        committer = Committer(desk.engine.apply, CommitLimits())
        committer.start()
        answers = await asyncio.gather(*(committer.submit(work(f"r-{n % 20}")) for n in range(200)))
        await committer.close()
        return answers

    answers = run(main())
    assert len(set(answers)) == 20
    assert answers[:20] * 10 == answers
    assert counts(desk)["authorizations"] == 20
