"""Limits with bounds: a value out of its bounds is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, fields, is_dataclass
from typing import Any

BOUNDS = "bounds"


def bounded(default: float, low: float, high: float) -> Any:
    """A dataclass field whose value must be from `low` to `high`, both inclusive."""
    return field(default=default, metadata={BOUNDS: (low, high)})


def out_of_bounds(limits: Any, path: str = "") -> Iterator[str]:
    """A message for each field of a dataclass that is out of its bounds, including fields of nested
    dataclasses.

    The message has the field, its value and the bounds.
    """
    for it in fields(limits):
        value, name = getattr(limits, it.name), f"{path}{it.name}"
        if is_dataclass(value):
            yield from out_of_bounds(value, f"{name}.")
        elif BOUNDS in it.metadata:
            low, high = it.metadata[BOUNDS]
            if not low <= value <= high:
                yield f"{name} is {value!r}: give a number from {low} to {high}"
