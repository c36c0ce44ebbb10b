"""Rows that arrive as text, many at a time, and the columns in them.

A database makes one JSON array of each row, and one text of all arrays of a group. So a driver
hands over one value instead of hundreds. Handing values over is most of the cost of reading. The
columns are cut out of the text in bulk. Only text of the form that sound books have is understood.
Any other text raises Doubt, and its rows are read value by value instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, Final

import numpy as np

from service.books.columns import LARGEST, LARGEST_SHARE, Codes, Kind, Maybe
from service.books.faults import Array

FRONT, BACK = b"0" * 16, b"0" * 8
"""Around a text, so that eight characters before each end of a field can be read at once."""
LONGEST = 16
"""Digits of a number that are read in bulk."""


class Doubt(Exception):
    """A text does not have the form that sound books have; reading value by value shows why."""


# -- numbers of eight digits at once --------------------------------------------------------------


def _eights(value: int) -> np.uint64:
    return np.uint64(int.from_bytes(bytes([value] * 8), "little"))


_KEPT = np.array([(1 << 64) - (1 << (64 - 8 * n)) for n in range(9)], dtype=np.uint64)
"""By the number of digits: the last ones of eight characters."""
_ZEROS = np.array([~int(kept) & int(_eights(0x30)) for kept in _KEPT], dtype=np.uint64)
_HIGH, _SIX, _DIGITS = _eights(0xF0), _eights(0x06), _eights(0x33)
_STEPS: Final = tuple(
    (np.uint64(mask), np.uint64(factor), np.uint64(shift))
    for mask, factor, shift in (
        (0x0F0F0F0F0F0F0F0F, 1 + (10 << 8), 8),
        (0x00FF00FF00FF00FF, 1 + (100 << 16), 16),
        (0x0000FFFF0000FFFF, 1 + (10_000 << 32), 32),
    )
)
_FOUR = np.uint64(4)

_COMMAS = bytes.maketrans(b"]", b",")


class Rows:
    """The fields of the arrays in a text: `[…][…]…`, each with as many fields."""

    def __init__(self, text: str, width: int) -> None:
        if not text.isascii():
            raise Doubt
        self.text = text
        self.raw = raw = text.encode()
        self.count = count = raw.count(b"[")
        # No field of a sound row has any of these in it, so that they only stand between fields.
        commas, ends = raw.count(b","), raw.count(b"]")
        if b"\\" in raw or commas != count * (width - 1) or ends != count:
            raise Doubt
        padded = FRONT + raw + BACK
        self._codes = np.frombuffer(padded, dtype=np.uint8)
        self._words: Array = np.ndarray((len(padded) - 7,), np.dtype("<u8"), padded, 0, (1,))
        codes = np.frombuffer(padded.translate(_COMMAS), dtype=np.uint8)
        between = np.flatnonzero(codes == ord(","))
        self._ends = np.ascontiguousarray(between.reshape(count, width).T)
        last = self._ends[-1]
        if not (self._codes[last] == ord("]")).all():
            raise Doubt
        self._first = np.empty(count, dtype=np.int64)
        self._first[:1] = len(FRONT) + 1
        self._first[1:] = last[:-1] + 2

    def _starts(self, place: int) -> Array:
        starts: Array = self._ends[place - 1] + 1 if place else self._first
        return starts

    def bounds(self, place: int) -> tuple[Array, Array]:
        """The places in the text at which a field starts and ends."""
        return self._starts(place) - len(FRONT), self._ends[place] - len(FRONT)

    def check_texts(self, place: int) -> None:
        """Raises Doubt unless the field is a text in each row."""
        if not (self._codes[self._starts(place)] == ord('"')).all():
            raise Doubt

    def texts(self, place: int) -> Texts:
        """A column of texts."""
        self.check_texts(place)
        starts, ends = self.bounds(place)
        return Texts(self.text, starts + 1, ends - 1)

    def numbers(self, place: int, largest: int) -> Array:
        """A column of numbers from 0 to the largest."""
        found = self._read(self._ends[place], self._ends[place] - self._starts(place))
        if self.count and found.max() > largest:
            raise Doubt
        return found

    def maybe(self, place: int) -> Maybe:
        """A column of numbers that may be absent."""
        starts, ends = self._starts(place), self._ends[place]
        there = self._codes[starts] != ord("n")
        return Maybe(self._read(ends, np.where(there, ends - starts, 0)), there)

    def _read(self, ends: Array, digits: Array) -> Array:
        longest = int(digits.max(initial=0))
        if longest > LONGEST:
            raise Doubt
        if longest <= 1:
            return self._digit(ends, digits)
        found = self._eight(ends, np.minimum(digits, 8))
        if longest > 8:
            found += 10**8 * self._eight(ends - 8, np.maximum(digits - 8, 0))
        return found

    def _digit(self, ends: Array, digits: Array) -> Array:
        """The numbers of one digit before these ends; 0 if there is no digit."""
        found: Array = self._codes[ends - 1].astype(np.int64) - ord("0")
        if not digits.all():
            found[digits == 0] = 0
        if not ((found >= 0) & (found <= 9)).all():
            raise Doubt
        return found

    def _eight(self, ends: Array, digits: Array) -> Array:
        """The numbers of at most eight digits before these ends."""
        word: Array = (self._words[ends - 8] & _KEPT[digits]) | _ZEROS[digits]
        if not (((word & _HIGH) | (((word + _SIX) & _HIGH) >> _FOUR)) == _DIGITS).all():
            raise Doubt
        for mask, factor, shift in _STEPS:
            word = ((word & mask) * factor) >> shift
        found: Array = word.view(np.int64)
        return found


class Texts(Sequence[str]):
    """A column of texts that are cut out when they are asked for."""

    def __init__(self, text: str, starts: Array, ends: Array) -> None:
        self._text, self._starts, self._ends = text, starts, ends
        self.empty: Array = starts == ends
        """Whether each text is empty."""

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: Any) -> Any:
        return self._text[self._starts[place] : self._ends[place]]

    def __iter__(self) -> Iterator[str]:
        return iter(cut(self._text, self._starts, self._ends))


def empty(column: Sequence[str]) -> Array:
    """Whether each text of a column is empty."""
    if isinstance(column, Texts):
        return column.empty
    return np.array([text == "" for text in column], dtype=bool)


def cut(text: str, starts: Array, ends: Array) -> list[str]:
    """The parts of a text between these places."""
    return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


class Names:
    """Columns of names side by side. They have few combinations, and each is looked up once."""

    def __init__(self, columns: Mapping[str, Codes]) -> None:
        self.columns = columns
        self._known: dict[str, int] = {}
        self._codes: list[tuple[int, ...]] = []

    def read(self, rows: Rows, place: int) -> dict[str, Array]:
        """The codes of the columns; `place` is the place of the first column."""
        starts, _ = rows.bounds(place)
        _, ends = rows.bounds(place + len(self.columns) - 1)
        parts = cut(rows.text, starts, ends)
        try:
            found = list(map(self._known.__getitem__, parts))
        except KeyError:
            found = [self._learned(part) for part in parts]
        codes = np.array(self._codes, dtype=np.int64).reshape(-1, len(self.columns)).T
        of = np.array(found, dtype=np.int64)
        return {name: column[of] for name, column in zip(self.columns, codes, strict=True)}

    def _learned(self, part: str) -> int:
        known = self._known.get(part)
        if known is None:
            codes = [
                kind.get(value)
                for kind, value in zip(self.columns.values(), json.loads(f"[{part}]"), strict=True)
            ]
            if None in codes:
                raise Doubt
            known = self._known[part] = len(self._codes)
            self._codes.append(tuple(int(code) for code in codes if code is not None))
        return known


Reader = tuple[str, int, Kind | Names]
"""A column, the place of its field, and how it is read; of names side by side the first."""


def readers(columns: Mapping[str, Kind | Codes]) -> list[Reader]:
    """The readers of the fields of a row with these columns."""
    found: list[Reader] = []
    side_by_side: dict[str, Codes] = {}
    for place, (name, kind) in enumerate(columns.items()):
        if isinstance(kind, Kind):
            side_by_side = {}
            found.append((name, place, kind))
        else:
            if not side_by_side:
                found.append((name, place, Names(side_by_side)))
            side_by_side[name] = kind
    return found


_LARGEST: Final = {Kind.NUMBER: LARGEST, Kind.SHARE: LARGEST_SHARE}


def read(rows: Rows, columns: Sequence[Reader]) -> dict[str, Any]:
    """The columns of the rows; raises Doubt for text that sound books do not have."""
    found: dict[str, Any] = {}
    for name, place, kind in columns:
        if isinstance(kind, Names):
            found |= kind.read(rows, place)
        elif kind is Kind.TEXT:
            found[name] = rows.texts(place)
        elif kind is Kind.MAYBE:
            found[name] = rows.maybe(place)
        else:
            largest = LARGEST // max(1, rows.count) if kind is Kind.AMOUNT else _LARGEST[kind]
            found[name] = rows.numbers(place, largest)
    return found


def spread(values: Sequence[str], sizes: Sequence[int]) -> list[str]:
    """The values, each repeated once for each row of its group."""
    return list(chain.from_iterable(map(repeat, values, sizes)))
