"""Documents of terms: their kinds, their states, their one written form, and their differences.

A document is a table of names and values, as in TOML or JSON. Its values are texts, whole numbers,
booleans, and lists of such values or of tables; it has no null and no fraction. Two documents mean
the same if their canonical forms are equal.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from service.domain.errors import InvalidInput

Table = Mapping[str, Any]
"""A parsed document, or a table in it."""


class DocumentKind(StrEnum):
    """The kind of a document, in the order in which documents name each other."""

    BOUNDS = "bounds"
    LIMITS = "limits"
    POLICY = "policy"
    TARIFF = "tariff"
    PRODUCT = "product"


class DocumentState(StrEnum):
    """The state of one revision of a document."""

    DRAFT = "DRAFT"
    """It is kept, and may name what is not there."""
    VALIDATED = "VALIDATED"
    """All that it names is there, and it is inside the bounds."""
    ACTIVE = "ACTIVE"
    """It is in force. Each name has at most one active revision."""
    RETIRED = "RETIRED"
    """It was replaced or withdrawn. Rentals that began under it keep it."""


class Difference(NamedTuple):
    """A value that two documents do not share. A value is JSON, and empty if it is absent."""

    path: str
    before: str
    after: str


MOST_DIGITS = 100
"""The most characters of a number in JSON. Shorter ones that a key does not take are told with the
key."""


def table_of_json(text: str, fraction: Callable[[str], Any] = float) -> Table:
    """The table of a document. Raises InvalidInput for a text that is not one JSON object.

    `fraction` reads a number with a point or an exponent.
    """
    try:
        table = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=fraction,
            parse_int=_whole_number,
            object_pairs_hook=_table_of,
        )
        if _HALF_PAIR.search(text):
            json.dumps(table, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        said = "has half of a surrogate pair, such as \\ud83d alone: no text is written so"
        raise InvalidInput.of("document", "document.json", said) from error
    except RecursionError as error:
        raise InvalidInput.of("document", "document.json", "is nested too deep") from error
    except ValueError as error:
        said = f"is not JSON: {error}"
        raise InvalidInput.of("document", "document.json", said) from error
    if not isinstance(table, dict):
        raise InvalidInput.of("document", "document.json", "must be one JSON object")
    return table


_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
"""The beginning of an escape that is half of a character; json.loads joins the halves of a pair."""


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON value")


def _whole_number(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has {len(text)} digits, which no key takes")
    return int(text)


def _table_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice} stands in one object twice")
    return table


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(document: Table) -> str:
    """The canonical form of a document: JSON with sorted keys and without spaces."""
    return _CANONICAL.encode(document)


def digest_of(text: str) -> str:
    """The hash of a document in its canonical form: SHA-256 in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def differences(before: Table, after: Table) -> tuple[Difference, ...]:
    """The differences between two documents, sorted by their paths."""
    old, new = dict(_values(before, "")), dict(_values(after, ""))
    return tuple(
        Difference(path, old.get(path, ""), new.get(path, ""))
        for path in sorted(old.keys() | new.keys(), key=_in_order)
        if old.get(path) != new.get(path)
    )


def _values(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The path and the JSON of each value that is not a table or a list of tables."""
    if isinstance(value, Mapping):
        for name in value:
            yield from _values(value[name], f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(it, Mapping) for it in value):
        for place, it in enumerate(value):
            yield from _values(it, f"{path}[{place}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False, sort_keys=True)


def _in_order(path: str) -> list[tuple[int, int, str]]:
    """A key that sorts `limit[10]` after `limit[9]`."""
    parts = path.replace("[", ".[").split(".")
    return [(1, int(it[1:-1]), "") if it.startswith("[") else (0, 0, it) for it in parts]
