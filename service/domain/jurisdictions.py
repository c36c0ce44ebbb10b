"""The bounds that a jurisdiction sets to tariffs, and the rules that a tariff breaks.

The rules are data (`service/data/jurisdictions.toml`), with their sources. Each has a name, a kind
of check, the categories of products to which it applies, and its words in Chinese and English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple

from service.domain.errors import TermsUnusable, Violation
from service.domain.fee_lines import DAY_US, MINUTE_US
from service.domain.segment_tariff import Cap, FreeMinutes, Rounding, Segment, SegmentTariff
from service.domain.tariff import AnyTariff, Tariff, fee

NAME = re.compile("[A-Z][A-Z0-9_]{0,63}")
ID = re.compile("[A-Z]{2}(-[A-Z0-9]{1,3})?")


class Check(StrEnum):
    """The kind of a rule; the data file explains each."""

    UNIT_AT_MOST = "UNIT_AT_MOST"
    FIRST_UNIT_FROM = "FIRST_UNIT_FROM"
    FREE_AT_LEAST = "FREE_AT_LEAST"
    INCOMPLETE_UNITS_FREE = "INCOMPLETE_UNITS_FREE"
    CAP_SET = "CAP_SET"


OF_MINUTES = frozenset({Check.UNIT_AT_MOST, Check.FIRST_UNIT_FROM, Check.FREE_AT_LEAST})
"""The checks that need a number of minutes."""


class Rule(NamedTuple):
    """One rule; `minutes` is 0 for a check without minutes."""

    name: str
    check: Check
    minutes: int
    categories: tuple[str, ...]
    zh: str
    en: str


class Jurisdiction(NamedTuple):
    """A place with rules for tariffs, such as CN-BJ; its rules count from `in_force` on."""

    id: str
    zh: str
    en: str
    in_force: date
    source: str
    rules: tuple[Rule, ...]


class BrokenRule(NamedTuple):
    """A rule that a tariff breaks, and the key of the tariff's document that breaks it."""

    jurisdiction: Jurisdiction
    rule: Rule
    field: str

    def violation(self, path: str = "tariff") -> Violation:
        """The rule as a fault of a document, at the tariff's key below `path`."""
        rule, of = self.rule, self.jurisdiction
        text = f"breaks {rule.name} of {of.id}: {rule.en} ({rule.zh}). Source: {of.source}"
        return Violation(f"{path}.{self.field}", f"{of.id}.{rule.name}", text)


def violations(
    tariff: AnyTariff, category: str, jurisdiction: Jurisdiction
) -> tuple[BrokenRule, ...]:
    """Every rule of the jurisdiction that the tariff breaks for products of the category.

    The rules are in the order of the data file. Each names the key of the tariff's document that
    breaks it: for units, the first such segment. A tariff of arithmetic 1 is checked as the one of
    arithmetic 2 with the same first day; of that one are the keys.
    """
    if isinstance(tariff, Tariff):
        tariff = _of_first_day(tariff)
    dearest = _at_dearest_hours(tariff)
    broken = []
    for rule in jurisdiction.rules:
        field = _broken_field(rule, dearest) if category in rule.categories else None
        if field is not None:
            broken.append(BrokenRule(jurisdiction, rule, field))
    return tuple(broken)


def _of_first_day(it: Tariff) -> SegmentTariff:
    """The tariff of arithmetic 2 whose first day is that of a tariff of arithmetic 1."""
    return SegmentTariff(
        Rounding.STARTED,
        it.start_fee_minor,
        it.free_minutes,
        FreeMinutes.DEDUCTED,
        0,
        it.buy_out_minor,
        (Segment(0, None, it.interval_minutes, it.interval_price_minor),),
        (Cap(DAY_US // MINUTE_US, it.day_cap_minor),),
    )


def _at_dearest_hours(tariff: SegmentTariff) -> SegmentTariff:
    """The tariff, with the highest price of each segment at all times."""
    segments = tuple(
        it._replace(
            price_minor=max(it.price_minor, *(one.price_minor for one in it.prices), 0), prices=()
        )
        for it in tariff.segments
    )
    return tariff._replace(segments=segments)


def _broken_field(rule: Rule, tariff: SegmentTariff) -> str | None:
    """The key that breaks the rule; None if the tariff keeps it."""
    match rule.check:
        case Check.UNIT_AT_MOST:
            return _long_unit(tariff, rule.minutes)
        case Check.FIRST_UNIT_FROM:
            first_us = _first_unit_minute(tariff) * MINUTE_US
            charged = _costs(tariff, first_us + rule.minutes * MINUTE_US - 1)
            return "first_use_minutes" if charged else None
        case Check.FREE_AT_LEAST:
            return "free_minutes" if _costs(tariff, rule.minutes * MINUTE_US) else None
        case Check.INCOMPLETE_UNITS_FREE:
            return _incomplete_unit(tariff)
        case Check.CAP_SET:
            return None if tariff.caps else "cap"


def _costs(tariff: SegmentTariff, used_us: int) -> bool:
    return fee(tariff, 0, used_us).total_minor > 0


def _first_unit_minute(tariff: SegmentTariff) -> int:
    """The minute of use at which the first unit begins."""
    free = tariff.free_minutes if tariff.free is FreeMinutes.DEDUCTED else 0
    return free + min((it.from_minute for it in _charged(tariff)), default=0)


def _charged(tariff: SegmentTariff) -> list[Segment]:
    """The segments that cost something."""
    return [it for it in tariff.segments if it.price_minor]


def _long_unit(tariff: SegmentTariff, most_minutes: int) -> str | None:
    """The first segment with longer units. A segment that is charged once is one unit."""
    for place, it in enumerate(tariff.segments):
        if not it.price_minor:
            continue
        if it.interval_minutes > most_minutes:
            return f"segment[{place}].interval_minutes"
        whole = it.to_minute is not None and it.to_minute - it.from_minute <= most_minutes
        if not it.interval_minutes and not whole:
            return f"segment[{place}].interval_minutes"
    return None


def _incomplete_unit(tariff: SegmentTariff) -> str | None:
    """The key because of which a unit after the first one is charged before its end."""
    charged = _charged(tariff)
    if not charged:
        return None
    first_minute = min(it.from_minute for it in charged)
    if tariff.rounding is Rounding.STARTED:
        several = any(_has_second(it) or it.from_minute > first_minute for it in charged)
        return "rounding" if several else None
    for place, it in enumerate(tariff.segments):
        # A segment that is charged once is charged at its beginning.
        if it.price_minor and not it.interval_minutes and it.from_minute > first_minute:
            return f"segment[{place}].interval_minutes"
    return None


def _has_second(it: Segment) -> bool:
    second = it.from_minute + it.interval_minutes
    return bool(it.interval_minutes) and (it.to_minute is None or second < it.to_minute)


def jurisdictions_of(document: Mapping[str, Any]) -> dict[str, Jurisdiction]:
    """The jurisdictions of a parsed `jurisdictions.toml`, by their ids.

    Raises TermsUnusable for a missing, unknown or wrong key, and for a name that is there twice.
    """
    found: dict[str, Jurisdiction] = {}
    for place, entry in enumerate(document.get("jurisdiction", ())):
        where = f"jurisdictions.toml: jurisdiction[{place}]"
        _require(set(entry) == {*Jurisdiction._fields[:-1], "rule"}, where, "has wrong keys")
        _require(bool(ID.fullmatch(entry["id"])) and entry["id"] not in found, where, "its id")
        _require(isinstance(entry["in_force"], date), where, "in_force is not a date")
        _require(all(entry[name] for name in ("zh", "en", "source")), where, "lacks words")
        rules = tuple(
            _rule_of(one, f"{where}.rule[{number}]") for number, one in enumerate(entry["rule"])
        )
        names = {it.name for it in rules}
        _require(0 < len(rules) == len(names), where, "has no rules, or one twice")
        told = {**entry, "rules": rules}
        found[entry["id"]] = Jurisdiction(*(told[name] for name in Jurisdiction._fields))
    return found


def _rule_of(entry: Mapping[str, Any], where: str) -> Rule:
    check = str(entry.get("check"))
    _require(check in set(Check), where, f"check must be one of {', '.join(Check)}")
    needed = set(Rule._fields) - (set() if check in OF_MINUTES else {"minutes"})
    _require(set(entry) == needed, where, f"must have the keys {', '.join(sorted(needed))}")
    minutes = entry.get("minutes", 0)
    _require(check not in OF_MINUTES or 0 < minutes <= 1_440, where, "minutes is out of range")
    _require(bool(NAME.fullmatch(entry["name"])), where, "its name is malformed")
    _require(all(entry[name] for name in ("categories", "zh", "en")), where, "lacks words")
    return Rule(
        entry["name"], Check(check), minutes, tuple(entry["categories"]), entry["zh"], entry["en"]
    )


def _require(sound: bool, where: str, why: str) -> None:
    if not sound:
        raise TermsUnusable(f"{where}: {why}")
