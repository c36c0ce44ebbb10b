"""`freehold` with a rail that hangs if asked.

It says when the writer begins a transaction.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any
from unittest.mock import patch

from service.cli import main
from service.rails.simulated import SimulatedRail
from service.storage.sqlite import SqliteSession


async def _waits(_rail: SimulatedRail, _deliver: Any) -> None:
    print("hanging", flush=True)
    while True:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            continue


async def _blocks(_rail: SimulatedRail, _deliver: Any) -> None:
    print("hanging", flush=True)
    time.sleep(3_600)


def _begins(session: SqliteSession) -> Any:
    print("begins", flush=True)
    return begin(session)


begin = SqliteSession.begin
HANGS = {"": SimulatedRail.tell, "waits": _waits, "blocks": _blocks}

if __name__ == "__main__":
    with (
        patch.object(SimulatedRail, "tell", HANGS[os.environ["HANGS"]]),
        patch.object(SqliteSession, "begin", _begins),
    ):
        main()
