"""Tells the service manager about the server's state, as systemd's `Type=notify` expects."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from socket import AF_UNIX, SOCK_DGRAM, socket


def notify(state: str) -> None:
    """Sends a line such as READY=1 to the socket in NOTIFY_SOCKET; does nothing without one.

    A manager that does not listen never stops the server.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        # A leading @ means a name outside the file system, which begins with a zero byte.
        name = f"\0{address[1:]}" if address.startswith("@") else address
        with suppress(OSError), socket(AF_UNIX, SOCK_DGRAM) as ours:
            ours.setblocking(False)
            ours.sendto(state.encode(), name)


async def pet_watchdog() -> None:
    """Sends WATCHDOG=1 from the event loop until cancelled, if the manager asked for it.

    If the loop hangs, the manager misses it and restarts the server.
    """
    interval_us = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    while ours and interval_us.isdecimal():
        notify("WATCHDOG=1")
        # Twice as often as the manager wants it.
        await asyncio.sleep(int(interval_us) / 2_000_000)
