"""Verification for a server: one job at a time, in a process of its own.

A verification reads everything, for minutes, and needs memory and cores. As a process it has a
lower priority than the server, its memory goes with it, and it can be ended at any moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

from service.bounds import bounded, values_of
from service.domain.errors import Exhausted, Unavailable
from service.domain.verification import BookFault, Verification, Witness
from service.engine.ports import StorageFailed

COLLECT_S = 0.01
"""The time between two looks whether a killed process has ended."""
MAIN = "service.verifying"
"""The module that the process runs; `python -m` finds it as it found the server's."""


@dataclass(frozen=True, slots=True)
class VerificationLimits:
    """Bounds of the calls of VerifyBooks."""

    retry_after_ms: int = bounded(5_000, 1, 3_600_000)
    """The retry delay of a call that came while another verification runs."""
    niceness: int = bounded(10, 0, 19)
    """The number by which the process's priority is below the server's."""


@dataclass(slots=True)
class Running:
    """The running job: its process, its beginning, and the part of the entries that it has read."""

    process: Popen[bytes]
    began_s: float
    done: float = 0.0


class VerificationFailed(Exception):
    """The process of a verification ended without a result; the text says how."""


class VerificationJob:
    """Verifies the books of one database on demand; it lives on one event loop."""

    def __init__(
        self,
        url: str,
        public_keys: Sequence[bytes] | None,
        limits: VerificationLimits,
        opening: object,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`url` is the database's, with its password. `public_keys` are the 32 bytes of each key of
        the seals; without them no signature is checked. `opening` are the limits with which the
        process opens the database; their bounded values are handed over."""
        self._url = url
        self._opening = values_of(opening)
        self._keys = None if public_keys is None else [key.hex() for key in public_keys]
        self._limits = limits
        self._steady_s = steady_s
        self._running: Running | None = None
        self._closed = False

    @property
    def running(self) -> Running | None:
        """The job, or None if no verification runs."""
        return self._running

    async def verify(self, witnesses: Sequence[Witness]) -> Verification:
        """Verifies everything; if the caller is cancelled, the process ends at once.

        Raises Exhausted while another verification runs, Unavailable at the end of the server,
        StorageFailed, and VerificationFailed.
        """
        if self._closed:
            raise _shutting_down()
        if self._running is not None:
            raise self._busy(self._running)
        # Not by asyncio: uvloop forks, which copies the server's page tables and calls gRPC's
        # handlers.
        process = Popen(
            [sys.executable, "-m", MAIN],
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            # Its own group, so that it ends with its helpers, and no terminal interrupts it.
            start_new_session=True,
        )
        job = self._running = Running(process, self._steady_s())
        try:
            return await self._heard(job, witnesses)
        finally:
            await asyncio.shield(self._end(job))

    async def close(self) -> None:
        """Refuses new verifications, and ends the running one."""
        self._closed = True
        if self._running is not None:
            await self._end(self._running)

    async def _heard(self, job: Running, witnesses: Sequence[Witness]) -> Verification:
        asked = {
            "url": self._url,
            "limits": self._opening,
            "keys": self._keys,
            "witnesses": [[it.number, it.digest.hex()] for it in witnesses],
            "niceness": self._limits.niceness,
        }
        said_by = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        pipe, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(said_by), job.process.stdout
        )
        try:
            return await self._told(job, said_by, json.dumps(asked).encode())
        finally:
            pipe.close()

    async def _told(
        self, job: Running, said_by: asyncio.StreamReader, asked: bytes
    ) -> Verification:
        if job.process.stdin is not None:
            with suppress(BrokenPipeError):
                # The pipe stays open: the process ends when it is closed, even by the server's end.
                job.process.stdin.write(asked + b"\n")
                job.process.stdin.flush()
        while line := await said_by.readline():
            said = json.loads(line)
            if "done" in said:
                job.done = said["done"]
            elif "unavailable" in said:
                raise StorageFailed(said["unavailable"])
            else:
                return read_verification(said)
        if self._closed:
            raise _shutting_down()
        raise VerificationFailed("the process of the verification ended without a result")

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

    def _busy(self, job: Running) -> Exhausted:
        since_s = self._steady_s() - job.began_s
        refusal = Exhausted(
            "VERIFICATION_RUNNING",
            f"another verification has run for {since_s:.0f} s and has read {job.done:.0%} of the"
            " entries: retry when it has ended",
            self._limits.retry_after_ms,
        )
        refusal.metadata["done_percent"] = str(int(job.done * 100))
        return refusal


def _shutting_down() -> Unavailable:
    return Unavailable("SHUTTING_DOWN", "the server is shutting down")


def write_verification(it: Verification) -> dict[str, Any]:
    """A verification as JSON."""
    last = it.last_seal
    seal = None if last is None else [last.number, last.digest.hex()]
    return it._asdict() | {"last_seal": seal}


def read_verification(said: dict[str, Any]) -> Verification:
    """The verification of `write_verification`."""
    fault, last = said["fault"], said["last_seal"]
    found = Verification(**said)
    return found._replace(
        fault=None if fault is None else BookFault(*fault),
        last_seal=None if last is None else Witness(last[0], bytes.fromhex(last[1])),
        unchecked=tuple(found.unchecked),
        notes=tuple(found.notes),
    )
