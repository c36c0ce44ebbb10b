"""Streams that are opened and never finished: calls without a body, and health watches.

No key is needed. Each stream that the server ends is opened again, some each second.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

from grpc_health.v1.health_pb2 import HealthCheckRequest

from benchmarks.attacks.frames import FrameConnection
from benchmarks.attacks.scene import Scene, Stage

AUTHORIZE = "/freehold.v1.AuthorizationService/Authorize"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
_TURN_S = 0.1


async def half_open_calls(scene: Scene, stage: Stage) -> dict[str, Any]:
    """Calls whose headers came, and whose body never comes."""
    return await _hold(scene, stage, AUTHORIZE, b"")


async def half_open_checks(scene: Scene, stage: Stage) -> dict[str, Any]:
    """Health checks whose headers came, and whose body never comes."""
    return await _hold(scene, stage, CHECK, b"")


async def watches(scene: Scene, stage: Stage) -> dict[str, Any]:
    """Health watches, which stay open by their nature."""
    body = HealthCheckRequest().SerializeToString()
    return await _hold(scene, stage, WATCH, bytes(4) + bytes([len(body)]) + body)


async def _hold(scene: Scene, stage: Stage, path: str, body: bytes) -> dict[str, Any]:
    wanted = scene.size["streams"]
    async with AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(FrameConnection(scene.port))
            for _ in range(scene.size["connections"])
        ]
        begun = await _open(connections, path, body, wanted)
        await asyncio.sleep(1.0)  # the server's answers, if it answers
        await stage.ready(begun=begun, **_facts(connections))
        over = asyncio.create_task(stage.over())
        most_again = max(1, int(scene.size["again_a_second"] * _TURN_S))
        while not over.done():
            await asyncio.wait({over}, timeout=_TURN_S)
            missing = wanted - sum(len(it.open) for it in connections)
            begun += await _open(connections, path, body, min(missing, most_again))
        return {"begun": begun, **_facts(connections)}


async def _open(connections: list[FrameConnection], path: str, body: bytes, count: int) -> int:
    """Open this many streams, or as many as the server lets; return their number."""
    begun = 0
    for connection in connections:
        while begun < count and connection.room > 0:
            stream = connection.begin(path)
            if body:
                await connection.send(stream, body, end=True)
            begun += 1
            if begun % 100 == 0:
                await asyncio.sleep(0)
    return begun


def _facts(connections: list[FrameConnection]) -> dict[str, Any]:
    answers, resets = Counter[str](), Counter[str]()
    for it in connections:
        answers.update(it.answers)
        resets.update(it.resets)
    return {
        "open": sum(len(it.open) for it in connections),
        "answers": dict(answers),
        "resets": dict(resets),
    }
