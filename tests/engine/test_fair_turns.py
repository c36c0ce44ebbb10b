"""Turns of callers in the committer: nobody waits behind another caller's whole queue."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from service.domain.errors import Exhausted
from service.engine.calls import Work, own_work
from service.engine.group_commit import CommitLimits, Committer
from tests.engine.test_group_commit import AT_ONCE, HANG_S, Gate, echo, run

LIMITS = replace(AT_ONCE, max_queue=1_000, max_queue_a_caller=900, max_batch=16, max_share=4)


def of(caller: str, number: int = 0, deadline: float | None = None) -> Work:
    """A command of a caller; nothing decides it here."""
    return replace(own_work(None), caller=caller, request_id=f"{caller}{number}", deadline=deadline)


async def batches_of(*arrivals: tuple[str, int], limits: CommitLimits = LIMITS) -> list[list[str]]:
    """The batches, as their callers, of these numbers of commands that wait at one time."""
    gate = Gate()
    committer = Committer(gate.apply, limits)
    committer.start()
    first = committer.submit(of("first"))
    await gate.entered()
    waiting = [committer.submit(of(it, n)) for it, count in arrivals for n in range(count)]
    gate.open()
    await asyncio.gather(first, *waiting)
    await committer.close()
    return [[name.rstrip("0123456789") for name in batch] for batch in gate.batches[1:]]


def test_a_light_caller_is_in_the_next_batch() -> None:
    """A command that arrives behind hundreds of another caller is in the next batch, and the other
    caller gets only its share of that batch."""
    batches = run(batches_of(("heavy", 500), ("light", 2)))
    assert batches[0].count("light") == 2
    assert batches[0].count("heavy") == LIMITS.max_share


def test_a_caller_that_was_just_served_finds_room() -> None:
    """For two batches after another caller was served, a caller that waits alone gets only its
    share; then it gets whole batches."""
    batches = run(batches_of(("heavy", 500), ("light", 1)))
    sizes = [batch.count("heavy") for batch in batches]
    assert sizes[:4] == [LIMITS.max_share] * 3 + [LIMITS.max_batch]


def test_callers_with_many_commands_get_equal_parts() -> None:
    """As long as several callers wait, each batch has equally many commands of each."""
    batches = run(batches_of(("a", 40), ("b", 40), ("c", 40)))
    for batch in batches[:10]:
        assert [batch.count(it) for it in "abc"] == [4, 4, 4]


def test_a_caller_fills_only_its_own_queue() -> None:
    """A caller with too many commands is refused with QUEUE_FULL; another caller is not."""

    async def main() -> None:
        gate = Gate()
        committer = Committer(gate.apply, replace(LIMITS, max_queue_a_caller=3))
        committer.start()
        first = committer.submit(of("first"))
        await gate.entered()
        waiting = [committer.submit(of("heavy", n)) for n in range(3)]
        with pytest.raises(Exhausted, match="of this caller") as refused:
            committer.submit(of("heavy", 4))
        assert (refused.value.reason, refused.value.retry_after_ms) == ("QUEUE_FULL", 100)
        waiting.append(committer.submit(of("light")))
        gate.open()
        await asyncio.gather(first, *waiting)
        await committer.close()

    run(main())


def test_a_call_whose_turn_is_too_late_is_refused_at_once() -> None:
    """A call is refused with QUEUE_TOO_LONG and a delay if its turn may come after its deadline,
    and the gate of new calls closes; a caller whose own queue is short is not refused."""

    goes_on = threading.Event()

    def slow(works: list[Work]) -> list[bytes]:
        time.sleep(0.05)
        assert goes_on.wait(HANG_S)
        return echo(works)  # type: ignore[return-value]

    async def main() -> None:
        committer = Committer(slow, LIMITS)  # type: ignore[arg-type]
        committer.start()
        goes_on.set()
        waiting = [committer.submit(of("heavy", n)) for n in range(400)]
        # After the first batches the speed is known: 16 commands in 50 ms at best.
        await asyncio.gather(*waiting[:64])
        # The queue stays as it is, however long this thread has to wait for a core.
        goes_on.clear()
        soon = time.monotonic() + 0.5
        with pytest.raises(Exhausted) as refused:
            committer.submit(of("heavy", 1_000, soon))
        assert refused.value.reason == "QUEUE_TOO_LONG"
        assert refused.value.retry_after_ms is not None
        assert refused.value.retry_after_ms >= 500
        assert committer.gate.closed
        wait_s = refused.value.retry_after_ms / 1_000
        with pytest.raises(Exhausted):  # it has time for that wait, but not for a slower writer
            committer.submit(of("heavy", 1_002, time.monotonic() + 1.5 * wait_s))
        waiting.append(committer.submit(of("heavy", 1_001, time.monotonic() + HANG_S)))
        light = committer.submit(of("light", 1, time.monotonic() + HANG_S))
        goes_on.set()
        assert await light == b"light1"
        await asyncio.gather(*waiting)
        await committer.close()

    run(main())


def test_a_long_queue_is_completed_while_several_callers_are_active() -> None:
    """While several callers are active and the queue is long, the writer lets the process read the
    calls that the transport still holds, so that they take their turns in the next batch."""
    patient = replace(LIMITS, max_linger_s=HANG_S, quiet_s=0.05)

    async def main() -> None:
        gate = Gate()
        committer = Committer(gate.apply, patient)
        committer.start()
        first = committer.submit(of("first"))
        await gate.entered()
        waiting = [committer.submit(of("heavy", n)) for n in range(40)]
        waiting.append(committer.submit(of("light", 1)))
        gate.open()
        # The batch of both callers is answered; the queue is still long.
        await waiting[-1]
        waiting.append(committer.submit(of("late", 1)))
        await asyncio.gather(first, *waiting)
        await committer.close()
        with_late = next(batch for batch in gate.batches if "late1" in batch)
        assert gate.batches.index(with_late) == 2

    run(main())


def test_a_long_queue_does_not_wait_for_independent_calls() -> None:
    """While several callers are active and the queue is long, the writer does not wait for calls
    that arrive at a process that has nothing else to do."""
    patient = replace(LIMITS, max_linger_s=HANG_S, quiet_s=0.02)

    async def main() -> int:
        gate = Gate()
        committer = Committer(gate.apply, patient)
        committer.start()
        first = committer.submit(of("first"))
        await gate.entered()
        waiting = [committer.submit(of("heavy", n)) for n in range(100)]
        waiting.append(committer.submit(of("light")))
        gate.open()
        number = 0
        while not waiting[50].done():
            number += 1
            waiting.append(committer.submit(of("light", number)))
            await asyncio.sleep(patient.quiet_s / 2)
        await asyncio.gather(first, *waiting)
        await committer.close()
        return len(gate.batches)

    assert run(main()) > 5


class Taker:
    """A taker of results that keeps their number."""

    def __init__(self) -> None:
        self.results = 0

    def answer(self, result: object) -> None:
        """Nothing: the number is counted at the end."""

    def end(self, result: object) -> None:
        """Counts one result."""
        self.results += 1


async def sizes_of(bulk: int, *singles: str, limits: CommitLimits) -> list[Counter[str]]:
    """The batches, as numbers of commands by caller, of commands that "heavy" sent together, and of
    single commands behind them."""
    gate, taker = Gate(), Taker()
    committer = Committer(gate.apply, limits)
    committer.start()
    first = committer.submit(of("heavy"))
    await gate.entered()
    assert committer.send_all([of("heavy", n) for n in range(bulk)], taker) == (bulk, None)
    waiting = [committer.submit(of(it, n)) for n, it in enumerate(singles, bulk)]
    gate.open()
    await asyncio.gather(first, *waiting)
    await committer.close()
    assert taker.results == bulk
    return [Counter(name.rstrip("0123456789") for name in batch) for batch in gate.batches[1:]]


BULK = replace(LIMITS, max_bulk_batch=40)


def test_commands_that_were_sent_together_have_a_larger_batch() -> None:
    """Commands that were sent together are applied in batches of `max_bulk_batch`, if nobody else
    waits."""
    batches = run(sizes_of(100, limits=BULK))
    assert [batch["heavy"] for batch in batches] == [40, 40, 20]


def test_single_commands_have_no_larger_batch() -> None:
    """Commands that were sent one by one are applied in batches of `max_batch`."""
    batches = run(sizes_of(0, *["heavy"] * 40, limits=BULK))
    assert [batch["heavy"] for batch in batches] == [16, 16, 8]


def test_a_larger_batch_is_not_for_several_callers() -> None:
    """While another caller waits, commands that were sent together get only their share of a usual
    batch."""
    batches = run(sizes_of(100, "light", limits=BULK))
    assert batches[0] == {"heavy": LIMITS.max_share, "light": 1}
    assert batches[1] == {"heavy": LIMITS.max_share}
    assert batches[3]["heavy"] == BULK.max_bulk_batch


def test_a_larger_batch_is_not_for_a_caller_behind_another_one() -> None:
    """If another caller was served in one of the last two batches, commands that were sent together
    have a usual batch: that caller may call again at any time."""

    async def main() -> list[int]:
        gate, taker = Gate(), Taker()
        committer = Committer(gate.apply, BULK)
        committer.start()
        first = committer.submit(of("light"))
        await gate.entered()
        committer.send_all([of("heavy", n) for n in range(100)], taker)
        gate.open()
        await first
        await committer.close()
        return [len(batch) for batch in gate.batches]

    assert run(main()) == [1, 16, 16, 40, 28]


def test_a_larger_batch_is_never_smaller_than_a_usual_one() -> None:
    """A `max_bulk_batch` below `max_batch` counts as `max_batch`."""
    batches = run(sizes_of(20, limits=replace(LIMITS, max_bulk_batch=2)))
    assert [batch["heavy"] for batch in batches] == [16, 4]
