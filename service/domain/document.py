"""Reads documents of terms: parsed TOML or JSON. All faults of a document are found at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import TypeVar

from service.domain.errors import InvalidInput, Violation

Choice = TypeVar("Choice", bound=StrEnum)

MOST_SCORE = 2**31 - 1
MOST_MINOR = 10**12
"""The largest amount in messages."""
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
MOST_US = 100 * 365 * DAY_US
"""A hundred years: no wait is longer, and all instants stay within the calendar."""
MOST_TABLES = 100
"""The most tables of one kind in a document."""
NAME = re.compile("[a-z0-9][a-z0-9-]{0,62}")
CATEGORY = re.compile("[A-Z][A-Z0-9_]{0,62}")
CURRENCY = re.compile("[A-Z]{3}")


class Fields:
    """The keys of a document, or of a table in it.

    Each read takes one key, and notes a fault if the value is missing or wrong; it then returns a
    value that fits the type. `close` notes the keys that nothing read. After all reads `require`
    raises the faults. `path` is the path of the table, empty for the document.
    """

    def __init__(
        self, document: object, path: str = "", faults: list[Violation] | None = None
    ) -> None:
        self.path = path
        self.faults: list[Violation] = [] if faults is None else faults
        self._left: dict[str, object] = {}
        if isinstance(document, Mapping):
            self._left = {str(key): value for key, value in document.items()}
        else:
            self._note(path, "document.not_a_table", "must be a table of keys and values")

    def has(self, key: str) -> bool:
        """True if the document has the key, and nothing read it yet."""
        return key in self._left

    def is_text(self, key: str, text: str) -> bool:
        """True if the key has exactly this text."""
        return self._left.get(key) == text

    def wrong(self, key: str, rule: str, description: str) -> None:
        """Notes a fault of a key; `rule` is stable, the description says what to do."""
        self._note(
            f"{self.path}.{key}" if self.path and key else self.path or key, rule, description
        )

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number from `least` to `most`; required unless there is a default."""
        if key not in self._left and default is not None:
            return default
        value = self._take(key, f"set it to a whole number from {least} to {most}")
        if value is None:
            return least
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(key, "document.not_a_number", "must be a whole number without quotes")
            return least
        if not least <= value <= most:
            text = f"is {value}, but must be from {least} to {most}"
            self.wrong(key, "document.out_of_range", text)
            return least
        return value

    def rare(self, key: str, least: int, most: int) -> int | None:
        """A whole number from `least` to `most`, or None if the key is missing."""
        return self.whole(key, least, most) if key in self._left else None

    def text(self, key: str, form: re.Pattern[str], default: str | None = None) -> str:
        """A text of this form; required unless there is a default."""
        if key not in self._left and default is not None:
            return default
        value = self._take(key, f"set it to a text that matches {form.pattern}")
        if value is None:
            return ""
        if not isinstance(value, str) or not form.fullmatch(value):
            self.wrong(key, "document.malformed", f"must be a text that matches {form.pattern}")
            return ""
        return value

    def choice(self, key: str, choices: Iterable[Choice], default: Choice | None = None) -> Choice:
        """One of these values; required unless there is a default. There must be a choice."""
        allowed = list(choices)
        if key not in self._left and default is not None:
            return default
        named = " or ".join(allowed)
        value = self._take(key, f"set it to {named}")
        for one in allowed:
            if value == one.value:
                return one
        if value is not None:
            self.wrong(key, "document.unknown_value", f"must be {named}")
        return allowed[0]

    def table(self, key: str) -> Fields | None:
        """A table inside; None if the key is missing."""
        if key not in self._left:
            return None
        return Fields(self._left.pop(key), self._path_of(key), self.faults)

    def tables(self, key: str) -> list[Fields]:
        """A list of tables inside; empty if the key is missing."""
        rows = self._left.pop(key, [])
        if not isinstance(rows, list):
            self.wrong(key, "document.not_a_list", f"must be a list of tables: [[{key}]]")
            return []
        if len(rows) > MOST_TABLES:
            self.wrong(key, "document.too_many", f"must have at most {MOST_TABLES} tables")
            return []
        path = self._path_of(key)
        return [Fields(row, f"{path}[{place}]", self.faults) for place, row in enumerate(rows)]

    def drop(self, key: str) -> None:
        """Passes over a key whose fault was noted."""
        self._left.pop(key, None)

    def close(self) -> None:
        """Notes the keys that nothing read."""
        for key in sorted(self._left):
            self.wrong(key, "document.unknown_key", "is no key of this table: remove it")
        self._left.clear()

    def require(self) -> None:
        """Raises InvalidInput with all faults of the whole document, if there are any."""
        if self.faults:
            raise InvalidInput(self.faults)

    def _path_of(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _take(self, key: str, advice: str) -> object:
        """The value of a required key; a missing one is noted."""
        value = self._left.pop(key, None)
        if value is None:
            self.wrong(key, "document.missing", f"is missing: {advice}")
        return value

    def _note(self, path: str, rule: str, description: str) -> None:
        self.faults.append(Violation(path or "document", rule, description))


def canonical(document: Mapping[str, object]) -> str:
    """The one JSON text of a document: keys in order, no spaces."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def document_hash(document: Mapping[str, object]) -> str:
    """The hash of a document: SHA-256 of its canonical JSON, hexadecimal."""
    return sha256(canonical(document).encode()).hexdigest()
