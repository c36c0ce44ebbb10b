"""Floods of whole calls: one busy operator, and keys that were made up."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import grpc
from freehold.v1.authorization_service_pb2 import AuthorizeRequest

from benchmarks.attacks.scene import Scene, Stage

AUTHORIZE = "/freehold.v1.AuthorizationService/Authorize"
_CALLS_A_CHANNEL = 128
_DEADLINE_S = 30.0
_UNDER_WAY_S = 1.0


async def busy_operator(scene: Scene, stage: Stage) -> dict[str, Any]:
    """One operator keeps many Authorize calls in flight."""
    return await _flood(scene, stage, lambda: scene.operator_key)


async def wrong_keys(scene: Scene, stage: Stage) -> dict[str, Any]:
    """Each call has another key, and none of them exists."""
    return await _flood(scene, stage, lambda: uuid.uuid4().hex)


async def _flood(scene: Scene, stage: Stage, key: Callable[[], str]) -> dict[str, Any]:
    answers: Counter[str] = Counter()
    in_flight, numbers, over = scene.size["in_flight"], count(), asyncio.Event()
    channels = [
        grpc.aio.insecure_channel(
            f"127.0.0.1:{scene.port}", options=(("grpc.use_local_subchannel_pool", 1),)
        )
        for _ in range(-(-in_flight // _CALLS_A_CHANNEL))
    ]
    calls = [it.unary_unary(AUTHORIZE) for it in channels]

    async def caller(call: Any) -> None:
        while not over.is_set():
            try:
                await call(
                    _request(scene, numbers),
                    metadata=(("authorization", f"Bearer {key()}"),),
                    timeout=_DEADLINE_S,
                )
            except grpc.aio.AioRpcError as error:
                answers[error.code().name] += 1
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    await asyncio.sleep(_UNDER_WAY_S)  # the server is gone
            else:
                answers["OK"] += 1

    callers = [asyncio.create_task(caller(calls[n % len(calls)])) for n in range(in_flight)]
    await asyncio.sleep(_UNDER_WAY_S)
    await stage.ready(answers=dict(answers))
    await stage.over()
    over.set()
    for it in callers:
        it.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    for channel in channels:
        await channel.close()
    return {"answers": dict(answers)}


def _request(scene: Scene, numbers: Iterator[int]) -> bytes:
    number = next(numbers)
    return AuthorizeRequest(
        request_id=str(uuid.uuid4()),
        user_id=scene.users[number % len(scene.users)],
        product_id=scene.product_id,
        asset_id=f"flood-{number:08d}",
        start=AuthorizeRequest.START_IMMEDIATE,
    ).SerializeToString()
