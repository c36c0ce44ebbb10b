"""Units that stand after the numbers of a raw file, such as `36 months`."""

from __future__ import annotations

import re
from collections.abc import Sequence

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


def one_unit(cells: Sequence[str]) -> list[str]:
    """The ways in which these cells write the unit that all of them have; empty where they have
    none, or several: 18 months and 2 years are no numbers of one column."""
    found = [_AFTER.fullmatch(cell) for cell in cells]
    written = sorted({unit[1] if unit else "" for unit in found})
    known = {unit.casefold() for unit in written}
    return written if any(known <= group for group in _GROUPS) else []
