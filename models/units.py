"""Units and currencies that stand beside the numbers of a raw file, such as `36 months`."""

from __future__ import annotations

import re
from collections.abc import Sequence

CURRENCIES = (
    "$", "€", "£", "¥", "￥", "元", "₹", "₩", "₽", "₺", "₫", "฿", "₴", "₦", "₱", "US$", "R$", "C$",
    "A$", "S$", "HK$", "NT$", "kr", "zł", "Kč", "Ft", "Rs", "Rs.", "USD", "EUR", "GBP", "CNY",
    "RMB", "JPY", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RUB", "TRY", "INR", "BRL",
    "MXN", "ZAR", "AUD", "CAD", "NZD", "HKD", "SGD", "TWD", "KRW", "THB", "MYR", "IDR", "PHP",
    "VND", "KES", "NGN", "/-",
)  # fmt: skip
# Those of one group mean the same.
_GROUPS = (
    {"month", "months", "mo", "mos", "mth", "mths", "mon"}, {"year", "years", "yr", "yrs", "y"},
    {"day", "days", "d"}, {"week", "weeks"}, {"hour", "hours", "h", "hrs"}, {"times"}, {"x"},
    {"monat", "monate", "monaten"}, {"jahr", "jahre", "jahren"}, {"tag", "tage", "tagen"},
    {"an", "ans"}, {"mois"}, {"jour", "jours"}, {"mês", "mes", "meses"},
    {"ano", "anos"}, {"año", "años"}, {"dia", "dias"}, {"día", "días"},
    {"k"}, {"m", "mm", "mn", "mio", "mio."}, {"tsd", "tsd."}, {"bn", "mrd", "mrd."},
    {"lakh", "lakhs"}, {"cr", "crore"}, {"bp", "bps"},
    {"percent", "per cent", "pct"}, {"pcs", "pc"}, {"pts", "points"}, {"km"},
    {"m²", "m2", "qm", "sqm"}, {"岁"}, {"歳"}, {"세"}, {"个月", "月"}, {"ヶ月", "か月"}, {"개월"},
    {"年"}, {"天", "日"}, {"期"}, {"次"}, {"人"}, {"명"}, {"笔"}, {"分"}, {"万"}, {"万元"},
    {"千元"}, {"百万"}, {"百万元"}, {"亿元"}, {"万円"}, {"円"}, {"원"}, {"만원"},
)  # fmt: skip
_AFTER = re.compile(r"[^0-9]*[0-9](?:[0-9., \u00a0\u202f']*[0-9.])?\s*([^\s0-9.,].*)")

_MARKS = "|".join(
    map(
        re.escape, sorted({*CURRENCIES, *frozenset().union(*_GROUPS), "%", "\uff05"}, key=len)[::-1]
    )
)
# Not the address of a computer, which has four numbers up to 255.
_NUMBER = re.compile(
    r"(?!(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?:\.|$)){4})"
    rf"\(?[+-]?(?:(?:{_MARKS})\s*)?\(?[+-]?"
    r"(?:[0-9]{1,3}(?:[,.' \u00a0\u202f][0-9]{2,3})*[,.' \u00a0\u202f][0-9]{3}|[0-9]+)"
    rf"(?:[.,][0-9]+)?\)?\s*(?:{_MARKS})?[)-]?",
    re.I,
)


def is_number(cell: str) -> bool:
    """Whether a cell is a number in one of the notations that are known: with separators, a unit, a
    currency or a sign of percent."""
    return _NUMBER.fullmatch(cell) is not None


def one_unit(cells: Sequence[str]) -> list[str]:
    """The ways in which these cells write the unit that all of them have; empty where they have
    none, or several: 18 months and 2 years are no numbers of one column."""
    found = [_AFTER.fullmatch(cell) for cell in cells]
    written = sorted({unit[1] if unit else "" for unit in found})
    known = {unit.casefold() for unit in written}
    return written if any(known <= group for group in _GROUPS) else []
