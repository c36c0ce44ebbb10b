"""A table of the spec's TOML file, read key by key."""

from __future__ import annotations

from typing import Any

from models.errors import SpecError


class TomlTable:
    """A TOML table with its place in the spec. Errors name this place.

    Each method reads one key, and raises SpecError if the value has another type. A key is required
    unless a default is given.
    """

    def __init__(self, key: str, value: object, allowed: tuple[str, ...]) -> None:
        if not isinstance(value, dict):
            raise SpecError(key or "spec", "must be a table")
        self.key = key
        self.value: dict[str, Any] = value
        for name in value:
            if name not in allowed:
                raise SpecError(self.at(name), f"unknown key; known are {', '.join(allowed)}")

    def at(self, name: str) -> str:
        """The place of a key, for an error."""
        return f"{self.key}.{name}" if self.key else name

    def get(self, name: str, default: object) -> Any:
        """The value of a key; raises SpecError when it is missing and `default` is `...`."""
        if name in self.value:
            return self.value[name]
        if default is ...:
            raise SpecError(self.at(name), "is missing")
        return default

    def text(self, name: str, default: object = ...) -> str:
        """A string that is not empty."""
        value = self.get(name, default)
        if not isinstance(value, str) or not value:
            raise SpecError(self.at(name), "must be a non-empty string")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string that is not empty, or None when the key is missing."""
        return self.text(name) if name in self.value else None

    def choice(self, name: str, choices: tuple[str, ...], default: object = ...) -> str:
        """One of these strings."""
        value = self.text(name, default)
        if value not in choices:
            raise SpecError(self.at(name), f"must be one of {', '.join(choices)}, not {value!r}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise SpecError(self.at(name), "must be true or false")
        return value

    def integer(self, name: str, low: int, high: int, default: object = ...) -> int:
        """A whole number within these bounds."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise SpecError(self.at(name), f"must be an integer from {low} to {high}")
        return value

    def number(self, name: str, low: float, high: float, default: object = ...) -> float:
        """A number within these bounds."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SpecError(self.at(name), "must be a number")
        if not low <= value <= high:
            raise SpecError(self.at(name), f"must be from {low} to {high}")
        return float(value)

    def list_of(
        self, name: str, kinds: type | tuple[type, ...], default: object = ...
    ) -> list[Any]:
        """An array of different values of these types."""
        value = self.get(name, default)
        if not isinstance(value, list | tuple):
            raise SpecError(self.at(name), "must be an array")
        for item in value:
            if isinstance(item, bool) or not isinstance(item, kinds):
                raise SpecError(self.at(name), f"has an element of the wrong type: {item!r}")
        if len(set(value)) != len(value):
            raise SpecError(self.at(name), "has a value twice")
        return list(value)
