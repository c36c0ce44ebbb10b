"""The intake of calls: grpc.aio takes its next call only while the gate is open.

grpc.aio asks its core for one call at a time, in a task of its own, and has no option to pause. So
the event loop's task factory, which every task of the loop is made by, delays just this task.
Without the delay, as after a change of that task's name in grpc.aio, calls are only refused later
and at a higher price; `tests/rpc/test_intake.py` would show it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from service.engine.gate import Gate

TASK = "_request_call"
"""The name of the coroutine by which grpc.aio takes the next call of a method without a queue of
its own."""


def pause_by(gate: Gate) -> None:
    """Lets grpc.aio take calls in the running loop only while the gate is open."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Future[Any]:
        if gate.closed and coroutine.__name__ == TASK:
            coroutine = _after(gate, coroutine)
        if before is not None:
            return before(loop, coroutine, **more)
        return asyncio.Task(coroutine, loop=loop, **more)

    loop.set_task_factory(make)


async def _after(gate: Gate, taking: Coroutine[Any, Any, Any]) -> Any:
    try:
        await gate.wait()
    except asyncio.CancelledError:
        taking.close()
        raise
    return await taking
