"""Previews for a server: one at a time, in a process of its own.

A preview reads an operator's decisions of many days and needs a core for seconds, which the server
has not. Its result is JSON.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.bounds import bounded, values_of
from service.domain.errors import Exhausted, InvalidInput, NotFound, Violation
from service.engine.process_job import ProcessJob, Running

MAIN = "service.previewing"
"""The module that the process runs."""


@dataclass(frozen=True, slots=True)
class PreviewLimits:
    """Bounds of previews of terms."""

    most_decisions: int = bounded(2_000_000, 1, 100_000_000)
    """The most decisions that one preview reads; each needs about 400 bytes."""
    least_people: int = bounded(20, 2, 100_000)
    """The fewest people whose decisions a preview shows to an operator."""
    longest_s: float = bounded(60.0, 0.1, 3600)
    """The longest time of a call of PreviewTerms."""
    retry_after_ms: int = bounded(2_000, 1, 3_600_000)
    """The retry delay of a call that came while another preview runs."""
    niceness: int = bounded(10, 0, 19)
    """The number by which the process's priority is below the server's."""


class PreviewJob:
    """Previews drafts of terms on one database on demand; it lives on one event loop."""

    def __init__(self, url: str, limits: PreviewLimits, opening: object) -> None:
        """`url` is the database's, with its password. `opening` are the limits with which the
        process opens the database; their bounded values are handed over."""
        self._url = url
        self._limits = limits
        self._opening = values_of(opening)
        self._job = ProcessJob(MAIN, "preview", self._busy)

    async def preview(
        self,
        operator_id: str,
        kind: str,
        document: Mapping[str, Any],
        products: Sequence[str],
        days: int,
        until_us: int,
        *,
        as_operator: bool,
        width: int = 0,
    ) -> dict[str, Any]:
        """The `report` of a preview as JSON, and its `picture` of this width as SVG.

        A width of 0 gives an empty picture. `as_operator` keeps what an operator may not know.

        If the caller is cancelled, the process ends at once. Raises NotFound, InvalidInput,
        Exhausted while another preview runs or if this one takes too long, Unavailable at the end
        of the server, StorageFailed, and ProcessFailed.
        """
        question = {
            "url": self._url,
            "limits": self._opening,
            "niceness": self._limits.niceness,
            "operator_id": operator_id,
            "kind": kind,
            "document": dict(document),
            "products": sorted(products),
            "days": days,
            "until_us": until_us,
            "most": self._limits.most_decisions,
            "width": width,
            "least_people": self._limits.least_people if as_operator else 0,
        }
        try:
            async with asyncio.timeout(self._limits.longest_s):
                said = await self._job.run(question)
        except TimeoutError:
            text = f"the preview took longer than {self._limits.longest_s:g} s: ask for fewer days"
            raise Exhausted("PREVIEW_TOO_LONG", text) from None
        return read_preview(said)

    async def close(self) -> None:
        """Refuses new previews, and ends the running one."""
        await self._job.close()

    def _busy(self, _job: Running, since_s: float) -> Exhausted:
        text = f"another preview has run for {since_s:.0f} s: retry when it has ended"
        return Exhausted("PREVIEW_RUNNING", text, self._limits.retry_after_ms)


def write_refusal(error: InvalidInput | NotFound | Exhausted) -> dict[str, Any]:
    """A refusal of a preview as JSON."""
    if isinstance(error, InvalidInput):
        return {"violations": [list(it) for it in error.violations], "reason": error.reason}
    if isinstance(error, NotFound):
        return {"not_found": [[kind, name] for kind, name in error.metadata.items()]}
    return {"exhausted": [error.reason, error.message]}


def read_preview(said: dict[str, Any]) -> dict[str, Any]:
    """The report and the picture; raises the refusal of `write_refusal`."""
    if "violations" in said:
        raise InvalidInput([Violation(*it) for it in said["violations"]], said["reason"])
    if "not_found" in said:
        ((kind, name),) = said["not_found"]
        raise NotFound(kind, name)
    if "exhausted" in said:
        raise Exhausted(*said["exhausted"])
    return said
