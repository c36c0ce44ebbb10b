"""Limits that name their bounds: a number that makes no sense is refused, by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, fields, is_dataclass
from typing import Any

BOUNDS = "bounds"


def bounded(default: float, low: float, high: float) -> Any:
    """A dataclass field whose value must be from `low` to `high`, both included."""
    return field(default=default, metadata={BOUNDS: (low, high)})


def out_of_bounds(limits: Any, path: str = "") -> Iterator[str]:
    """Each field of a dataclass, and of those in it, whose value is out of its bounds: a text that
    names the field, the value and the bounds."""
    for it in fields(limits):
        value, name = getattr(limits, it.name), f"{path}{it.name}"
        if is_dataclass(value):
            yield from out_of_bounds(value, f"{name}.")
        elif BOUNDS in it.metadata:
            low, high = it.metadata[BOUNDS]
            if not low <= value <= high:
                yield f"{name} is {value!r}: give a number from {low} to {high}"
