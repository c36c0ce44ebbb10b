"""Verification for a server: one job at a time, in a process of its own.

A verification reads everything, for minutes, and needs memory and cores. As a process it has a
lower priority than the server, its memory goes with it, and it can be ended at any moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.bounds import bounded, values_of
from service.domain.errors import Exhausted
from service.domain.verification import BookFault, Verification, Witness
from service.engine.process_job import ProcessJob, Running

MAIN = "service.verifying"
"""The module that the process runs; `python -m` finds it as it found the server's."""


@dataclass(frozen=True, slots=True)
class VerificationLimits:
    """Bounds of the calls of VerifyBooks."""

    retry_after_ms: int = bounded(5_000, 1, 3_600_000)
    """The retry delay of a call that came while another verification runs."""
    niceness: int = bounded(10, 0, 19)
    """The number by which the process's priority is below the server's."""


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
        self._job = ProcessJob(MAIN, "verification", self._busy, steady_s)

    @property
    def running(self) -> Running | None:
        """The job, or None if no verification runs."""
        return self._job.running

    async def verify(self, witnesses: Sequence[Witness]) -> Verification:
        """Verifies everything; if the caller is cancelled, the process ends at once.

        Raises Exhausted while another verification runs, Unavailable at the end of the server,
        StorageFailed, and ProcessFailed.
        """
        asked = {
            "url": self._url,
            "limits": self._opening,
            "keys": self._keys,
            "witnesses": [[it.number, it.digest.hex()] for it in witnesses],
            "niceness": self._limits.niceness,
        }
        return read_verification(await self._job.run(asked))

    async def close(self) -> None:
        """Refuses new verifications, and ends the running one."""
        await self._job.close()

    def _busy(self, job: Running, since_s: float) -> Exhausted:
        refusal = Exhausted(
            "VERIFICATION_RUNNING",
            f"another verification has run for {since_s:.0f} s and has read {job.done:.0%} of the"
            " entries: retry when it has ended",
            self._limits.retry_after_ms,
        )
        refusal.metadata["done_percent"] = str(int(job.done * 100))
        return refusal


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
