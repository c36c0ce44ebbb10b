"""The columns of a table that nobody has described yet: guesses of their types and parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models import cells, guessed_dates, odd_cells, special_codes, units
from models.dataset import Floats
from models.guessed_dates import Dates
from models.spec import HouseRules
from models.spec_columns import Notation

# Texts that people write for "no value".
TOKENS = (
    "NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "null", "Null", "None", "none", ".", "?",
    "#N/A", "#NA", "#VALUE!", "#DIV/0!", "-", "--", "NONE", "nil", "missing", "Missing", "MISSING",
    "unknown", "(null)", "<NA>", "<null>", "NaT", "\\N", "..", "N.A.", "n.a.", "N/D", "n/d", "N/V",
    "s/d", "k.A.", "k. A.", "#REF!", "#NAME?", "#NUM!", "#NULL!", "#NV", "#N/D", "\u2013", "\u2014",
    "无", "空", "不详", "未知", "暂无",
)  # fmt: skip
# In a column of words these may be answers.
_WORDS = frozenset(
    (
        "None",
        "none",
        "NONE",
        "nil",
        "missing",
        "Missing",
        "MISSING",
        "unknown",
        "-",
        "--",
        "\u2013",
        "\u2014",
        "无",
        "不详",
        "未知",
        "暂无",
    )
)
# Whole numbers whose thousands a point marks, at most one in each. They may also be decimals with
# three places if they are so in the whole column, and in so many different cells.
_GROUPED = r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"
_FEWEST_GROUPED = 12
_BELOW_ONE = re.compile(r"(?<![0-9.,])0[.,][0-9]{3}$")
_MINUS = re.compile(r"\(.*\)|.*[0-9]\s*-|\u2212.*")
# Distinct cells that are no plain numbers are kept up to this number.
_KEPT = 20_000
# Plain numbers are kept as they are written, up to this number.
_WRITTEN = 3_000
# Beside a few other cells a column of numbers has at least so many different numbers.
_FEWEST_VALUES = 20
# Beside so many different numbers a few different words may stand in any share of the rows.
_WORD_CODES, _FEWEST_BESIDE_WORDS = 3, 100


@dataclass
class Points:
    """The possible meanings of points in a column of plain numbers.

    `possible` as long as each number may be written with points between thousands. `cells` are some
    that have a point; `round` says whether one of them ends with 0, and `short` whether a number
    has none.
    """

    possible: bool = True
    cells: set[str] = field(default_factory=set)
    round: bool = False
    short: bool = False

    def add(self, text: pl.Series, plain: NDArray[np.bool_], values: Floats) -> None:
        """Look at a block's plain numbers: the values of these cells of a text."""
        if not self.possible or not values.shape[0]:
            return
        if values.max() >= 1_000.0 or values.min() <= -1_000.0:
            self.possible = False
            return
        with_point = text.str.contains(".", literal=True) & pl.Series(plain)
        pointed = text.filter(with_point)
        self.short |= pointed.len() < values.shape[0]
        if not pointed.len():
            return
        if not pointed.str.contains(_GROUPED).all():
            self.possible = False
            return
        self.round |= bool(pointed.str.ends_with("0").any())
        if len(self.cells) < _FEWEST_GROUPED:
            self.cells |= {*pointed.unique().head(_FEWEST_GROUPED).to_list()}

    @property
    def thousands(self) -> bool | None:
        """Whether they mark thousands; None where nobody can tell.

        A writer of decimals gives all numbers three places, or leaves the last zeros out of each.
        """
        if not self.possible or len(self.cells) < _FEWEST_GROUPED:
            return False
        return True if self.round and self.short else None


@dataclass
class Digits:
    """Whether the plain numbers of a column are whole, equally wide, and some begin with 0."""

    possible: bool = True
    width: int = 0
    zeros: bool = False

    def add(self, plain: pl.Series) -> None:
        """Look at a block's plain numbers."""
        if not self.possible or not plain.len():
            return
        wide = plain.str.len_bytes()
        self.width = self.width or int(wide[0])
        self.possible = bool((wide == self.width).all()) and self.width > 1
        self.possible = self.possible and bool(plain.str.contains(r"^[0-9]+$").all())
        self.zeros |= bool(plain.str.starts_with("0").any())

    @property
    def codes(self) -> bool:
        """Whether nobody would write amounts so."""
        return self.possible and self.zeros


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
    points: Points = field(default_factory=lambda: Points())
    digits: Digits = field(default_factory=lambda: Digits())

    def add(self, text: pl.Series) -> None:
        """Count a block's cells."""
        read = cells.numbers(text, Notation(missing=()))
        self.rows += text.len()
        self.blank += int(read.missing.sum())
        plain = ~read.missing & ~read.wrong
        self.numbers.append(read.values[plain])
        whole = text.filter(pl.Series(plain)) if self.digits.possible else text.clear()
        self.digits.add(whole)
        if self.plain.len() < _WRITTEN:
            self.plain = pl.concat([self.plain, text.filter(pl.Series(plain)).head(_WRITTEN)])
        self.points.add(text, plain, self.numbers[-1])
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

    def values(self, notation: Notation) -> Floats:
        """The numbers of a column in this notation, those without decimals and marks first."""
        other = pl.Series([*self.other], dtype=pl.String)
        read = cells.numbers(other, notation).values
        counts = np.fromiter(self.other.values(), dtype=np.int64, count=len(self.other))
        written = np.repeat(read, counts)
        return np.concatenate((*self.numbers, written[~np.isnan(written)]))

    def forget(self) -> None:
        """Let go of the values, which take as much memory as the table."""
        self.numbers, self.hashes = [], []

    def distinct(self) -> int | None:
        """The number of different cells, if they are many; None if they are few."""
        return int(pl.concat(self.hashes).n_unique()) if self.many and self.hashes else None


@dataclass(frozen=True)
class Guess:
    """The guessed type of a column, and the way that it is written.

    `shared` is the share of a text's rows whose text a model can know: enough rows have it. `unit`
    stands after each number.
    """

    type: str
    notation: Notation
    format: str = "iso"
    tokens: tuple[str, ...] = ()
    missing: bool = False
    special: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    levels: int = 0
    shared: float = 1.0
    unit: str | None = None


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
        if dates := guessed_dates.of_numbers(values):
            return _dates(dates, profile, usual)
        number = _number(*_as_written(profile, usual, values), tokens, missing)
        return replace(number, notes=_doubts(profile, [], number.notation))
    text = pl.Series(words, dtype=pl.String)
    for notation in _notations(words, usual):
        read = cells.numbers(text, notation)
        plain = cells.numbers(profile.plain, notation)
        if not read.wrong.any() and not plain.wrong.any():
            every = np.concatenate((_beside(notation, values, plain.values), read.values))
            number = _number(every, notation, tokens, missing)
            return replace(number, notes=_doubts(profile, words, notation))
    if found := _with_unit(profile, words, usual, values):
        return found
    if found := _odd_number(profile, words, usual, values):
        return found
    if not profile.overflow and not values.any():
        found_texts = {word: profile.other[word] for word in words} | _zeros(profile, values)
        if dates := guessed_dates.of_texts(found_texts, profile.rows - profile.blank, usual):
            return _dates(dates, profile, usual)
    tokens = tuple(t for t in tokens if t not in _WORDS)
    codes, counts = np.unique(values, return_counts=True)
    return Guess(
        "text",
        replace(usual, missing=tokens),
        tokens=tokens,
        missing=bool(profile.blank or tokens),
        levels=len(words) + int(codes.shape[0]),
        shared=shared([*counts.tolist(), *(profile.other[w] for w in words)], profile.rows),
    )


def _dates(dates: Dates, profile: Profile, usual: Notation) -> Guess:
    """A column of dates; cells that stand for none count as missing."""
    tokens = (*usual.missing, *dates.tokens)
    return Guess(
        "date", replace(usual, missing=tokens), dates.form, tokens, bool(profile.blank or tokens),
        notes=dates.notes,
    )  # fmt: skip


def _zeros(profile: Profile, values: Floats) -> dict[str, int]:
    """The plain numbers of a column that has none but 0, as they are written."""
    counts = Counter(profile.plain.to_list())
    rest = values.shape[0] - counts.total()
    return {text: n + rest * (i == 0) for i, (text, n) in enumerate(counts.most_common())}


def _with_unit(
    profile: Profile, words: Sequence[str], usual: Notation, values: Floats
) -> Guess | None:
    """A column of numbers that each have the same unit, also written in several ways."""
    if profile.overflow or values.any():
        return None
    written = units.one_unit(words)
    if not written:
        return None
    text = pl.Series(words, dtype=pl.String)
    for notation in _notations(words, usual):
        currency = [c for c in notation.currency if not any(c in unit for unit in written)]
        known = replace(notation, currency=(*currency, *written))
        read = cells.numbers(text, known)
        if not read.wrong.any():
            unit = max(written, key=len)
            number = _number(np.concatenate((values, read.values)), known, usual.missing, False)
            note = f"each number has the unit {unit}, which a call leaves out"
            return replace(
                number, missing=bool(profile.blank or usual.missing), unit=unit, notes=(note,)
            )
    return None


def shared(counts: Sequence[int], rows: int) -> float:
    """The share of all rows that are in levels with enough rows, by the rows of each level."""
    house = HouseRules()
    enough = max(house.level_rows, house.level_share * rows)
    return sum(n for n in counts if n >= enough) / max(rows, 1)


def _odd_number(
    profile: Profile, words: Sequence[str], usual: Notation, values: Floats
) -> Guess | None:
    """A column of numbers but for a few cells, which count as missing; None for another column."""
    if profile.overflow:
        return None
    text = pl.Series(words, dtype=pl.String)
    _, first = _as_written(profile, usual, values)
    for notation in (first, *_notations(words, usual)):
        read = cells.numbers(text, notation)
        odd = [word for word, wrong in zip(words, read.wrong, strict=True) if wrong]
        plain = cells.numbers(profile.plain, notation)
        if plain.wrong.any():
            continue
        every = np.concatenate((_beside(notation, values, plain.values), read.values[~read.wrong]))
        known = np.unique(every).shape[0]
        codes = len(odd) <= _WORD_CODES and known >= _FEWEST_BESIDE_WORDS
        if codes or (
            known > _FEWEST_VALUES
            and odd_cells.few(odd, profile.other, profile.rows - profile.blank)
        ):
            tokens = (*usual.missing, *odd)
            found = _number(every, replace(notation, missing=tokens), tokens, missing=True)
            notes = _doubts(profile, [w for w in words if w not in odd], notation)
            return replace(found, notes=(odd_cells.note(odd, profile.other, "number"), *notes))
    return None


def _beside(notation: Notation, values: Floats, plain: Floats) -> Floats:
    """The plain numbers of a column in this notation: all `values`, or, where their points mark
    something else, the first ones as they are `plain` to it."""
    return values if notation.decimal == "." else plain


def _as_written(profile: Profile, usual: Notation, values: Floats) -> tuple[Floats, Notation]:
    """The values of a column of plain numbers, and their notation."""
    if not profile.points.thousands:
        return values, usual
    notation = replace(usual, decimal=",", thousands=".")
    return cells.numbers(profile.plain, notation).values, notation


def _doubts(profile: Profile, words: Sequence[str], notation: Notation) -> tuple[str, ...]:
    """A note where a mark in a column's numbers may be the other of the two that it could be."""
    if notation.thousands == "." and not words:
        return ("a point marks thousands: 1.500 is read as one thousand five hundred",)
    digits = "each number has three digits after its {}: if it marks {}, write {}"
    if notation.decimal == "." and not words and profile.points.thousands is None:
        return (digits.format("point", "thousands", 'decimal = "," and thousands = "."'),)
    one = re.compile(r"[+-]?[0-9]{1,3},[0-9]{3}")
    if notation.thousands == "," and not profile.plain.len() and all(map(one.fullmatch, words)):
        return (digits.format("comma", "decimals", 'decimal = "," and no thousands'),)
    return ()


def _notations(words: Sequence[str], usual: Notation) -> list[Notation]:
    """Notations that may fit these cells, the likeliest first."""
    joined = " ".join(words[:200])
    found = [c for c in units.CURRENCIES if c in joined]
    # Not the $ of R$, if it never stands alone.
    currency = tuple(
        c for c in found
        if joined.count(c) > sum(joined.count(d) for d in found if c != d and c in d)
    )  # fmt: skip
    percent = all(w.endswith(("%", "\uff05")) for w in words)
    accounting = any(map(_MINUS.fullmatch, words))
    # In 0,250 the mark is before decimals.
    decimals = {w[-4] for w in words if _BELOW_ONE.search(w)}
    notations = []
    for decimal, thousands in ((".", ","), (",", "."), (",", ""), (".", ""), (",", " "), (".", " "),
                               (".", "'"), (",", "\u00a0"), (",", "\u202f"), (".", "\u00a0"),
                               (".", "\u202f"), (",", "\u2009"), (".", "\u2019")):  # fmt: skip
        if thousands in decimals:
            continue
        notations.append(
            replace(
                usual,
                decimal=decimal,
                thousands=thousands,
                currency=currency,
                percent=percent,
                accounting=accounting,
            )
        )
    return notations


def _number(values: Floats, notation: Notation, tokens: tuple[str, ...], missing: bool) -> Guess:
    values = values[~np.isnan(values)]
    whole = bool((values == np.floor(values)).all()) and bool((np.abs(values) < 2**53).all())
    special = special_codes.find(values)
    return Guess(
        "integer" if whole else "number", notation, tokens=tokens, missing=missing, special=special
    )
