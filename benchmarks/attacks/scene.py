"""The facts that an attacker knows, and the moments of an attack."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scene:
    """The server under attack, on 127.0.0.1.

    port          of the server
    operator_key  API key of the attacking operator, for attacks that have one
    platform_key  API key of the platform, for attacks that have one
    product_id    the rented product
    users         ids of people whom the attacker may use
    size          the numbers of the attack: connections, calls, bytes
    """

    port: int
    operator_key: str
    platform_key: str
    product_id: str
    users: tuple[str, ...]
    size: dict[str, int]


class Stage:
    """Tells the benchmark when the attack is under way, and the attack when it is over.

    The benchmark reads one JSON line for each: the facts at that moment.
    """

    async def ready(self, **facts: Any) -> None:
        """The attack is under way; these are its first facts."""
        print(json.dumps(facts), flush=True)

    async def over(self) -> None:
        """Wait until the benchmark has seen enough: it writes a line, or it is gone."""
        seen = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin, seen.set)
        await seen.wait()
        loop.remove_reader(sys.stdin)
