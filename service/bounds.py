"""Limits with bounds: a value out of its bounds is refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, fields, is_dataclass, replace
from typing import Any, TypeVar

Limits = TypeVar("Limits")
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


def values_of(limits: Any) -> dict[str, Any]:
    """The values of all bounded fields of a dataclass, and of those of nested dataclasses; JSON can
    keep them."""
    values = {it.name: getattr(limits, it.name) for it in fields(limits) if BOUNDS in it.metadata}
    nested = {it.name: getattr(limits, it.name) for it in fields(limits)}
    return values | {name: values_of(it) for name, it in nested.items() if is_dataclass(it)}


def with_values(limits: Limits, values: Mapping[str, Any]) -> Limits:
    """Limits with the values of `values_of`; raises TypeError for a name that is no limit."""
    before: Any = limits
    parts = {it.name: getattr(before, it.name) for it in fields(before)}

    def changed(name: str, value: Any) -> Any:
        return with_values(parts.get(name), value) if isinstance(value, Mapping) else value

    made: Limits = replace(before, **{name: changed(name, it) for name, it in values.items()})
    return made
