"""The stored form of raw features: values as bytes, and the id of their order."""

from __future__ import annotations

import array
import hashlib
import json
from collections.abc import Sequence

VALUE_BYTES = 8


def schema_id_of(names: Sequence[str]) -> str:
    """The id of an order of raw values: SHA-256 of the names as JSON."""
    return hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()


def pack(values: Sequence[float]) -> bytes:
    """Raw values as little-endian float64, eight bytes each."""
    packed = array.array("d", values)
    if packed.itemsize != VALUE_BYTES:
        raise OverflowError("this machine has no 64-bit double")
    if _BIG_ENDIAN:
        packed.byteswap()
    return packed.tobytes()


def unpack(raw: bytes) -> array.array[float]:
    """The values that `pack` packed."""
    values = array.array("d")
    values.frombytes(raw)
    if _BIG_ENDIAN:
        values.byteswap()
    return values


_BIG_ENDIAN = array.array("H", [1]).tobytes()[0] == 0
