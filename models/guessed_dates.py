"""Columns of dates that nobody has described yet: their format, and the dates that stand for none.

An end that never comes is written 9999-12-31, and a day that nobody knows 1900-01-01. As dates they
would be ages of thousands of years.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from models import cells, odd_cells
from models.dataset import Floats
from models.spec_columns import Notation

FORMATS = (
    "iso", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%b-%y", "%b-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d%b%Y", "%B %Y", "%d/%m/%y", "%m/%d/%y",
    "%d.%m.%y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M", "%Y/%m/%d %H:%M:%S", "%d-%m-%y", "%m-%d-%y", "%d-%m-%Y %H:%M",
    "%d-%m-%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p", "%b %d, %Y", "%B %d, %Y",
    "%d %B %Y", "%m/%Y", "%m-%Y", "%Y年%m月%d日", "%Y年%m月", "%Y/%m", "%Y/%m/%d %H:%M", "%d/%b/%Y",
    "%d-%B-%Y", "%d.%m.%Y %H:%M:%S", "%a %b %d %Y", "%a %b %d %H:%M:%S %Y", "%d %b %y", "%m.%Y",
    "%Y-%m-%d", "%Y-%m-%d %H:%M",
)  # fmt: skip
# Formats that differ in the order of day and month.
_UNCLEAR = (
    {"%d/%m/%Y", "%m/%d/%Y"}, {"%d-%m-%Y", "%m-%d-%Y"}, {"%d/%m/%y", "%m/%d/%y"},
    {"%d-%m-%y", "%m-%d-%y"},
)  # fmt: skip
# Dates that are written as whole numbers, with their least and greatest one.
_NUMBER_FORMATS = (("%Y%m%d", 19_000_101, 21_001_231), ("%Y%m", 190_001, 210_012))
# A column has dates of that kind if it has as many different ones: a few amounts may look alike.
_DATES = 12
# Beside a few other cells a column of dates has at least so many different ones.
_FEWEST_VALUES = 20
# A date without a digit above 0, and a year that no table of people has.
_NO_DATE = re.compile(r"[0/.: -]*0[0/.: -]*")
_FAR_YEAR = re.compile(
    r"(?<![0-9])(?:0[0-9]{3}|1[0-7][0-9]{2}|22(?!00)[0-9]{2}|2[3-9][0-9]{2}|[3-9][0-9]{3})(?![0-9])"
)
_MOST_ENDS = 5
# Numbers beside dates that are written as numbers which stand for none.
_NONE = (0.0, -1.0)
# The years in whose first or last days programs put a date that nobody knows: a marker is such a
# day in at least this share of the rows, and so many days before or after all other dates. Either
# it lies farther from them than they from each other, or it is so many times as frequent as each.
_MARKER_YEARS = frozenset(
    (1753, 1800, 1899, 1900, 1901, 1904, 1960, 1969, 1970, 1980, 2049, 2050, 2078, 2079, 2099, 2100,
     2199, 2200)
)  # fmt: skip
_MARKER_DAYS = frozenset(("01-01", "12-30", "12-31"))
_MARKER_SHARE, _MARKER_APART, _MARKER_TIMES, _FEWEST_OTHERS = 0.01, 5 * 365, 3, 3


class Dates(NamedTuple):
    """The format of a column of dates, the cells that stand for none, and notes for a reader."""

    form: str
    tokens: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Reading(NamedTuple):
    """A format, the cells that are no dates in it, and those whose year is far outside."""

    form: str
    odd: list[str]
    ends: list[str]


def of_texts(counts: Mapping[str, int], rows: int, usual: Notation) -> Dates | None:
    """The dates of a column with so many `rows` of each of these texts; None for another column."""
    none = [text for text in counts if _NO_DATE.fullmatch(text)]
    rest = pl.Series([text for text in counts if text not in none], dtype=pl.String)
    far = [text for text in rest if _FAR_YEAR.search(text)]
    found: list[_Reading] = []
    for form in FORMATS:
        wrong = rest.filter(pl.Series(cells.seconds(rest, form, usual).wrong)).to_list()
        ends = _ends([*{*far} & {*wrong}], form, usual)
        odd = [text for text in wrong if text not in ends]
        known = rest.len() - len(wrong)
        few = odd_cells.few(odd, counts, rows) and known > _FEWEST_VALUES
        if (not odd or few) and (known > len(ends) or not ends):
            found.append(_Reading(form, odd, ends))
    if not found or not rest.len():
        return None
    form, odd, ends = min(found, key=lambda it: len(it.odd))
    notes = []
    as_good = {it.form for it in found if len(it.odd) == len(odd)}
    if any(pair <= as_good for pair in _UNCLEAR):
        notes.append("day and month cannot be told apart: check the format")
    if without := [*none, *ends, *odd]:
        notes.append(odd_cells.note(without, counts, "date"))
    known_texts = [text for text in rest if text not in {*odd, *ends}]
    markers = _markers(known_texts, [counts[text] for text in known_texts], form, usual)
    if markers:
        notes.append(_marker_note(markers, counts))
    return Dates(form, (*without, *markers), tuple(notes))


def of_numbers(values: Floats) -> Dates | None:
    """The dates that are written as whole numbers, such as 20261129; None for other numbers."""
    distinct, rows = np.unique(values, return_counts=True)
    if (distinct != np.floor(distinct)).any() or np.abs(distinct).max() >= 2**53:
        return None
    usual = Notation(missing=())
    for form, least, greatest in _NUMBER_FORMATS:
        width = len(str(least))
        written = {f"{v:.0f}": int(n) for v, n in zip(distinct, rows, strict=True)}
        outside = (distinct < least) | (distinct > greatest)
        ends = [f"{v:.0f}" for v in distinct[outside]]
        known = [f"{v:.0f}" for v in distinct[~outside]]
        if len(ends) > _MOST_ENDS or len(known) < _DATES:
            continue
        if not all(float(text) in _NONE or _none_number(text, width, form) for text in ends):
            continue
        if cells.seconds(pl.Series(known), form, usual).wrong.any():
            continue
        notes = [odd_cells.note(ends, written, "date")] if ends else []
        markers = _markers(known, [written[text] for text in known], form, usual)
        if markers:
            notes.append(_marker_note(markers, written))
        # Zeros may also be written before a number, as in 00000000.
        padded = [text.zfill(width) for text in ends if text.isdecimal()]
        tokens = dict.fromkeys([*ends, *padded, *markers])
        return Dates(form, tuple(tokens), tuple(notes))
    return None


def _ends(texts: list[str], form: str, usual: Notation) -> list[str]:
    """Those of a few texts that are dates in this format but for their year."""
    if not texts or len(texts) > _MOST_ENDS or "%y" in form:
        return []
    near = pl.Series([_FAR_YEAR.sub("2000", text) for text in sorted(texts)])
    wrong = cells.seconds(near, form, usual).wrong
    return [text for text, no in zip(sorted(texts), wrong, strict=True) if not no]


def _none_number(text: str, width: int, form: str) -> bool:
    """Whether a number beside dates of so many digits is a day of a far year or one that programs
    put for none, or has nothing but nines."""
    full = text.zfill(width)
    if len(full) != width or not full.isdecimal():
        return False
    usual = Notation(missing=())
    own, near = cells.days(pl.Series([full, "2000" + full[4:]]), form, usual).values
    far = _FAR_YEAR.fullmatch(full[:4]) is not None and not np.isnan(near)
    return far or full == width * "9" or bool(not np.isnan(own) and _named(own))


def _markers(texts: list[str], rows: list[int], form: str, usual: Notation) -> list[str]:
    """Those of the dates that are markers, before or after all others."""
    if "%y" in form:
        return []
    days = cells.days(pl.Series(texts, dtype=pl.String), form, usual).values
    distinct, place = np.unique(days, return_inverse=True)
    counts = np.bincount(place, weights=rows)
    named = np.array([_named(day) for day in distinct], dtype=bool)
    found: set[float] = set()
    for order in (np.arange(distinct.shape[0]), np.arange(distinct.shape[0])[::-1]):
        first = int(np.argmin(named[order]))
        own, others = order[:first], order[first:]
        if not first or others.shape[0] < _FEWEST_OTHERS:
            continue
        apart = abs(float(distinct[others[0]] - distinct[own[-1]]))
        enough = counts[own].sum() >= _MARKER_SHARE * counts.sum()
        often = counts[own].max() >= _MARKER_TIMES * counts[others].max()
        if enough and apart >= _MARKER_APART and (apart > np.ptp(distinct[others]) or often):
            found |= {*distinct[own].tolist()}
    return [text for text, day in zip(texts, days, strict=True) if day in found]


def _named(day: float) -> bool:
    """Whether a day since 1970 is one that programs put for none."""
    text = str(np.datetime64(int(day), "D"))
    return int(text[:4]) in _MARKER_YEARS and text[5:] in _MARKER_DAYS


def _marker_note(markers: list[str], counts: Mapping[str, int]) -> str:
    rows = sum(map(counts.__getitem__, markers))
    return (
        f"{rows} cells lie far from all other dates and count as missing: "
        f"{odd_cells.shown(markers)}"
    )
