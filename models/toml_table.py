"""A table of the spec's TOML file, read key by key."""

from __future__ import annotations

from typing import Any

from models.errors import SpecError


class TomlTable:
    """A TOML table with its place in the spec. Faults name this place.

    Each method reads one key. A key is required unless a default is given. With a list of `faults`,
    a fault is added to the list and a harmless value of the right type is returned, so that one
    reading finds all faults. Without it, a fault raises SpecError.
    """

    def __init__(
        self,
        key: str,
        value: object,
        allowed: tuple[str, ...],
        faults: list[SpecError] | None = None,
    ) -> None:
        self.key = key
        self.value: dict[str, Any] = {}
        self.faults = faults
        self._broken = not isinstance(value, dict)
        if not isinstance(value, dict):
            # A missing table is `...`, and its place was reported.
            if value is not ...:
                self._report(SpecError(key or "spec", "must be a table"))
            return
        self.value = value
        for name in value:
            if name not in allowed:
                self.fault(name, f"unknown key; known are {', '.join(allowed)}")

    def at(self, name: str) -> str:
        """The place of a key, for an error."""
        return f"{self.key}.{name}" if self.key else name

    def fault(self, name: str, problem: str) -> None:
        """Report a fault of a key."""
        self._report(SpecError(self.at(name), problem))

    def _report(self, error: SpecError) -> None:
        if self.faults is None:
            raise error
        self.faults.append(error)

    def has(self, name: str) -> bool:
        """Whether the table has this key."""
        return name in self.value

    def get(self, name: str, default: object) -> Any:
        """The value of a key. A required key has the default `...`, and this is also returned where
        the key is missing."""
        if name in self.value:
            return self.value[name]
        if default is ... and not self._broken:
            self.fault(name, "is missing")
        return default

    def text(self, name: str, default: object = ...) -> str:
        """A string that is not empty."""
        value = self.get(name, default)
        if value is ...:
            return ""
        if not isinstance(value, str) or not value:
            self.fault(name, "must be a non-empty string")
            return ""
        return value

    def optional_text(self, name: str) -> str | None:
        """A string that is not empty, or None when the key is missing."""
        return self.text(name) if name in self.value else None

    def choice(self, name: str, choices: tuple[str, ...], default: object = ...) -> str:
        """One of these strings."""
        value = self.get(name, default)
        if value is ...:
            return choices[0]
        if value not in choices:
            self.fault(name, f"must be one of {', '.join(choices)}, not {value!r}")
            return choices[0]
        return str(value)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            self.fault(name, "must be true or false")
            return default
        return value

    def integer(self, name: str, low: int, high: int, default: object = ...) -> int:
        """A whole number within these bounds."""
        value = self.get(name, default)
        if value is ...:
            return low
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault(name, f"must be an integer from {low} to {high}")
            return low
        return value

    def number(self, name: str, low: float, high: float, default: object = ...) -> float:
        """A number within these bounds."""
        value = self.get(name, default)
        if value is ...:
            return low
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fault(name, "must be a number")
            return low
        if not low <= value <= high or (isinstance(value, int) and abs(value) > LARGEST):
            self.fault(name, f"must be from {low} to {high}")
            return low
        return float(value)

    def list_of(
        self, name: str, kinds: type | tuple[type, ...], default: object = ...
    ) -> list[Any]:
        """An array of different values of these types."""
        value = self.get(name, default)
        if value is ...:
            return []
        if not isinstance(value, list | tuple):
            self.fault(name, "must be an array")
            return []
        for item in value:
            if isinstance(item, bool) or not isinstance(item, kinds):
                self.fault(name, f"has an element of the wrong type: {item!r}")
                return []
        if len(set(value)) != len(value):
            self.fault(name, "has a value twice")
            return []
        return list(value)

    def list_of_lists(self, name: str) -> tuple[tuple[str, ...], ...]:
        """An array of arrays of strings, none of them empty; empty when the key is missing."""
        value = self.get(name, [])
        if not isinstance(value, list) or not all(
            isinstance(item, list) and item and all(isinstance(text, str) for text in item)
            for item in value
        ):
            self.fault(name, "must be an array of arrays of strings")
            return ()
        return tuple(tuple(item) for item in value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """An array of different finite numbers; empty when the key is missing."""
        found = []
        for item in self.list_of(name, (int, float), []):
            if not abs(item) <= LARGEST:
                self.fault(name, f"has an element that is not a finite number: {item!r}")
                return ()
            found.append(float(item))
        return tuple(found)

    def column(self, name: str, default: object = ...) -> str | int:
        """A column of the file: its name in the header, or its position from 1."""
        value = self.get(name, default)
        if value is ...:
            return ""
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000_000:
            return value
        self.fault(name, "must be a column's name or its position, from 1")
        return ""

    def tables(self, name: str, allowed: tuple[str, ...], required: bool) -> list[TomlTable]:
        """An array of tables, each with its place; not empty if it is required."""
        items = self.get(name, ... if required else [])
        if items is ...:
            return []
        if not isinstance(items, list) or (required and not items):
            self.fault(name, "must be a non-empty array of tables")
            return []
        return [
            TomlTable(f"{self.at(name)}[{index}]", item, allowed, self.faults)
            for index, item in enumerate(items)
        ]


LARGEST = 1.7976931348623157e308
