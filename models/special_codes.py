"""Codes among the amounts of a raw column, such as 99 for "unknown" beside 0 to 40."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from models.dataset import Floats

Counts = NDArray[np.int64]

_NEGATIVE_CODES = frozenset(
    (-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0, -77.0, -88.0, -98.0, -99.0, -999.0,
     -9999.0, -99999.0, -999999.0)
)  # fmt: skip
# Codes up to this one are no amounts even in a column with few values.
_SURE_CODE, _FEW_VALUES, _MANY_VALUES = -7.0, 3, 8
# Any value is a code in at least this share of the rows if it is as many times as far from all the
# others as they are from each other.
_CODE_SHARE, _CODE_APART = 0.01, 5.0
_TOP_CODE = re.compile(r"9{1,8}[0-9]?|9+[6-9]|900[0-9]")
_NINES = re.compile(r"9+[6-9]")
_LONG_NINES = re.compile(r"9{4,8}")
# Nines in this share of the rows are codes if the gap below them is as many times the widest gap
# between amounts; with four nines and more, which hardly any amount has, so many times.
_NINES_APART, _LONG_NINES_APART = 5.0, 2.0
# Where so many amounts end with 9, as prices do, nines are no codes.
_PRICES = 0.3
# A rank, such as 1 to 5, beside which 9 is a code, has so many values without a gap.
_FEWEST_RANKS, _MOST_RANKS = 4, 6
# Points of a score, among which 0 is none, and their fewest values and narrowest range.
_SCORES, _FEWEST_SCORES, _SCORE_RANGE = (200.0, 950.0), 50, 200.0
# Years, and those that programs write where they know none, so far from the others at least.
_YEARS, _NO_YEARS, _YEARS_APART = (1920.0, 2100.0), (0.0, 1.0, 1800.0, 1900.0), 20.0


def find(values: Floats) -> tuple[float, ...]:
    """The values of a column of amounts that are codes: negative ones where no other value is
    negative, nines far above all others, 0 below the points of a score, 1900 below the years of a
    column, and frequent values that lie apart from all others."""
    distinct, counts = np.unique(values, return_counts=True)
    negative = distinct[distinct < 0]
    special: set[float] = set()
    fewest = _FEW_VALUES if negative.shape[0] and negative[-1] <= _SURE_CODE else _MANY_VALUES
    apart = 0 < negative.shape[0] <= 6 and distinct.shape[0] - negative.shape[0] >= fewest
    if apart and {*negative.tolist()} <= _NEGATIVE_CODES:
        special |= {*negative.tolist()}
    special |= _top(distinct[distinct >= 0])
    special |= _lonely(distinct, counts)
    usual = ~np.isin(distinct, list(special))
    special |= _nines(distinct[usual], counts[usual], counts.sum())
    usual = ~np.isin(distinct, list(special))
    special |= _least(distinct[usual], counts[usual], counts.sum())
    often = {float(v) for v, n in zip(distinct, counts, strict=True) if n >= 2}
    return tuple(sorted(special & often))


def _top(amounts: Floats) -> set[float]:
    """Nines, and the like, more than three times as large as any other of these values."""
    top = [
        v for v in amounts[-6:].tolist() if v == int(v) and _TOP_CODE.fullmatch(str(int(v)))
    ]  # fmt: skip
    for count in range(len(top), 0, -1):
        codes = top[-count:]
        below = amounts[amounts < codes[0]]
        apart = below.shape[0] >= _FEW_VALUES and codes[0] >= 90 and codes[0] > 3 * below[-1]
        if apart and not _prices(below):
            return {*codes}
    return set()


def _prices(amounts: Floats) -> bool:
    """Whether these amounts end with 9 so often that nines above them are no codes."""
    return bool((amounts % 10.0 == 9.0).mean() > _PRICES)


def _lonely(distinct: Floats, counts: Counts) -> set[float]:
    """The least or the greatest of these values, if it is frequent and far from all others."""
    found: set[float] = set()
    if distinct.shape[0] <= _MANY_VALUES:
        return found
    enough = _CODE_SHARE * counts.sum()
    if counts[-1] >= enough and distinct[-1] - distinct[-2] > _CODE_APART * np.ptp(distinct[:-1]):
        found.add(float(distinct[-1]))
    if counts[0] >= enough and distinct[1] - distinct[0] > _CODE_APART * np.ptp(distinct[1:]):
        found.add(float(distinct[0]))
    return found


def _nines(distinct: Floats, counts: Counts, rows: int) -> set[float]:
    """The greatest values, if they are frequent nines, such as 97 to 99, over a gap that no other
    two values have between them."""
    for size in (4, 3, 2, 1):
        codes, below = distinct[-size:].tolist(), distinct[:-size]
        if below.shape[0] < 2 or counts[-size:].sum() < _CODE_SHARE * rows:
            continue
        if any(v < 0 or v != int(v) for v in codes) or codes[-1] - codes[0] > 3 or _prices(below):
            continue
        # The least value may be another code, such as 0 below the points of a score.
        between = below[1:] if below.shape[0] > _MANY_VALUES else below
        gap, widest = codes[0] - below[-1], float(np.diff(between).max())
        written = [str(int(v)) for v in codes]
        if codes == [9.0]:
            ranks = _FEWEST_RANKS <= below.shape[0] <= _MOST_RANKS and widest == 1.0
            if ranks and below[0] in (0.0, 1.0) and gap >= 4.0:
                return {*codes}
        elif all(map(_NINES.fullmatch, written)):
            long = all(map(_LONG_NINES.fullmatch, written))
            if gap > widest * (_LONG_NINES_APART if long else _NINES_APART):
                return {*codes}
    return set()


def _least(distinct: Floats, counts: Counts, rows: int) -> set[float]:
    """The least value, if it is frequent and stands for no score or for no year."""
    if distinct.shape[0] <= _MANY_VALUES or counts[0] < _CODE_SHARE * rows:
        return set()
    code, rest = float(distinct[0]), distinct[1:]
    if not (rest == np.floor(rest)).all():
        return set()
    low, high = float(rest[0]), float(rest[-1])
    score = (
        code == 0.0
        and _SCORES[0] <= low
        and high <= _SCORES[1]
        and high - low >= _SCORE_RANGE
        and rest.shape[0] >= _FEWEST_SCORES
    )
    year = (
        code in _NO_YEARS
        and _YEARS[0] <= low
        and high <= _YEARS[1]
        and low - code >= _YEARS_APART
        and low - code > _CODE_APART * float(np.diff(rest).max())
    )
    return {code} if score or year else set()
