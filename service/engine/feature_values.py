"""The stored form of raw features: values as bytes, and the id of their order."""

from __future__ import annotations

import array
import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

VALUE_BYTES = 8
UNSEEN = -1.0
"""The number of a text that the model does not know."""


class Kind(StrEnum):
    """The kind of a raw feature."""

    NUMBER = "number"
    TEXT = "text"


class ModelFeatures(NamedTuple):
    """A model that people's features are kept for: the kind of each of its raw features."""

    model_id: str
    outcome: str
    kinds: Mapping[str, Kind]


class OtherKind(ValueError):
    """A stored value has another kind than the model wants; `feature` is its name."""

    def __init__(self, feature: str) -> None:
        super().__init__(feature)
        self.feature = feature


def schema_id_of(names: Sequence[str]) -> str:
    """The id of an order of raw values: SHA-256 of the names as JSON."""
    return hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()


def kinds_of(names: Sequence[str], levels: Collection[str]) -> dict[str, Kind]:
    """The kind of each raw feature; `levels` are the names of the texts."""
    return {name: Kind.TEXT if name in levels else Kind.NUMBER for name in names}


def texts_as_json(texts: Mapping[str, str]) -> str:
    """The stored form of texts: a canonical JSON object, or "" without any."""
    if not texts:
        return ""
    return json.dumps(dict(texts), sort_keys=True, separators=(",", ":"))


def number_texts(
    sent: dict[str, float],
    texts: str,
    kinds: Mapping[str, Kind],
    levels: Mapping[str, Mapping[str, float]],
) -> dict[str, float]:
    """The values sent by name, with the model's number in place of each text.

    `kinds` are those of the model's raw features. `levels` has the number of each known text of
    each text feature, and NaN for texts that stand for a missing value. Raises OtherKind for a
    value of another kind than the model wants.
    """
    told: dict[str, str] = json.loads(texts) if texts else {}
    for name, number in sent.items():
        if kinds.get(name) is Kind.TEXT and not math.isnan(number):
            raise OtherKind(name)
    for name, text in told.items():
        kind = kinds.get(name)
        if kind is Kind.NUMBER:
            raise OtherKind(name)
        if kind is Kind.TEXT:
            sent[name] = levels[name].get(text, UNSEEN)
    return sent


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
