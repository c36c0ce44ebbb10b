"""Previews for a server: their bounds."""

from __future__ import annotations

from dataclasses import dataclass

from service.bounds import bounded


@dataclass(frozen=True, slots=True)
class PreviewLimits:
    """Bounds of previews of terms."""

    most_decisions: int = bounded(2_000_000, 1, 100_000_000)
    """The most decisions that one preview reads; each needs about 400 bytes."""
