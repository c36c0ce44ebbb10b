"""The gate of new calls: closed by a refusal for overload, opened by the next answered batch."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from service.domain.errors import Exhausted
from service.engine.gate import Gate
from service.engine.group_commit import Committer
from tests.engine.test_fair_turns import LIMITS, of
from tests.engine.test_group_commit import HANG_S, run
from tests.engine.test_group_commit import Gate as Held

CROWD = replace(LIMITS, max_queue_a_caller=64, overload_batches=4, longest_pause_s=HANG_S)


def test_a_closed_gate_holds_until_it_is_opened() -> None:
    """A wait ends at once while the gate is open, and otherwise when it opens."""

    async def main() -> None:
        gate = Gate(HANG_S)
        await gate.wait()
        gate.close()
        waiting = asyncio.create_task(gate.wait())
        await asyncio.sleep(0)
        assert gate.closed
        assert not waiting.done()
        gate.open()
        await waiting
        assert not gate.closed

    run(main())


def test_a_gate_opens_by_itself() -> None:
    """A gate that is never opened opens after its longest pause."""

    async def main() -> float:
        gate = Gate(0.05)
        gate.close()
        began = time.monotonic()
        await gate.wait()
        return time.monotonic() - began

    assert run(main()) >= 0.045


def test_an_ended_gate_stays_open() -> None:
    """The end of a gate opens it, and it cannot be closed again."""

    async def main() -> None:
        gate = Gate(HANG_S)
        gate.close()
        gate.end()
        gate.close()
        await gate.wait()

    run(main())


@pytest.mark.parametrize(("waiting", "closed"), [(63, False), (64, True)])
def test_a_refusal_closes_the_gate_if_several_batches_wait(waiting: int, closed: bool) -> None:
    """A refusal for overload closes the gate if four full batches wait; the next answered batch
    opens it."""

    async def main() -> None:
        held = Held()
        committer = Committer(held.apply, CROWD)
        committer.start()
        calls = [committer.submit(of("first"))]
        await held.entered()
        calls += [committer.submit(of("heavy", n)) for n in range(waiting)]
        committer.notice_overload()
        assert committer.gate.closed == closed
        held.open()
        await calls[0]
        await asyncio.wait_for(committer.gate.wait(), HANG_S)
        await asyncio.gather(*calls)
        await committer.close()

    run(main())


def test_a_full_queue_closes_the_gate() -> None:
    """The refusal of a command because of a full queue closes the gate."""

    async def main() -> None:
        held = Held()
        committer = Committer(held.apply, CROWD)
        committer.start()
        calls = [committer.submit(of("first"))]
        await held.entered()
        calls += [committer.submit(of("heavy", n)) for n in range(64)]
        with pytest.raises(Exhausted):
            committer.submit(of("heavy", 64))
        assert committer.gate.closed
        held.open()
        await asyncio.gather(*calls)
        await committer.close()
        assert not committer.gate.closed

    run(main())
