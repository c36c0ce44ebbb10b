"""The columns of a table that nobody has described yet: guesses of their types and parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from models import cells
from models.dataset import Floats
from models.spec_columns import Notation

# Texts that people write for "no value".
TOKENS = (
    "NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "null", "Null", "None", "none", ".", "?",
    "#N/A", "#NA", "#VALUE!", "#DIV/0!", "-", "--", "NONE", "nil", "missing", "Missing", "MISSING",
    "unknown", "(null)", "<NA>",
)  # fmt: skip
# In a column of words these may be answers.
_WORDS = frozenset(
    ("None", "none", "NONE", "nil", "missing", "Missing", "MISSING", "unknown", "-", "--")
)
FORMATS = (
    "iso", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%b-%y", "%b-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d%b%Y", "%B %Y", "%d/%m/%y", "%m/%d/%y",
    "%d.%m.%y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M", "%Y/%m/%d %H:%M:%S",
)  # fmt: skip
_CURRENCIES = ("$", "€", "£", "¥", "￥", "元", "₹", "USD", "EUR", "GBP", "CNY", "RMB")
_DATE_NAME = re.compile(r"date|day|month|year|_dt|time|日期|时间", re.IGNORECASE)
# Distinct cells that are no plain numbers are kept up to this number.
_KEPT = 3_000
# More levels are no categories.
MOST_LEVELS = 500
# Specials: a code that stands apart from all amounts.
_NEGATIVE_CODES = frozenset(
    (-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0, -77.0, -88.0, -98.0, -99.0, -999.0,
     -9999.0, -99999.0, -999999.0)
)  # fmt: skip
_TOP_CODE = re.compile(r"9{1,8}[0-9]?|9+[6-9]")


@dataclass
class Profile:
    """One column: its cells that are no plain numbers with their counts, and its numbers."""

    name: str
    position: int
    rows: int = 0
    blank: int = 0
    other: Counter[str] = field(default_factory=Counter)
    overflow: bool = False
    numbers: list[Floats] = field(default_factory=list)
    plain: pl.Series = field(default_factory=lambda: pl.Series([], dtype=pl.String))
    hashes: list[pl.Series] = field(default_factory=list)
    many: bool = True

    def add(self, text: pl.Series) -> None:
        """Count a block's cells."""
        read = cells.numbers(text, Notation(missing=()))
        self.rows += text.len()
        self.blank += int(read.missing.sum())
        plain = ~read.missing & ~read.wrong
        self.numbers.append(read.values[plain])
        if self.plain.len() < _KEPT:
            self.plain = pl.concat([self.plain, text.filter(pl.Series(plain)).head(_KEPT)])
        if read.wrong.any():
            counts = text.filter(pl.Series(read.wrong)).value_counts(sort=True)
            for value, count in counts.head(_KEPT).iter_rows():
                if value in self.other or len(self.other) < _KEPT:
                    self.other[value] += count
                else:
                    self.overflow = True
            self.overflow |= counts.height > _KEPT
        self.many = self.many and text.n_unique() > 0.02 * text.len()
        if self.many:
            self.hashes.append(text.hash())
        else:
            self.hashes = []

    def forget(self) -> None:
        """Let go of the values, which take as much memory as the table."""
        self.numbers, self.hashes = [], []

    def distinct(self) -> int | None:
        """The number of different cells, if they are many; None if they are few."""
        return int(pl.concat(self.hashes).n_unique()) if self.many and self.hashes else None


@dataclass(frozen=True)
class Guess:
    """The guessed type of a column, and the way that it is written."""

    type: str
    notation: Notation
    format: str = "iso"
    tokens: tuple[str, ...] = ()
    missing: bool = False
    special: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    levels: int = 0


def guess(profile: Profile) -> Guess:
    """The type of a column by its cells."""
    tokens = tuple(t for t in profile.other if t in TOKENS)
    words = [t for t in profile.other if t not in TOKENS]
    missing = bool(profile.blank or tokens)
    usual = Notation(missing=tokens)
    values = np.concatenate(profile.numbers) if profile.numbers else np.empty(0)
    if not words:
        if not values.shape[0]:
            return Guess("empty", usual, missing=True, tokens=tokens)
        return _number(values, usual, tokens, missing)
    plain = int(values.shape[0])
    text = pl.Series(words, dtype=pl.String)
    for notation in _notations(words, usual):
        read = cells.numbers(text, notation)
        if not read.wrong.any() and not cells.numbers(profile.plain, notation).wrong.any():
            return _number(np.concatenate((values, read.values)), notation, tokens, missing)
    if not plain or _DATE_NAME.search(profile.name):
        forms = [f for f in FORMATS if not cells.seconds(text, f, usual).wrong.any()]
        if forms and not plain:
            notes: tuple[str, ...] = ()
            if len(forms) > 1 and {"%d/%m/%Y", "%m/%d/%Y"} <= {*forms}:
                notes = ("day and month cannot be told apart: check the format",)
            return Guess("date", usual, forms[0], tokens, missing, notes=notes)
    tokens = tuple(t for t in tokens if t not in _WORDS)
    codes = int(np.unique(values).shape[0])
    return Guess(
        "text",
        replace(usual, missing=tokens),
        tokens=tokens,
        missing=bool(profile.blank or tokens),
        levels=len(words) + codes,
    )


def _notations(words: Sequence[str], usual: Notation) -> list[Notation]:
    """Notations that may fit these cells, the likeliest first."""
    joined = " ".join(words[:200])
    currency = tuple(c for c in _CURRENCIES if c in joined)
    percent = all(w.endswith("%") for w in words)
    found = []
    for decimal, thousands in ((".", ","), (",", "."), (",", ""), (".", ""), (",", " "), (".", " "),
                               (".", "'"), (",", "\u00a0")):  # fmt: skip
        found.append(
            replace(usual, decimal=decimal, thousands=thousands, currency=currency, percent=percent)
        )
    return found


def _number(values: Floats, notation: Notation, tokens: tuple[str, ...], missing: bool) -> Guess:
    values = values[~np.isnan(values)]
    whole = bool((values == np.floor(values)).all()) and bool((np.abs(values) < 2**53).all())
    special = _special(values)
    return Guess(
        "integer" if whole else "number", notation, tokens=tokens, missing=missing, special=special
    )


def _special(values: Floats) -> tuple[float, ...]:
    """Codes among amounts: negative ones where no other value is negative, and nines far above all
    others."""
    distinct, counts = np.unique(values, return_counts=True)
    negative = distinct[distinct < 0]
    special: list[float] = []
    apart = 0 < negative.shape[0] <= 6 and distinct.shape[0] - negative.shape[0] >= 8
    if apart and {*negative.tolist()} <= _NEGATIVE_CODES:
        special += negative.tolist()
    rest = distinct[distinct >= 0]
    top = [v for v in rest[-6:].tolist() if v == int(v) and _TOP_CODE.fullmatch(str(int(v)))]
    for count in range(len(top), 0, -1):
        codes = top[-count:]
        below = rest[rest < codes[0]]
        if below.shape[0] >= 8 and codes[0] >= 90 and codes[0] > 3 * below[-1]:
            special += codes
            break
    often = {float(v) for v, n in zip(distinct, counts, strict=True) if n >= 2}
    return tuple(sorted(v for v in special if v in often))
