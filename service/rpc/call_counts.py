"""Counts calls by method, status code and reason; it lives on one event loop."""

from __future__ import annotations

from collections import Counter

from service.engine.counting import Histogram


class MethodCounts:
    """The calls of one method: their number by status code, and their times in seconds."""

    __slots__ = ("codes", "seconds")

    def __init__(self) -> None:
        self.codes: Counter[str] = Counter()
        self.seconds = Histogram()

    def add(self, code: str, took_s: float) -> None:
        """Counts one call."""
        self.codes[code] += 1
        self.seconds.add(took_s)


class CallCounts:
    """The calls since the start, by method, and the refusals by reason."""

    def __init__(self) -> None:
        self.methods: dict[str, MethodCounts] = {}
        self.refusals: Counter[str] = Counter()
        self.faults = 0
        """The calls that met a defect, or storage that failed."""

    def of(self, method: str) -> MethodCounts:
        """The counts of a method."""
        return self.methods.setdefault(method, MethodCounts())
