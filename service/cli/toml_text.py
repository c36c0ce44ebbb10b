"""Documents of terms as TOML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def toml_of(document: Mapping[str, Any]) -> str:
    """The TOML of a document: plain values first, and then its tables and lists of tables.

    `tomllib` reads the text back as the same document.
    """
    return "\n".join(_lines(document, "")) + "\n"


def _lines(table: Mapping[str, Any], path: str) -> Iterator[str]:
    plain = {name: it for name, it in table.items() if not _has_tables(it)}
    yield from (f"{name} = {_value(it)}" for name, it in plain.items())
    for name, value in table.items():
        below = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield from ("", f"[{below}]")
            yield from _lines(value, below)
        elif name not in plain:
            for it in value:
                yield from ("", f"[[{below}]]")
                yield from _lines(it, below)


def _has_tables(value: Any) -> bool:
    listed = isinstance(value, list) and any(isinstance(it, Mapping) for it in value)
    return isinstance(value, Mapping) or listed


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}"
    # Every JSON text without DEL is one of TOML.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
