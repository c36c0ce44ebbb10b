"""Where identifiers come from."""

from __future__ import annotations

import random
import secrets
from typing import Protocol

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_EPOCH_US = 1_577_836_800_000_000
"""2020-01-01; 50 bits of microseconds last until 2055."""


class Ids(Protocol):
    """A source of identifiers."""

    def new(self, now_us: int) -> str:
        """A fresh id of 20 characters (0-9, a-v) that sorts by time."""
        ...

    def key(self) -> bytes:
        """A fresh secret of 16 bytes."""
        ...


def _base32(number: int) -> str:
    """Fifty bits as ten characters."""
    return (
        _PAIRS[number >> 40 & 1023]
        + _PAIRS[number >> 30 & 1023]
        + _PAIRS[number >> 20 & 1023]
        + _PAIRS[number >> 10 & 1023]
        + _PAIRS[number & 1023]
    )


class RandomIds:
    """Ten characters of time (microseconds) and ten of chance, 50 bits each.

    Time first keeps the indexes of append-mostly tables dense. An id is a name and no secret:
    what protects an authorization is the key of its operator.
    """

    def __init__(self) -> None:
        self._chance = random.Random(secrets.randbits(256))
        self._prefix_us = -1
        self._prefix = ""

    def new(self, now_us: int) -> str:
        """A fresh id of 20 characters that sorts by time."""
        if now_us != self._prefix_us:
            self._prefix_us, self._prefix = now_us, _base32(now_us - _EPOCH_US)
        return self._prefix + _base32(self._chance.getrandbits(50))

    def key(self) -> bytes:
        """A fresh secret of 16 bytes."""
        return secrets.token_bytes(16)
