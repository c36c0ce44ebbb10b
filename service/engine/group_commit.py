"""Group commit: bounded queues, one writer, one transaction for each batch.

Calls arrive one by one. A writer that takes only the waiting calls would commit few calls at a
time, at the price of one transaction each time. The writer therefore waits a moment if enough calls
are expected to arrive (`linger_s`), but not when the server is quiet. It stops waiting when all
recent callers wait for it (`Crowd`), because no further call would come. Of many callers a third
suffices if the transport reads calls cheaply (`enough`). It does not wait for calls that are
independent of its answers (`Waits`).

Each caller (an operator, or the platform) has a queue, and the batch takes one command of each in
turn. So a caller with many calls delays the others by a part of a batch, not by its whole queue. A
call is refused at once if its turn would come only after its deadline.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from service.bounds import bounded
from service.domain.errors import UNKNOWN, Exhausted, FreeholdError, Unavailable
from service.engine.arrivals import ArrivalRate, Crowd, Waits
from service.engine.counting import Histogram
from service.engine.gate import Gate
from service.engine.turns import Full, Turns

if TYPE_CHECKING:
    # The limits stand here, and each command reads them: `freehold --help` needs no engine.
    from service.engine.calls import Work
    from service.engine.engine import Result

Apply = Callable[["Sequence[Work]"], "list[Result]"]
Given = ParamSpec("Given")
Done = TypeVar("Done")

COLLECTING = 8
"""One batch in so many looks whether calls wait in the transport, while several callers are
active."""

CAUTION = 2
"""A call is refused unless its deadline leaves so many times the expected wait for its turn."""


@dataclass(frozen=True, slots=True)
class CommitLimits:
    """Bounds of the queue and the batch.

    The writer waits at most `max_linger_s`, at most as long as a batch takes to arrive, and only if
    at least `min_arrivals` calls are expected meanwhile. It stops waiting if nothing arrives for
    `quiet_s`. While more than an eighth of the callers is away, it waits `patience` times as long,
    because callers come back soon after their answers. While the process is busy, calls count as
    arriving, because it has not read them yet.
    """

    max_queue: int = bounded(4096, 1, 1_000_000)
    """The commands that may wait; more are refused with QUEUE_FULL."""
    max_queue_a_caller: int = bounded(2048, 1, 1_000_000)
    """The commands of one caller that may wait; more are refused with QUEUE_FULL."""
    max_batch: int = bounded(64, 1, 1024)
    """The most commands in one batch, which is one transaction."""
    max_bulk_batch: int = bounded(256, 1, 1024)
    """As `max_batch`, for a caller that waits alone and sent many commands in one message."""
    max_share: int = bounded(12, 1, 1024)
    """The most commands of one caller in a batch, while several callers are active."""
    max_linger_s: float = bounded(0.010, 0, 1)
    """The longest wait for more commands before a batch begins."""
    quiet_s: float = bounded(0.001, 0, 1)
    """The wait ends if no command arrives for this long."""
    patience: int = bounded(4, 1, 1000)
    """The factor of the wait while many callers are away."""
    min_arrivals: float = bounded(4.0, 0, 1_000_000)
    """The writer waits only if at least so many commands are expected meanwhile."""
    few_callers: int = bounded(32, 0, 1_000_000)
    """With up to so many callers a batch waits for all of them. With more, the native transport
    begins a batch when a third of them waits."""
    rate_window_s: float = bounded(0.05, 0.001, 60)
    """The time over which the rate of arriving commands is measured."""
    overload_batches: int = bounded(2, 1, 1_000_000)
    """A refusal while so many full batches wait shows an overload: new calls are then not read
    until the next batch is answered."""
    longest_pause_s: float = bounded(0.1, 0.001, 60)
    """The longest time in which an overloaded server reads no new call."""


@dataclass(slots=True)
class CommitStatistics:
    """The writer's counts so far; `sizes` counts batches by their number of commands."""

    batches: int = 0
    commands: int = 0
    sizes: Counter[int] = field(default_factory=Counter)
    queue_seconds: Histogram = field(default_factory=Histogram)
    """The waits of commands in the queue."""
    batch_seconds: Histogram = field(default_factory=Histogram)
    """The times of batches from the writer's start to its end."""

    @property
    def batch_mean(self) -> float:
        """The mean number of commands in a batch; 0 before the first."""
        return self.commands / self.batches if self.batches else 0.0


def enough(callers: int, most: int, limits: CommitLimits, *, overlapping: bool) -> int:
    """The number of calls for which a batch of at most `most` does not wait for more.

    If `overlapping`, a third of many callers suffices: they are answered while the others send
    their next calls. So neither the writer nor the callers wait for the other.
    """
    part = overlapping and callers > limits.few_callers
    return min(most, (callers + 2) // 3 if part else callers)


def linger_s(rate_per_second: float, waiting: int, most: int, limits: CommitLimits) -> float:
    """The time to wait for more calls before taking a batch of at most `most`, in seconds."""
    if waiting >= most or rate_per_second <= 0:
        return 0.0
    pause = min(limits.max_linger_s, most / rate_per_second)
    return pause if pause * rate_per_second >= limits.min_arrivals else 0.0


class WriterThread:
    """The only thread that applies batches; an event loop passes them one at a time.

    It is not an executor: for one batch at a time, the locks, work items and futures of an executor
    are of no use.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None]
        self._tasks = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def run(self, task: Callable[[], Done]) -> asyncio.Future[Done]:
        """Runs a task after the earlier ones; call it on the event loop's thread."""
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._tasks.put((task, future))
        return future

    def stop(self) -> None:
        """Ends the thread after its present task."""
        if self._thread.ident is not None:
            self._tasks.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (given := self._tasks.get()) is not None:
            task, future = given
            try:
                told = partial(_succeed, future, task())
            except Exception as error:
                told = partial(_fail, future, error)
            # If the loop was closed meanwhile, nobody waits for the result.
            with suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(told)


def _succeed(future: asyncio.Future[Done], result: Done) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class Ticket(Protocol):
    """A call that waits for its result without a future."""

    def answer(self, result: Result) -> None:
        """Sends an answer; called on the writer's thread, right after the commit. It must neither
        block nor raise."""

    def end(self, result: Result) -> None:
        """Ends the call; called on the event loop's thread, after `answer`. It must not raise."""


Waiting = tuple["Work", asyncio.Future[bytes] | Ticket, float]
"""A command in the queue, the taker of its result, and the instant of its arrival."""


class Committer:
    """The only entrance for calls that change something; it lives on one event loop."""

    def __init__(
        self,
        apply: Apply,
        limits: CommitLimits,
        notice: Callable[[Sequence[FreeholdError]], None] = lambda _refusals: None,
        fail: Callable[[str, BaseException], None] = lambda _part, _error: None,
    ) -> None:
        """`notice` receives the refusals of each batch that has any. `fail` is called with the
        part's name if no batch can follow."""
        self._writer = WriterThread()
        self._apply = apply
        self._notice, self._fail = notice, fail
        self._limits = limits
        self.overlapping = False
        """Set by a transport under which the process is mostly idle while callers send their next
        calls (`enough`). By grpc.aio the loop is busy then, and smaller batches would only cost."""
        self._queue: Turns[Waiting] = Turns(limits.max_queue, limits.max_queue_a_caller)
        self.gate = Gate(limits.longest_pause_s)
        """The gate of new calls, which is closed under overload until a batch is answered."""
        self._arrived = asyncio.Event()
        self._filled = asyncio.Event()
        self._closing = False
        self._crowd = Crowd()
        self._bulk = 0
        """At most the number of waiting commands that were sent together."""
        self._several = 0
        """The number of further batches in which one caller gets at most its share."""
        self._served: deque[str] = deque(maxlen=2)
        """A caller of each of the last two batches."""
        self._speed = 0.0
        """The commands that are answered in a second while others wait; 0 before any waited."""
        # A batch of this many calls does not wait for more.
        self._enough = limits.max_batch
        self._rate = ArrivalRate(limits.rate_window_s)
        self._waits = Waits()
        self._task: asyncio.Task[None] | None = None
        self.statistics = CommitStatistics()

    def start(self) -> None:
        """Starts the writer."""
        self._writer.start()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="committer")
        self._task.add_done_callback(self._ended)

    @property
    def waiting(self) -> int:
        """The number of commands in the queue."""
        return len(self._queue)

    def submit(self, work: Work) -> asyncio.Future[bytes]:
        """The bytes of the answer, after its commit; call it on the event loop's thread.

        Raises as `send`. Awaiting the answer raises the domain's refusals, and Unavailable if the
        outcome is unknown.
        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.send(work, future)
        return future

    def send(self, work: Work, taker: asyncio.Future[bytes] | Ticket) -> None:
        """Puts a command into the queue; `taker` gets its result. Call it on the event loop's
        thread.

        Raises Exhausted if the queue is full or too long for the deadline, and Unavailable while
        shutting down.
        """
        if self._closing:
            raise Unavailable("SHUTTING_DOWN", "the server is shutting down")
        queue = self._queue
        if work.deadline is not None and len(queue) > self._limits.max_batch:
            self._require_time(work.caller, work.deadline)
        try:
            queue.put(work.caller, (work, taker, time.perf_counter()))
        except Full as full:
            self.notice_overload()
            text = "too many calls of this caller" if full.of_caller else "too many calls"
            raise Exhausted("QUEUE_FULL", f"{text} are waiting", retry_after_ms=100) from full
        self._arrived.set()
        if len(queue) >= self._enough:
            self._filled.set()

    def send_all(self, works: Sequence[Work], taker: Ticket) -> tuple[int, FreeholdError | None]:
        """Puts the commands of one caller into the queue, as `send`; each waits for its own turn.

        `taker` gets their results in their order. Returns how many were sent, and the refusal of
        the others, if any: what refuses one refuses those behind it.
        """
        for sent, work in enumerate(works):
            try:
                self.send(work, taker)
            except FreeholdError as refusal:
                return sent, refusal
            self._bulk += 1
        return len(works), None

    def between(
        self, chore: Callable[Given, Done], *args: Given.args, **words: Given.kwargs
    ) -> asyncio.Future[Done]:
        """Runs a short chore on the writing thread, between two batches; awaiting it raises the
        chore's errors. Call it on the event loop's thread, and before `close`."""
        return self._writer.run(partial(chore, *args, **words))

    def _applied(self, taken: Sequence[Waiting]) -> list[Result]:
        works = [work for work, _, _ in taken]
        try:
            results = self._apply(works)
        except Exception:
            # `apply` must not raise; if it does, the writer must go on.
            results = [Unavailable("OUTCOME_UNKNOWN", UNKNOWN) for _ in works]
        for (_, taker, _), result in zip(taken, results, strict=True):
            if not isinstance(taker, asyncio.Future):
                taker.answer(result)
        return results

    def _require_time(self, caller: str, deadline: float) -> None:
        """Raises Exhausted if the caller's turn may come after its deadline, as far as known.

        The caller waits behind its own commands, and behind as many of each other caller. The
        writer may become slower meanwhile, so the call must have time for twice that wait.
        """
        if not self._speed:
            return
        queue = self._queue
        ahead = min(len(queue), (queue.waiting(caller) + 1) * queue.callers)
        wait_s = ahead / self._speed
        if time.monotonic() + CAUTION * wait_s > deadline:
            self.notice_overload()
            raise Exhausted(
                "QUEUE_TOO_LONG",
                "the calls that wait take longer than this call's deadline",
                retry_after_ms=max(1, int(wait_s * 1000)),
            )

    def notice_overload(self) -> None:
        """Closes the gate, if commands wait for several batches; called when a call is refused
        because of others."""
        if len(self._queue) >= self._limits.overload_batches * self._limits.max_batch:
            self.gate.close()

    async def close(self) -> None:
        """Refuses new work, finishes the queue, and stops the writer."""
        self._closing = True
        self.gate.end()
        self._arrived.set()
        self._filled.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._writer.stop()

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail("committer", error)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                continue
            most = self._most()
            # Few messages bring many commands that were sent together.
            overlapping = self.overlapping and not self._bulk
            self._enough = enough(self._crowd.size, most, self._limits, overlapping=overlapping)
            arrived = self.statistics.commands + len(self._queue)
            rate = self._rate.measure(loop.time(), arrived)
            pause = linger_s(rate, len(self._queue), most, self._limits)
            if self._several and self._must_collect():
                await self._collect()
            elif pause and len(self._queue) < self._enough and self._waits.pay():
                # uvloop's time has whole milliseconds.
                before, since_s = len(self._queue), time.perf_counter()
                await self._linger(pause)
                waited_s = time.perf_counter() - since_s
                self._waits.ended(len(self._queue) - before, rate, waited_s, pause)
            taken = self._take()
            self._bulk -= min(self._bulk, len(taken))
            self._served.append(taken[0][0].caller)
            began_s, others = time.perf_counter(), len(self._queue)
            for _, _, since_s in taken:
                self.statistics.queue_seconds.add(began_s - since_s)
            results = await self._writer.run(partial(self._applied, taken))
            took_s = time.perf_counter() - began_s
            self.statistics.batch_seconds.add(took_s)
            if others:
                self._measure(len(taken), took_s)
            self._crowd.answered(len(self._queue) + len(taken))
            self.statistics.batches += 1
            self.statistics.commands += len(taken)
            self.statistics.sizes[len(taken)] += 1
            refusals = []
            for (_, taker, _), result in zip(taken, results, strict=True):
                if isinstance(result, FreeholdError):
                    refusals.append(result)
                if not isinstance(taker, asyncio.Future):
                    taker.end(result)
                # A caller that went away finds the answer by a retry.
                elif not taker.done():
                    if isinstance(result, FreeholdError):
                        taker.set_exception(result)
                    else:
                        taker.set_result(result)
            self.gate.open()
            if refusals:
                self._notice(refusals)

    def _must_collect(self) -> bool:
        """Whether the next batch waits until the process has read the calls in the transport.

        A flood may wait in the transport, where callers take no turns: small batches answer the
        calls that were read, and the loop does not come to read the rest. So a long queue is
        completed before each batch, and a short one now and then.
        """
        long = len(self._queue) >= self._limits.max_batch
        return long or self.statistics.batches % COLLECTING == 0

    async def _collect(self) -> None:
        """Waits while the process reads calls, for at most `max_linger_s`.

        Calls that wait in the transport keep the process busy. Calls that arrive at an idle process
        did not wait there, and to wait for them would only delay the others.
        """
        loop, limits = asyncio.get_running_loop(), self._limits
        end, used_s, busy = loop.time() + limits.max_linger_s, time.process_time(), True
        while busy and loop.time() < end and not self._closing:
            await asyncio.sleep(limits.quiet_s)
            used_before_s, used_s = used_s, time.process_time()
            busy = used_s - used_before_s > limits.quiet_s / 2

    def _most(self) -> int:
        """The most commands of the next batch.

        Commands that were sent together are answered together, so a larger batch delays none of
        them and costs less a command. It would delay another caller, so it is for one alone.
        """
        limits = self._limits
        alone = self._bulk and self._queue.callers < 2 and not self._several
        alone = alone and {self._queue.next}.issuperset(self._served)
        return max(limits.max_batch, limits.max_bulk_batch) if alone else limits.max_batch

    def _take(self) -> list[Waiting]:
        """The commands of the next batch, one of each caller in turn.

        A caller gets the whole batch only if no other one was active in the last two batches:
        callers come back soon after their answers, and then would wait for that batch.
        """
        queue, limits = self._queue, self._limits
        if queue.callers > 1:
            self._several = 2
            return queue.take(limits.max_batch, limits.max_share)
        if self._several:
            self._several -= 1
            return queue.take(min(limits.max_batch, limits.max_share))
        return queue.take(self._most())

    def _measure(self, commands: int, took_s: float) -> None:
        """Follows the speed of the writer, as an average over about eight batches."""
        if took_s > 0:
            now = commands / took_s
            self._speed += (now - self._speed) / 8 if self._speed else now

    async def _linger(self, pause: float) -> None:
        """Waits until there are enough calls, the pause is over, or no more calls arrive."""
        loop, limits, queue = asyncio.get_running_loop(), self._limits, self._queue
        end, used_s, quiet = loop.time() + pause, time.process_time(), 0
        while len(queue) < self._enough and loop.time() < end and not self._closing:
            waiting, used_before_s = len(queue), used_s
            self._filled.clear()
            look = loop.call_later(limits.quiet_s, self._filled.set)
            await self._filled.wait()
            look.cancel()
            used_s = time.process_time()
            busy = used_s - used_before_s > limits.quiet_s / 2
            quiet = 0 if busy or len(queue) > waiting else quiet + 1
            if quiet >= (limits.patience if 8 * waiting < 7 * self._enough else 1):
                return
