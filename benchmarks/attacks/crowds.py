"""Connections that only take places: idle ones, and readers that never read their answers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from freehold.v1.authorization_service_pb2 import ListAuthorizationsRequest

from benchmarks.attacks.frames import FrameConnection
from benchmarks.attacks.reads import LIST
from benchmarks.attacks.scene import Scene, Stage

_PAUSE_S = 0.02
# Other addresses than those of the load.
_FIRST = 1024


async def idle_and_unread(scene: Scene, stage: Stage) -> dict[str, Any]:
    """Idle connections, and connections whose calls ask for pages that nobody reads."""
    request = ListAuthorizationsRequest(page_size=1000).SerializeToString()
    body = bytes(4) + bytes([len(request)]) + request
    async with AsyncExitStack() as stack:
        idle = [
            await stack.enter_async_context(FrameConnection(scene.port, _FIRST + number))
            for number in range(scene.size["idle"])
        ]
        readers, begun = [], 0
        for number in range(scene.size["slow_readers"]):
            reader = await stack.enter_async_context(FrameConnection(scene.port, number))
            readers.append(reader)
            reader.stop_reading()
            for _ in range(scene.size["calls"]):
                await reader.send(reader.begin(LIST, key=scene.operator_key), body, end=True)
                begun += 1
                await asyncio.sleep(_PAUSE_S)
        await stage.ready(idle=len(idle), slow_readers=len(readers), begun=begun)
        await stage.over()
        return {
            "idle": sum(not it.goodbye for it in idle),
            "slow_readers": sum(not it.goodbye for it in readers),
            "begun": begun,
            "unread": sum(len(it.open) for it in readers),
        }
