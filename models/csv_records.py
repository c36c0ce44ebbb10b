"""The records of a CSV file: where each one ends, and how many cells it has."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

_BLOCK = 1 << 21
_NEWLINE = 10


class Records(NamedTuple):
    """The records of a file in order, blank lines included.

    `end` is the position behind each record's newline, `cells` its number of cells. `open` says
    that the file ends within a quoted cell.
    """

    end: Indices
    cells: Indices
    open: bool


def scan(content: bytes, delimiter: str, quote: str) -> Records:
    """Find the records. A newline or delimiter between two quotes belongs to the cell."""
    buffer = np.frombuffer(content, dtype=np.uint8)
    ends, cells = [], []
    carried, inside = 0, False
    for start in range(0, buffer.shape[0], _BLOCK):
        block = buffer[start : start + _BLOCK]
        newline = np.flatnonzero(block == _NEWLINE)
        mark = np.flatnonzero(block == ord(delimiter))
        if quote:
            quotes = np.flatnonzero(block == ord(quote))
            # An odd number of quotes before a position: it is inside a cell.
            newline = newline[(np.searchsorted(quotes, newline) + inside) % 2 == 0]
            mark = mark[(np.searchsorted(quotes, mark) + inside) % 2 == 0]
            inside ^= bool(quotes.shape[0] % 2)
        before = np.searchsorted(mark, newline)
        counts = np.diff(before, prepend=0)
        if newline.shape[0]:
            counts[0] += carried
            carried = int(mark.shape[0] - before[-1])
        else:
            carried += mark.shape[0]
        ends.append(newline + start + 1)
        cells.append(counts + 1)
    if buffer.shape[0] and (not ends or not _closed(ends, buffer.shape[0])):
        ends.append(np.array([buffer.shape[0]]))
        cells.append(np.array([carried + 1]))
    if not ends:
        return Records(np.empty(0, np.int64), np.empty(0, np.int64), False)
    return Records(
        np.concatenate(ends).astype(np.int64), np.concatenate(cells).astype(np.int64), inside
    )


def _closed(ends: list[Indices], size: int) -> bool:
    last = next((each[-1] for each in reversed(ends) if each.shape[0]), 0)
    return bool(last == size)
