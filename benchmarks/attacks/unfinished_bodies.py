"""Large messages whose last bytes never come, on many streams of one connection, without a key."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.attacks.frames import FrameConnection, message
from benchmarks.attacks.scene import Scene, Stage

PUT_USERS = "/freehold.v1.CreditService/PutUsers"
_SEND_LIMIT_S = 5.0


async def unfinished_bodies(scene: Scene, stage: Stage) -> dict[str, Any]:
    """Send all but the end of a message on every stream, as far as the server lets them in."""
    sent = scene.size["bytes"]
    body = message(sent + 1024, sent)
    async with FrameConnection(scene.port) as connection:
        streams = [
            connection.begin(PUT_USERS) for _ in range(min(scene.size["streams"], connection.room))
        ]
        sending = [asyncio.create_task(connection.send(it, body)) for it in streams]
        await asyncio.wait(sending, timeout=_SEND_LIMIT_S)
        facts = {"begun": len(streams)}
        await stage.ready(**facts, sent_bytes=connection.sent_bytes)
        await stage.over()
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        return {
            **facts,
            "sent_bytes": connection.sent_bytes,
            "open": len(connection.open),
            "answers": dict(connection.answers),
            "resets": dict(connection.resets),
        }
