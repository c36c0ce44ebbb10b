"""Where identifiers come from."""

from __future__ import annotations

import secrets
from typing import Protocol

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"


class Ids(Protocol):
    """A source of identifiers."""

    def new(self, now_us: int) -> str:
        """A fresh id of 20 characters (0-9, a-v) that sorts by time."""
        ...


def _base32(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        digits.append(_ALPHABET[number & 31])
        number >>= 5
    return "".join(reversed(digits))


class RandomIds:
    """Eleven characters of time (microseconds, 55 bits) and nine of chance (45 bits).

    Time first keeps the indexes of an append-mostly table dense.
    """

    def __init__(self) -> None:
        self._prefix_us = -1
        self._prefix = ""

    def new(self, now_us: int) -> str:
        """A fresh id of 20 characters that sorts by time."""
        if now_us != self._prefix_us:
            self._prefix_us, self._prefix = now_us, _base32(now_us, 11)
        return self._prefix + _base32(secrets.randbits(45), 9)
