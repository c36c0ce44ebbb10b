"""Sources of identifiers."""

from __future__ import annotations

import random
import secrets
from typing import Protocol

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_EPOCH_US = 1_577_836_800_000_000
"""2020-01-01 in microseconds since the epoch; 50 bits of microseconds last until 2055."""
_CHANCE_BITS = 50
_STEP_BITS = 30
"""The random bits in the step between two ids of the same microsecond."""


class Ids(Protocol):
    """A source of identifiers."""

    def new(self, now_us: int) -> str:
        """A new id of 20 characters (0-9, a-v) that sorts by time."""
        ...

    def least(self, us: int) -> str:
        """A text that is not greater than any id made at this instant or later."""
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


def first_id(us: int) -> str:
    """The first id that may be made at this instant, in microseconds since the epoch, or later."""
    return _base32(max(0, us - _EPOCH_US))


class RandomIds:
    """Random ids: ten characters of time in microseconds, then ten random characters; 50 bits each.

    Time comes first, which keeps the indexes of append-mostly tables dense. An id is not a secret:
    the operator's key protects an authorization.

    Each id is greater than the previous id, even if the clock stands still or goes back. So in a
    list sorted by ids, a new row never comes before older rows.
    """

    def __init__(self) -> None:
        self._chance = random.Random(secrets.randbits(256))
        self._prefix_us = -1
        self._prefix = ""
        self._part = 0

    def new(self, now_us: int) -> str:
        """A new id of 20 characters that sorts by time."""
        if now_us > self._prefix_us:
            self._begin(now_us)
        else:
            self._part += 1 + self._chance.getrandbits(_STEP_BITS)
            if self._part >> _CHANCE_BITS:
                self._begin(self._prefix_us + 1)
        return self._prefix + _base32(self._part)

    def _begin(self, us: int) -> None:
        self._prefix_us, self._prefix = us, _base32(us - _EPOCH_US)
        # The first bit stays 0, as room for steps.
        self._part = self._chance.getrandbits(_CHANCE_BITS - 1)

    def least(self, us: int) -> str:
        """The time alone; a later id begins with it, or with a greater text."""
        return _base32(max(0, us - _EPOCH_US))

    def key(self) -> bytes:
        """A fresh secret of 16 bytes."""
        return secrets.token_bytes(16)
