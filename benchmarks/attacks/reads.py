"""Reads that cost much: lists that match nothing in many rows, and abandoned verifications."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import grpc
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import ListAuthorizationsRequest
from freehold.v1.ledger_service_pb2 import VerifyBooksRequest

from benchmarks.attacks.scene import Scene, Stage

LIST = "/freehold.v1.AuthorizationService/ListAuthorizations"
VERIFY = "/freehold.v1.LedgerService/VerifyBooks"
_DEADLINE_S = 60.0
_PAUSE_S = 1.0
_GIVE_UP_S = 0.3


async def lists(scene: Scene, stage: Stage) -> dict[str, Any]:
    """One operator lists its authorizations by a state that none of its many rows has."""
    request = ListAuthorizationsRequest(
        page_size=1000, state=Authorization.STATE_REVERSED
    ).SerializeToString()
    answers: Counter[str] = Counter()
    over = asyncio.Event()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{scene.port}") as channel:
        call = channel.unary_unary(LIST)

        async def caller() -> None:
            while not over.is_set():
                answers[await _outcome(call, request, scene.operator_key, _DEADLINE_S)] += 1

        callers = [asyncio.create_task(caller()) for _ in range(scene.size["in_flight"])]
        await asyncio.sleep(_PAUSE_S)
        await stage.ready()
        await stage.over()
        over.set()
        for it in callers:
            it.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    return {"begun": len(callers), "answers": dict(answers)}


async def abandoned_verifications(scene: Scene, stage: Stage) -> dict[str, Any]:
    """A platform's client asks for VerifyBooks again and again, and never waits for the end."""
    request = VerifyBooksRequest().SerializeToString()
    answers: Counter[str] = Counter()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{scene.port}") as channel:
        call = channel.unary_unary(VERIFY)
        for _ in range(scene.size["calls"]):
            answers[await _outcome(call, request, scene.platform_key, _GIVE_UP_S)] += 1
        await stage.ready(answers=dict(answers))
        over = asyncio.create_task(stage.over())
        while not over.done():
            answers[await _outcome(call, request, scene.platform_key, _GIVE_UP_S)] += 1
            await asyncio.wait({over}, timeout=_PAUSE_S)
    return {"answers": dict(answers)}


async def _outcome(call: Any, request: bytes, key: str, timeout_s: float) -> str:
    """The status code of one call; after an error the caller waits a moment."""
    try:
        await call(request, metadata=(("authorization", f"Bearer {key}"),), timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            await asyncio.sleep(_PAUSE_S)
        return str(error.code().name)
    return "OK"
