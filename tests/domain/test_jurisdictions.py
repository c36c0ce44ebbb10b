"""The bounds of tariffs by jurisdiction: the shipped rules, and the tariffs that break them."""

from __future__ import annotations

import copy
import tomllib
from importlib import resources
from typing import Any

import pytest

from service.domain.errors import TermsUnusable
from service.domain.jurisdictions import jurisdictions_of, violations
from service.domain.segment_tariff import SegmentTariff
from service.domain.tariff import Tariff
from service.domain.tariff_document import read_tariff
from service.reference_data import jurisdictions

BASE = {"name": "t", "currency": "CNY", "buy_out_minor": 9_900,
        "cap": [{"window_minutes": 1_440, "most_minor": 3_000}]}  # fmt: skip
QUARTERS = {"interval_minutes": 15, "price_minor": 100}
HALF_HOURS = {"interval_minutes": 30, "price_minor": 150}
BEIJING = {"rounding": "COMPLETED", "first_use_minutes": 5, "segment": [QUARTERS]}
COMPANY = {"rounding": "STARTED", "free_minutes": 5, "segment": [HALF_HOURS]}
UNIT_15, UNIT_30 = "UNIT_AT_MOST_15_MINUTES", "UNIT_AT_MOST_30_MINUTES"
FIRST, INCOMPLETE = "FIRST_UNIT_FROM_5_MINUTES", "INCOMPLETE_UNITS_FREE"
FREE, CAP = "FREE_AT_LEAST_5_MINUTES", "CAP_SET"


def tariff(changes: dict[str, Any]) -> SegmentTariff:
    """A tariff for power banks with these keys."""
    return read_tariff({**BASE, **changes}).tariff


def broken(of: str, changes: dict[str, Any], category: str = "POWER_BANK") -> list[str]:
    """The names of the rules that a tariff breaks."""
    return [it.rule.name for it in violations(tariff(changes), category, jurisdictions()[of])]


def test_the_companys_tariff_breaks_three_rules_of_beijing() -> None:
    """The power-bank company's tariff is refused in Beijing by three rules, each with its key, both
    languages and its source; in Shenzhen it is allowed."""
    found = violations(tariff(COMPANY), "POWER_BANK", jurisdictions()["CN-BJ"])
    assert [(it.rule.name, it.field) for it in found] == [
        (UNIT_15, "segment[0].interval_minutes"),
        (FIRST, "first_use_minutes"),
        (INCOMPLETE, "rounding"),
    ]
    fault = found[0].violation()
    assert fault.field == "tariff.segment[0].interval_minutes"
    assert fault.rule == f"CN-BJ.{UNIT_15}"
    assert "at most 15 minutes" in fault.description
    assert "不得超过 15 分钟" in fault.description
    assert "北京市消费者协会" in fault.description
    assert broken("CN-SZ", COMPANY) == []


def test_a_tariff_of_arithmetic_1_is_checked_too() -> None:
    """The default power bank of a new operator breaks the same three rules of Beijing, and keeps
    those of Shenzhen."""
    company = Tariff(0, 5, 30, 150, 3_000, 9_900)
    found = violations(company, "POWER_BANK", jurisdictions()["CN-BJ"])
    assert [it.rule.name for it in found] == [UNIT_15, FIRST, INCOMPLETE]
    assert violations(company, "POWER_BANK", jurisdictions()["CN-SZ"]) == ()
    at_once = company._replace(free_minutes=4)
    found = violations(at_once, "POWER_BANK", jurisdictions()["CN-SZ"])
    assert [it.rule.name for it in found] == [FREE]


def test_beijings_own_tariff_is_allowed_there() -> None:
    """Complete quarters of an hour, the first due from 5 minutes on, keep Beijing's rules."""
    assert broken("CN-BJ", BEIJING) == []


def test_a_rule_applies_to_its_categories() -> None:
    """A convention on power banks does not bind bikes."""
    assert broken("CN-BJ", COMPANY, "BIKE") == []


@pytest.mark.parametrize(
    ("of", "changes", "names"),
    [
        ("CN-BJ", {**BEIJING, "cap": []}, [CAP]),
        ("CN-BJ", {**BEIJING, "first_use_minutes": 4}, [FIRST]),
        # Without a first use, a completed unit is charged at its end.
        ("CN-BJ", {**BEIJING, "first_use_minutes": 0}, []),
        ("CN-BJ", {**BEIJING, "start_fee_minor": 1, "first_use_minutes": 0}, [FIRST]),
        ("CN-BJ", {**BEIJING, "start_fee_minor": 1}, []),
        ("CN-BJ", {**BEIJING, "segment": [{**QUARTERS, "interval_minutes": 16}]}, [UNIT_15]),
        ("CN-BJ", {**BEIJING, "rounding": "STARTED"}, [INCOMPLETE]),
        # A rental that is charged once for a quarter has no second unit.
        ("CN-BJ", {"rounding": "STARTED", "first_use_minutes": 5,
                   "segment": [{**QUARTERS, "to_minute": 15}]}, []),
        ("CN-BJ", {"rounding": "STARTED", "free_minutes": 5, "free": "GRACE",
                   "segment": [{**QUARTERS, "to_minute": 15, "interval_minutes": 0}]}, []),
        # A segment that is charged once and does not end is a unit of any length.
        ("CN-BJ", {"rounding": "STARTED", "free_minutes": 5, "free": "GRACE",
                   "segment": [{**QUARTERS, "interval_minutes": 0}]}, [UNIT_15]),
        ("CN-BJ", {**BEIJING, "segment": [QUARTERS, {"from_minute": 60, "to_minute": 75,
                   "interval_minutes": 0, "price_minor": 5}]}, [INCOMPLETE]),
        # What costs nothing is no unit of charged time.
        ("CN-BJ", {**BEIJING, "segment": [QUARTERS, {"from_minute": 0, "interval_minutes": 60,
                   "price_minor": 0}]}, []),
        # The dearest hours count.
        ("CN-BJ", {"rounding": "STARTED", "time_zone": "Asia/Shanghai", "segment": [
            {"interval_minutes": 30, "price_minor": 0, "price": [
                {"from": "07:00", "to": "09:00", "price_minor": 100}]}]},
         [UNIT_15, FIRST, INCOMPLETE]),
        ("CN-SZ", {**COMPANY, "free_minutes": 4}, [FREE]),
        ("CN-SZ", {**COMPANY, "free": "GRACE"}, []),
        ("CN-SZ", {**COMPANY, "free": "GRACE", "free_minutes": 4}, [FREE]),
        ("CN-SZ", {**COMPANY, "start_fee_minor": 100}, [FREE]),
        ("CN-SZ", {**COMPANY, "segment": [{**HALF_HOURS, "interval_minutes": 31}]}, [UNIT_30]),
        # At exactly 5 minutes Beijing's first unit is due, and Shenzhen's 5 minutes are free.
        ("CN-SZ", BEIJING, [FREE]),
        ("CN-SZ", {**BEIJING, "first_use_minutes": 6}, []),
        ("CN-CD", {**COMPANY, "segment": [QUARTERS]}, []),
        ("CN-CD", COMPANY, [UNIT_15]),
    ],
)  # fmt: skip
def test_every_broken_rule_is_named(of: str, changes: dict[str, Any], names: list[str]) -> None:
    """A tariff breaks exactly these rules of a jurisdiction."""
    assert broken(of, changes) == names


def shipped() -> dict[str, Any]:
    """The shipped document."""
    text = resources.files("service").joinpath("data/jurisdictions.toml").read_text("utf-8")
    return tomllib.loads(text)


def test_the_shipped_rules_are_sound() -> None:
    """Every shipped rule has words in both languages, and its jurisdiction a source and a date."""
    found = jurisdictions()
    assert {"CN-BJ", "CN-SZ"} <= set(found)
    for it in found.values():
        assert str(it.in_force.year) in it.source
        for rule in it.rules:
            assert rule.en.isascii()
            assert any("\u4e00" <= sign <= "\u9fff" for sign in rule.zh)


@pytest.mark.parametrize(
    "damage",
    [
        {"id": "Beijing"},
        {"id": "CN-SZ"},
        {"source": ""},
        {"in_force": "2025"},
        {"rule": []},
        {"more": 1},
        {"rule": [{"check": "FREE"}]},
        {"rule": [{"check": "CAP_SET", "name": "CAP", "categories": ["X"], "zh": "封顶"}]},
        {"rule": [{"check": "CAP_SET", "name": "CAP", "categories": [], "zh": "顶", "en": "cap"}]},
        {"rule": [{"check": "FREE_AT_LEAST", "name": "F", "categories": ["X"], "zh": "免",
                   "en": "free", "minutes": 0}]},
        {"rule": [{"check": "CAP_SET", "name": "cap", "categories": ["X"], "zh": "顶",
                   "en": "cap"}]},
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(damage: dict[str, Any]) -> None:
    """A file with a wrong, missing or repeated value is unusable as a whole."""
    document = copy.deepcopy(shipped())
    assert jurisdictions_of(document) == jurisdictions()
    document["jurisdiction"][0].update(damage)
    with pytest.raises(TermsUnusable):
        jurisdictions_of(document)
