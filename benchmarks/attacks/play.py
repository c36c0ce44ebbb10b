"""Plays one attack in its own process: ``python -m benchmarks.attacks.play NAME``.

It reads a Scene as JSON in one line from stdin. It writes one JSON line when the attack is under
way, and one when it is over; a further line on stdin, or its end, ends the attack.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.attacks.crowds import idle_and_unread
from benchmarks.attacks.floods import busy_operator, wrong_keys
from benchmarks.attacks.held_streams import half_open_calls, half_open_checks, watches
from benchmarks.attacks.reads import abandoned_verifications, lists
from benchmarks.attacks.scene import Scene, Stage
from benchmarks.attacks.unfinished_bodies import unfinished_bodies
from benchmarks.attacks.unread_log import unread_log

PLAYS: dict[str, Callable[[Scene, Stage], Coroutine[Any, Any, dict[str, Any]]]] = {
    it.__name__: it
    for it in (
        half_open_calls,
        half_open_checks,
        watches,
        unfinished_bodies,
        unread_log,
        lists,
        abandoned_verifications,
        busy_operator,
        wrong_keys,
        idle_and_unread,
    )
}
# The good caller's generator shares a core with the attacker, and must not wait for it.
_NICE = 10


def main() -> None:
    """Play the attack named by the first argument."""
    os.nice(_NICE)
    content = json.loads(sys.stdin.readline())
    scene = Scene(**content | {"users": tuple(content["users"])})
    print(json.dumps(asyncio.run(PLAYS[sys.argv[1]](scene, Stage()))), flush=True)


if __name__ == "__main__":
    main()
