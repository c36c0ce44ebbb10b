"""Arrays as parameters for PostgreSQL: a column's values of many rows.

Numbers and texts are written as text, which Python joins fastest. Bytes go in PostgreSQL's binary
form: as text they would be twice as long, and the server would read them digit by digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import pack
from typing import Any

from sqlalchemy import Boolean, Column, Integer, LargeBinary, String

BYTES_OID, BYTES_ARRAY_OID = 17, 1001
"""PostgreSQL's numbers of the types BYTEA and BYTEA[], which are the same in all versions."""
_NULL = b"\xff\xff\xff\xff"


class BytesArray(bytes):
    """An array of bytes in PostgreSQL's binary form."""

    __slots__ = ()


def array_of(column: Column[Any]) -> tuple[str, Callable[[Sequence[Any]], str | BytesArray]]:
    """The type of the elements of a column's array, and a function that writes the array.

    Raises TypeError for a column of another type.
    """
    match column.type:
        case LargeBinary():
            return "BYTEA", _bytes_array
        case String():
            # The type has no length, because a cast to one would silently truncate a value.
            return "TEXT", _text_array
        case Boolean():
            return "BOOLEAN", _number_array
        case Integer():
            return "BIGINT", _number_array
        case other:
            raise TypeError(f"no array type is known for {other!r}")


def _number_array(values: Sequence[int | None]) -> str:
    """Numbers, or truth values."""
    written = str(list(values))[1:-1]
    if "None" in written:
        written = written.replace("None", "NULL")
    return "{" + written + "}"


def _text_array(values: Sequence[str | None]) -> str:
    if None in values:
        return "{" + ",".join(["NULL" if it is None else _quoted(it) for it in values]) + "}"
    written = '","'.join(values)  # type: ignore[arg-type]
    if "\\" in written or written.count('"') != 2 * len(values) - 2:
        return "{" + ",".join(map(_quoted, values)) + "}"  # type: ignore[arg-type]
    return '{"' + written + '"}'


def _quoted(value: str) -> str:
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


def _bytes_array(values: Sequence[bytes | None]) -> BytesArray:
    """One dimension from 1 on, which may have NULLs; then each length with its bytes."""
    parts = [pack(">iiIii", 1, 1, BYTES_OID, len(values), 1)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            parts += len(value).to_bytes(4, "big"), value
    return BytesArray(b"".join(parts))
