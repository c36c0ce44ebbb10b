"""The process that plays an attack, seen from the benchmark."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.attacks.scene import Scene
from benchmarks.harness import BenchmarkError
from benchmarks.processes import spawn, two_cores

Facts = dict[str, Any]

_READY_LIMIT_S = 120.0
_END_LIMIT_S = 60.0


class Attacker:
    """The process of one attack; a context manager that starts and ends it."""

    def __init__(self, play: str, scene: Scene, log: Path) -> None:
        """`play` is the name of a function in `benchmarks.attacks.play`; `log` gets its errors."""
        self._play = play
        self._scene = scene
        self._log = log

    def __enter__(self) -> Self:
        _, core = two_cores()
        with self._log.open("wb") as errors:
            self._child = spawn(
                ["benchmarks.attacks.play", self._play], core=core,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        self._say(json.dumps(asdict(self._scene)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(OSError):  # the process ended before it read its last line
                    pipe.close()

    def ready(self) -> Facts:
        """Wait until the attack is under way; return its first facts. Raises BenchmarkError."""
        return self._hear(_READY_LIMIT_S)

    def end(self) -> Facts:
        """End the attack; return its last facts. Raises BenchmarkError."""
        self._say("over")
        return self._hear(_END_LIMIT_S)

    def _say(self, line: str) -> None:
        if self._child.stdin is not None:
            self._child.stdin.write(line.encode() + b"\n")
            self._child.stdin.flush()

    def _hear(self, limit_s: float) -> Facts:
        timer = threading.Timer(limit_s, self._child.kill)
        timer.start()
        line = b"" if self._child.stdout is None else self._child.stdout.readline()
        timer.cancel()
        if not line:
            said = self._log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise BenchmarkError(f"the attacker failed, or took over {limit_s:g} s:\n{said}")
        facts: Facts = json.loads(line)
        return facts
