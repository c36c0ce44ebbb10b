"""A job of a server in a process of its own, one at a time.

As a process it has a lower priority than the server, its memory goes with it, and it can be ended
at any moment. It gets one question on its standard input and answers on its standard output, each
as a line of JSON; lines with `done` tell how far it is. If the job fails, the end of its standard
error is a note of the error, and so it is in the server's log.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from subprocess import PIPE, Popen
from typing import Any

from service.domain.errors import Exhausted, Unavailable
from service.engine.ports import StorageFailed

COLLECT_S = 0.01
"""The time between two looks whether a killed process has ended."""
LONGEST_ANSWER_BYTES = 16 * 2**20
"""The longest line that is read."""
KEPT_BYTES = 16 * 2**10
"""The length of the end of the standard error that is kept."""
ENDING_S = 5.0
"""The longest wait for a process that has answered nothing to end by itself, and for the end of its
standard error."""


@dataclass(slots=True)
class Running:
    """The running job: its process, its beginning, and the part of its work that is done."""

    process: Popen[bytes]
    began_s: float
    done: float = 0.0


class Said(asyncio.Protocol):
    """The end of the standard error of a process."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Keeps the last bytes."""
        self._kept += data
        del self._kept[:-KEPT_BYTES]

    def connection_lost(self, _error: Exception | None) -> None:
        """Notes that nothing more comes."""
        self._ended.set()

    async def text(self) -> str:
        """All that was kept, once the process has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING_S):
                await self._ended.wait()
        return self._kept.decode(errors="replace").strip()


class ProcessFailed(Exception):
    """The process ended without a result; the text says how."""


Busy = Callable[[Running, float], Exhausted]
"""Makes the refusal of a job while another one has run for so many seconds."""


class ProcessJob:
    """Runs one kind of job; it lives on one event loop."""

    def __init__(
        self, module: str, name: str, busy: Busy, steady_s: Callable[[], float] = time.monotonic
    ) -> None:
        """The process runs the module; `python -m` finds it as it found the server's. The name is
        for errors."""
        self._module = module
        self._name = name
        self._busy = busy
        self._steady_s = steady_s
        self._running: Running | None = None
        self._closed = False

    @property
    def running(self) -> Running | None:
        """The job, or None if none runs."""
        return self._running

    async def run(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer; if the caller is cancelled, the process ends at once.

        Raises Exhausted while another job runs, Unavailable at the end of the server,
        StorageFailed, and ProcessFailed.
        """
        if self._closed:
            raise _shutting_down()
        if self._running is not None:
            raise self._busy(self._running, self._steady_s() - self._running.began_s)
        # Not by asyncio: uvloop forks, which copies the server's page tables and calls gRPC's
        # handlers.
        process = Popen(
            [sys.executable, "-m", self._module],
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            # Its own group, so that it ends with its helpers, and no terminal interrupts it.
            start_new_session=True,
        )
        job = self._running = Running(process, self._steady_s())
        try:
            return await self._heard(job, json.dumps(question).encode())
        finally:
            await asyncio.shield(self._end(job))

    async def close(self) -> None:
        """Refuses new jobs, and ends the running one."""
        self._closed = True
        if self._running is not None:
            await self._end(self._running)

    async def _heard(self, job: Running, asked: bytes) -> dict[str, Any]:
        said_by = asyncio.StreamReader(LONGEST_ANSWER_BYTES)
        loop = asyncio.get_running_loop()
        pipe, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(said_by), job.process.stdout
        )
        beside, said = await loop.connect_read_pipe(Said, job.process.stderr)
        try:
            return await self._told(job, said_by, asked)
        except (StorageFailed, ProcessFailed) as error:
            await self._end(job)
            if text := await said.text():
                error.add_note(f"The process said:\n{text}")
            raise
        finally:
            pipe.close()
            beside.close()

    async def _told(
        self, job: Running, said_by: asyncio.StreamReader, asked: bytes
    ) -> dict[str, Any]:
        if job.process.stdin is not None:
            with suppress(BrokenPipeError):
                # The pipe stays open: the process ends when it is closed, even by the server's end.
                job.process.stdin.write(asked + b"\n")
                job.process.stdin.flush()
        while line := await said_by.readline():
            said: dict[str, Any] = json.loads(line)
            if "done" in said:
                job.done = said["done"]
            elif "unavailable" in said:
                raise StorageFailed(said["unavailable"])
            else:
                return said
        if self._closed:
            raise _shutting_down()
        raise ProcessFailed(
            f"the process of the {self._name} ended without a result: {await _ending(job.process)}"
        )

    async def _end(self, job: Running) -> None:
        """Ends a job's process with its helpers, and collects it."""
        process = job.process
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        while process.poll() is None:
            await asyncio.sleep(COLLECT_S)
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        if self._running is job:
            self._running = None


async def _ending(process: Popen[bytes]) -> str:
    """How a process ended that has closed its output."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ENDING_S):
            while process.poll() is None:
                await asyncio.sleep(COLLECT_S)
    code = process.returncode
    if code is None:
        return "it closed its output and runs on"
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _shutting_down() -> Unavailable:
    return Unavailable("SHUTTING_DOWN", "the server is shutting down")
