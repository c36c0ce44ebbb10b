"""All client processes together, for the coordinator of the crash benchmark."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.crash_client import Job
from benchmarks.harness import BenchmarkError
from benchmarks.processes import spawn

_ANSWER_LIMIT_S = 90.0
_END_LIMIT_S = 10.0


class _Process:
    """One client process; a thread reads its output."""

    def __init__(self, job: Job, log: Path, spoke: threading.Condition) -> None:
        self._spoke = spoke
        self._log = log
        self.told = 0
        self.failure = ""
        self.obeyed: str | None = None
        self.ended = False
        with log.open("wb") as errors:
            self._child = spawn(
                ["benchmarks.crash_client"], core=None, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        threading.Thread(target=self._listen, name=job.name, daemon=True).start()
        self.order(asdict(job))

    def _listen(self) -> None:
        for text in self._child.stdout or ():
            content = json.loads(text)
            with self._spoke:
                self.told, self.failure = content["told"], content["failure"]
                self.obeyed = content.get("obeyed", self.obeyed)
                self._spoke.notify()
        with self._spoke:
            self.ended = True
            self._spoke.notify()

    def order(self, content: dict[str, Any]) -> None:
        """Write one line to the process; `obeyed` is None until the process has followed it."""
        self.obeyed = None
        if self._child.stdin is None:
            raise BenchmarkError("a client has no input")
        try:
            self._child.stdin.write(json.dumps(content).encode() + b"\n")
            self._child.stdin.flush()
        except OSError as error:
            raise BenchmarkError(f"a client has ended:\n{self.errors}") from error

    @property
    def errors(self) -> str:
        """The end of the process's stderr."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def end(self) -> None:
        """Close the process's input, which should end the process. Kill the process if it does not
        end."""
        if self._child.stdin is not None:
            with suppress(OSError):  # it ended before it read its last order
                self._child.stdin.close()
        try:
            self._child.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()


class Crowd:
    """The client processes; a context manager that starts and ends them."""

    def __init__(self, jobs: Sequence[Job], folder: Path) -> None:
        self._jobs = jobs
        self._folder = folder
        self._spoke = threading.Condition()
        self._processes: list[_Process] = []

    def __enter__(self) -> Self:
        try:
            for job in self._jobs:
                log = self._folder / f"{job.name}.log"
                self._processes.append(_Process(job, log, self._spoke))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        for process in self._processes:
            process.end()

    @property
    def told(self) -> int:
        """The number of answered calls, repeats included, a few milliseconds late."""
        return sum(process.told for process in self._processes)

    def run(self, callers: int) -> None:
        """Retry unanswered calls, and go on with this many calls under way in all."""
        count = len(self._processes)
        self._order(
            [{"do": "run", "callers": (callers + number) // count} for number in range(count)]
        )

    def wait_told(self, more: int, limit_s: float) -> None:
        """Wait until this many more calls were answered; BenchmarkError after `limit_s` seconds."""
        goal = self.told + more
        self._wait(lambda: self.told >= goal, limit_s, f"{more} more answers")

    def halt(self) -> None:
        """Begin no try; return when no try is under way and the histories are complete."""
        self._order([{"do": "halt"}] * len(self._processes))

    def settle(self) -> None:
        """Retry unanswered calls until all are answered, then stop."""
        self._order([{"do": "settle"}] * len(self._processes))

    def fresh(self, folder: Path) -> list[Path]:
        """Forget everything; return the history files that the clients write from now on."""
        histories = [folder / f"{job.name}.jsonl" for job in self._jobs]
        self._order([{"do": "fresh", "history": str(path)} for path in histories])
        return histories

    def _order(self, orders: Sequence[dict[str, Any]]) -> None:
        """Send one order to each process; return when all have followed it."""
        for process, order in zip(self._processes, orders, strict=True):
            process.order(order)
        what = orders[0]["do"]
        self._wait(
            lambda: all(process.obeyed == what for process in self._processes),
            _ANSWER_LIMIT_S,
            f"a reply that they {what}",
        )

    def _wait(self, come: Callable[[], bool], limit_s: float, what: str) -> None:
        deadline = time.monotonic() + limit_s
        with self._spoke:
            while not come():
                for process in self._processes:
                    if process.ended:
                        raise BenchmarkError(f"a client ended by itself:\n{process.errors}")
                if not self._spoke.wait(deadline - time.monotonic()):
                    failures = ", ".join(sorted({it.failure for it in self._processes}))
                    raise BenchmarkError(
                        f"the clients did not give {what} in {limit_s:.0f} s; their last failures: "
                        f"{failures or 'none'}"
                    )
