"""`freehold` with a rail that hangs, or a search for damage that ends late, if asked.

It says when the writer begins a transaction.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any
from unittest.mock import patch

from sqlalchemy import Engine

from service import app
from service.cli import main
from service.rails.simulated import SimulatedRail
from service.storage.sqlite import SqliteSession
from service.storage.start_check import StartCheck, check_tables


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


def _searches(_engine: Engine, _most_s: float, stopping: threading.Event) -> StartCheck:
    stopping.wait()
    time.sleep(1)
    return StartCheck(None, (), ())


begin = SqliteSession.begin
HANGS = {"waits": _waits, "blocks": _blocks}
SEARCHES = {"searches": _searches}

if __name__ == "__main__":
    with (
        patch.object(SimulatedRail, "tell", HANGS.get(os.environ["HANGS"], SimulatedRail.tell)),
        patch.object(app, "check_tables", SEARCHES.get(os.environ["HANGS"], check_tables)),
        patch.object(SqliteSession, "begin", _begins),
    ):
        main()
