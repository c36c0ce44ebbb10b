"""Cells of trimmed text as numbers, dates and texts.

Each function gives the values, and masks of the cells without a value and of those that are not
what the column holds. Only ASCII digits are digits, and `1_000` is no number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from models.spec_columns import ISO, Notation

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DAY = 86_400
# A year outside is a misread one, such as the year 4 of 01/02/04 read as %d/%m/%Y.
_FIRST_YEAR, _LAST_YEAR = 1800, 2200
_NUMBER = r"^[+-]?(?:[0-9]+{grouped})(?:{decimal}[0-9]*)?(?:[eE][+-]?[0-9]+)?$"
_MISSING_DAY = {"%Y": "-01-01", "%Y-%m": "-01"}


class Cells(NamedTuple):
    """Values of (n,) cells, NaN where there is none; `missing` and `wrong` cells."""

    values: Floats
    missing: Bools
    wrong: Bools


def missing(text: pl.Series, notation: Notation) -> Bools:
    """The cells without a value: blanks, and the declared texts, in any Unicode form."""
    if not all(map(str.isascii, notation.missing)):
        text = text.str.normalize("NFC")
    return np.asarray(text.is_in(["", *notation.missing]).to_numpy(), dtype=np.bool_)


def numbers(text: pl.Series, notation: Notation) -> Cells:
    """Numbers as their notation writes them."""
    lacking = missing(text, notation)
    if not notation.plain:
        text = _plain(text, notation)
    values = np.array(text.cast(pl.Float64, strict=False).to_numpy(), dtype=np.float64)
    wrong: Bools = ~lacking & ~np.isfinite(values)
    values[lacking | wrong] = np.nan
    return Cells(values / 100.0 if notation.percent else values, lacking, wrong)


def _plain(text: pl.Series, notation: Notation) -> pl.Series:
    """The numbers as a program writes them; a cell that is no number becomes blank."""
    if notation.accounting:
        text = text.str.replace("\u2212", "-", literal=True)
        text = text.str.replace(r"^([^+-].*?)\s*-$", "-${1}")
    if notation.accounting or notation.currency:
        text = text.str.replace(r"^\((.*)\)$", "-${1}")
    if notation.currency:
        sign = "|".join(re.escape(c) for c in sorted(notation.currency, key=len, reverse=True))
        text = text.str.replace(rf"^((?:{sign})\s*)\((.*)\)$", "-${1}${2}")
        text = text.str.replace(rf"^([+-]?)\s*(?:{sign})\s*", "${1}")
        text = text.str.replace(rf"\s*(?:{sign})$", "")
    if notation.percent:
        percent = text.str.contains(r"[%\uff05]$")
        text = text.str.replace(r"\s*[%\uff05]$", "").set(~percent, "")
    grouped = ""
    if notation.thousands:
        mark = re.escape(notation.thousands)
        # Groups of three, or of two before the last three, as in India.
        grouped = (
            rf"|[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|[0-9]{{1,2}}(?:{mark}[0-9]{{2}})+{mark}[0-9]{{3}}"
        )
    decimal = re.escape(notation.decimal)
    pattern = _NUMBER.format(grouped=grouped, decimal=decimal)
    text = text.set(~text.str.contains(pattern + f"|^[+-]?{decimal}[0-9]+$"), "")
    if notation.thousands:
        text = text.str.replace_all(notation.thousands, "", literal=True)
    return text.str.replace(notation.decimal, ".", literal=True)


def seconds(text: pl.Series, form: str, notation: Notation) -> Cells:
    """Dates in seconds since 1970. A 29 February that its century does not have is wrong."""
    lacking = missing(text, notation)
    if form == ISO:
        text = _iso(text)
        form = "%Y-%m-%d %H:%M:%S"
    else:
        day = ("%d", "1"), ("%m", "1"), ("%H", "0"), ("%M", "0")
        present = form
        for directive, value in day:
            month = directive == "%m" and ("%b" in form or "%B" in form)
            hour = directive == "%H" and "%I" in form
            if directive not in form and not month and not hour:
                text, present = text + f" {value}", f"{present} {directive}"
        form = present
    try:
        moments = text.str.strptime(pl.Datetime("us"), form, strict=False, exact=True)
    except PolarsError:
        moments = pl.Series([None] * text.len(), dtype=pl.Datetime("us"))
    if "%y" in form:
        moments = _in_century(moments, notation.last_year)
    year = moments.dt.year()
    moments = moments.set((year < _FIRST_YEAR) | (year > _LAST_YEAR), None)
    values = np.array(moments.dt.epoch("s").cast(pl.Float64).to_numpy(), dtype=np.float64)
    wrong: Bools = ~lacking & np.isnan(values)
    values[lacking] = np.nan
    return Cells(values, lacking, wrong)


def _in_century(moments: pl.Series, last_year: int) -> pl.Series:
    """The same dates in the hundred years that end with this one."""
    year = moments.dt.year()
    wanted = last_year - (last_year - year) % 100
    if (wanted == year).all():
        return moments
    # Among whole hundreds of years only leap days may be lost.
    leap = (wanted % 4 == 0) & ((wanted % 100 != 0) | (wanted % 400 == 0))
    lost = (moments.dt.month() == 2) & (moments.dt.day() == 29) & ~leap
    return moments.set(lost, None).dt.replace(year=wanted)


def days(text: pl.Series, form: str, notation: Notation) -> Cells:
    """Dates in days since 1970; a time of day does not count."""
    read = seconds(text, form, notation)
    return Cells(np.floor(read.values / DAY), read.missing, read.wrong)


def _iso(text: pl.Series) -> pl.Series:
    """Years, months, days and instants as `2026-11-29 10:00:00`; anything else stays as it is.

    Dates are those of the clock that wrote them, so the zone of an instant does not count.
    """
    text = text.str.replace(r"^([0-9]{4})$", "${1}-01-01")
    text = text.str.replace(r"^([0-9]{4}-[0-9]{2})$", "${1}-01")
    text = text.str.replace(r"^([0-9]{4}-[0-9]{2}-[0-9]{2})$", "${1} 00:00:00")
    text = text.str.replace(
        r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:\.[0-9]+)?"
        r" ?(?:Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?$",
        "${1} ${2}${3}",
    )
    return text.str.replace(r"^(.{10} [0-9]{2}:[0-9]{2})$", "${1}:00")


def texts(text: pl.Series, notation: Notation) -> tuple[pl.Series, Bools]:
    """Texts in one Unicode form, and the cells without a value."""
    return text.str.normalize("NFC"), missing(text, notation)
