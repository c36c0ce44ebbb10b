"""Reads the fields of a document, and collects every fault instead of the first one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from service.domain.documents import Table
from service.domain.errors import InvalidInput, Violation
from service.domain.near_names import near_name

TERMS_WRONG = "TERMS_WRONG"
"""The reason of the error that lists the faults of a document."""
MOST_MINOR = 10**12
"""The largest amount in minor units."""
MOST_SCORE = 2**31 - 1
MOST_MINUTES = 100 * 365 * 24 * 60
"""A hundred years: all instants stay within the calendar."""
NAME = re.compile("[A-Za-z0-9._:~-]{1,64}")
"""The form of ids in messages."""
CATEGORY = re.compile("[A-Z][A-Z0-9_]{0,62}")
CURRENCY = re.compile("[A-Z]{3}")
LIKENESS = 0.75
"""The likeness, from 0 to 1, from which on an unknown field is taken for a misspelt one."""
PLACE = re.compile(r"\[[0-9]+\]")


def terms_wrong(faults: Iterable[Violation]) -> InvalidInput:
    """The error that lists all faults of a document."""
    return InvalidInput(list(faults), TERMS_WRONG)


class Fields:
    """The fields of one table of a document.

    Each reading method takes a field's name and returns its value. For a missing or wrong value it
    adds a fault, and returns a value of the right kind, so that reading goes on. `end` adds a fault
    for each field that was not read. The fault's rule is its path without numbers and its kind,
    such as `limit.from_score.missing`.
    """

    def __init__(self, table: Any, faults: list[Violation], path: str = "") -> None:
        self.faults = faults
        self.path = path
        self._table: Table = {}
        self._read: set[str] = set()
        self._known: set[str] = set()
        if isinstance(table, Mapping):
            self._table = table
        else:
            self._add(path or "document", "table", "must be a table of names and values")

    def has(self, name: str) -> bool:
        """True if the field is there."""
        self._known.add(name)
        return name in self._table

    def fault(self, name: str, rule: str, text: str) -> None:
        """Adds a fault of a field."""
        self._add(f"{self.path}.{name}" if self.path else name, rule, text)

    def _add(self, path: str, rule: str, text: str) -> None:
        self.faults.append(Violation(path, f"{PLACE.sub('', path)}.{rule}", text))

    def take(self, name: str, needed: str = "") -> Any:
        """The value of a required field as it is; None if it is missing, which is a fault.

        `needed` says what the value must be.
        """
        self._read.add(name)
        if not self.has(name):
            self.fault(name, "missing", f"is missing: it {needed}" if needed else "is missing")
        return self._table.get(name)

    def whole(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number from `least` to `most`; without a default it is required."""
        if default is not None and not self.has(name):
            return default
        value = self.take(name, _whole_number(least, most))
        if value is None and not self.has(name):
            return least
        return self._whole(name, value, least, most)

    def maybe_whole(self, name: str, least: int, most: int) -> int | None:
        """A whole number from `least` to `most`, or None if the field is not there."""
        return self.whole(name, least, most) if self.has(name) else None

    def _whole(self, name: str, value: Any, least: int, most: int) -> int:
        # A bool is an int in Python.
        if not isinstance(value, int) or isinstance(value, bool):
            self.fault(name, "whole_number", _whole_number(least, most))
            return least
        if not least <= value <= most:
            allowed = f"from {least} to {most}" if least < most else str(least)
            self.fault(name, "range", f"must be {allowed}, and is {value}")
            return least
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        if not self.has(name):
            return default
        value = self.take(name)
        if not isinstance(value, bool):
            self.fault(name, "flag", "must be true or false")
            return default
        return value

    def text(self, name: str, form: re.Pattern[str], default: str | None = None) -> str:
        """A text that matches a pattern; without a default it is required."""
        if default is not None and not self.has(name):
            return default
        needed = _matching(form)
        value = self.take(name, needed)
        if value is None and not self.has(name):
            return ""
        if not isinstance(value, str) or not form.fullmatch(value):
            self.fault(name, "form", needed)
            return ""
        return value

    def choice(self, name: str, choices: Iterable[str], default: str | None = None) -> str:
        """One of some texts; without a default it is required."""
        known = sorted(choices)
        if default is not None and not self.has(name):
            return default
        needed = f"must be one of {', '.join(known)}"
        value = self.take(name, needed)
        if value is None and not self.has(name):
            return known[0]
        if value not in known:
            self.fault(name, "choice", needed)
            return known[0]
        return str(value)

    def texts(
        self, name: str, form: re.Pattern[str], most: int, empty: str = ""
    ) -> tuple[str, ...]:
        """A list of different texts that match a pattern; empty if the field is not there.

        An empty list is a fault if `empty` says what to write instead.
        """
        if not self.has(name):
            return ()
        value = self.take(name)
        if not isinstance(value, list) or len(value) > most:
            self.fault(name, "list", f"must be a list of at most {most} texts")
            return ()
        if empty and not value:
            self.fault(name, "empty", empty)
        for place, it in enumerate(value):
            if not isinstance(it, str) or not form.fullmatch(it):
                self.fault(f"{name}[{place}]", "form", _matching(form))
            elif it in value[:place]:
                self.fault(f"{name}[{place}]", "repeated", f"{it} stands in the list twice")
        return tuple(str(it) for it in value)

    def tables(self, name: str, most: int) -> list[Fields]:
        """The fields of each table in a list; empty if the field is not there."""
        if not self.has(name):
            return []
        value = self.take(name)
        if not isinstance(value, list) or len(value) > most:
            self.fault(name, "list", f"must be a list of at most {most} tables")
            return []
        path = f"{self.path}.{name}" if self.path else name
        return [Fields(it, self.faults, f"{path}[{place}]") for place, it in enumerate(value)]

    def end(self) -> None:
        """Adds a fault for each field that was not read."""
        for name in self._table:
            if name not in self._read:
                # A time in microseconds is exact and rare: whoever writes another unit means none.
                known = {it for it in self._known if not it.endswith("_us")}
                near = near_name(str(name), known - self._table.keys(), LIKENESS)
                do = "remove it" if near is None else f"did you mean {near}?"
                self.fault(name, "unknown", f"is not a field of this document: {do}")


def _whole_number(least: int, most: int) -> str:
    return f"must be a whole number from {least} to {most}"


def _matching(form: re.Pattern[str]) -> str:
    return f"must be a text that matches {form.pattern}"


def require_none(faults: list[Violation]) -> None:
    """Raises InvalidInput with all faults, if there are any."""
    if faults:
        raise terms_wrong(faults)
