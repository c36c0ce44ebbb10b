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
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from service.bounds import bounded
from service.domain.errors import Exhausted, Unavailable
from service.domain.verification import BookFault, Verification, Witness
from service.engine.ports import StorageFailed

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

    process: Process | None
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
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`url` is the database's, with its password. `public_keys` are the 32 bytes of each key of
        the seals; without them no signature is checked."""
        self._url = url
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
        job = self._running = Running(None, self._steady_s())
        try:
            job.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", MAIN),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                # Its own group, so that it ends with its helpers, and no terminal interrupts it.
                start_new_session=True,
            )
            return await self._heard(job, job.process, witnesses)
        finally:
            if job.process is not None:
                await asyncio.shield(_end(job.process))
            self._running = None

    async def close(self) -> None:
        """Refuses new verifications, and ends the running one."""
        self._closed = True
        if self._running is not None and self._running.process is not None:
            await _end(self._running.process)

    async def _heard(
        self, job: Running, process: Process, witnesses: Sequence[Witness]
    ) -> Verification:
        if process.stdin is None or process.stdout is None:
            raise VerificationFailed("the process has no pipes")
        asked = {
            "url": self._url,
            "keys": self._keys,
            "witnesses": [[it.number, it.digest.hex()] for it in witnesses],
            "niceness": self._limits.niceness,
        }
        with suppress(ConnectionError):
            # The pipe stays open: the process ends when it is closed, even by the server's end.
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            await process.stdin.drain()
        while line := await process.stdout.readline():
            said = json.loads(line)
            if "done" in said:
                job.done = said["done"]
            elif "unavailable" in said:
                raise StorageFailed(said["unavailable"])
            else:
                return read_verification(said)
        if self._closed:
            raise _shutting_down()
        code = await process.wait()
        raise VerificationFailed(f"the process of the verification ended with {code}")

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


async def _end(process: Process) -> None:
    """Ends a process with its helpers, and collects it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    if process.stdin is not None:
        process.stdin.close()


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
    )
