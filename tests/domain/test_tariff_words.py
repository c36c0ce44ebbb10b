"""Tariffs in words, in Chinese and in English."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.tariff_document import read_tariff
from service.domain.tariff_words import words_of

BASE = {"name": "t", "currency": "CNY", "rounding": "STARTED", "buy_out_minor": 9_900}
END = ("总封顶 99.00 元，届时未归还视为买断。", (
    "at most CNY 99.00 in all, and an item that is still out then counts as bought."
))  # fmt: skip
HALF_HOURS = {"interval_minutes": 30, "price_minor": 150}


@pytest.mark.parametrize(
    ("changes", "zh", "en"),
    [
        (
            {"free_minutes": 5, "segment": [HALF_HOURS],
             "cap": [{"window_minutes": 1_440, "most_minor": 3_000}]},
            ("前 5 分钟免费；每 30 分钟 1.50 元，不足 30 分钟按 30 分钟计；"
             "每 24 小时封顶 30.00 元；"),
            ("The first 5 minutes are free; CNY 1.50 for each started 30 minutes;"
            " at most CNY 30.00 in each 24 hours; "),
        ),
        (
            {"rounding": "COMPLETED", "first_use_minutes": 5,
             "segment": [{"interval_minutes": 15, "price_minor": 100}]},
            "第一个计费单位使用满 5 分钟后收费；每满 15 分钟 1.00 元，不满不收费；",
            ("The first unit is charged from 5 full minutes on;"
            " CNY 1.00 for each complete 15 minutes; "),
        ),
        (
            {"free_minutes": 1, "free": "GRACE", "start_fee_minor": 100,
             "segment": [{"from_minute": 30, "interval_minutes": 1, "price_minor": 10}]},
            ("起步费 1.00 元；1 分钟内归还免费，超过后从开始时计费；"
            "30 分钟后每分钟 0.10 元，不足 1 分钟按 1 分钟计；"),
            ("CNY 1.00 to start; a rental of up to 1 minute is free, and a longer one is charged"
            " from its start; after 30 minutes: CNY 0.10 for each started minute; "),
        ),
        (
            {"segment": [{"from_minute": 30, "to_minute": 45, "interval_minutes": 15,
                          "price_minor": 50},
                         {"from_minute": 60, "to_minute": 2_880, "interval_minutes": 60,
                          "price_minor": 200},
                         {"from_minute": 2_880, "interval_minutes": 0, "price_minor": 900}]},
            ("第 30 至 45 分钟每 15 分钟 0.50 元，不足 15 分钟按 15 分钟计；"
            "第 1 至 48 小时每小时 2.00 元，不足 1 小时按 1 小时计；48 小时后一次性收取 9.00 元；"),
            ("From 30 to 45 minutes: CNY 0.50 for each started 15 minutes;"
            " from 1 to 48 hours: CNY 2.00 for each started hour; after 48 hours: CNY 9.00 once; "),
        ),
        (
            {"segment": [HALF_HOURS], "reservation": {
                "free_minutes": 10, "interval_minutes": 1, "price_minor": 20, "most_minor": 500}},
            ("预约：前 10 分钟免费，之后每分钟 0.20 元，不足 1 分钟按 1 分钟计；"
             "预约费封顶 5.00 元；每 30 分钟 1.50 元，不足 30 分钟按 30 分钟计；"),
            ("A reservation costs after 10 minutes CNY 0.20 for each started minute;"
             " at most CNY 5.00 for a reservation; CNY 1.50 for each started 30 minutes; "),
        ),
        (
            {"segment": [], "reservation": {"interval_minutes": 0, "price_minor": 150}},
            "预约：一次性收取 1.50 元；",
            "A reservation costs CNY 1.50 once; ",
        ),
        (
            {"time_zone": "Asia/Shanghai", "segment": [{**HALF_HOURS, "price": [
                {"days": ["SAT", "SUN"], "from": "22:00", "to": "06:00", "price_minor": 100}]}],
             "quota": [{"name": "q", "minutes": 30, "per": "DAY"}],
             "pass": [{"name": "p", "price_minor": 990, "days": 7, "minutes": 20},
                      {"name": "s", "price_minor": 500, "days": 1, "percent": 30}]},
            ("每 30 分钟 1.50 元，不足 30 分钟按 30 分钟计（周六、周日 22:00-06:00 1.00 元）；"
            "每人每日可免费使用 30 分钟；周期卡 p：9.90 元，有效 7 天，每次租借免费 20 分钟；"
            "周期卡 s：5.00 元，有效 1 天，租金减免 30%；"),
            ("CNY 1.50 for each started 30 minutes (CNY 1.00 on Sat, Sun 22:00-06:00);"
            " each person has 30 free minutes a day;"
            " the pass p costs CNY 9.90 and gives 20 free minutes for each rental for 7 days;"
            " the pass s costs CNY 5.00 and gives 30 % off each fee for 1 day; "),
        ),
    ],
)  # fmt: skip
def test_a_tariff_is_told_in_words(changes: dict[str, Any], zh: str, en: str) -> None:
    """A tariff's rules are told in the order in which a rental meets them, in both languages."""
    words = words_of(read_tariff({**BASE, **changes}))
    assert words == (zh + END[0], en + END[1])


def test_amounts_have_the_decimals_of_their_currency() -> None:
    """130 yen have no decimals, and other currencies than the yuan are named by their code."""
    it = read_tariff({**BASE, "currency": "JPY", "segment": [HALF_HOURS]})
    assert words_of(it).zh.startswith("每 30 分钟 150 JPY，")
    assert words_of(it).en.startswith("JPY 150 for each started 30 minutes;")


def test_each_place_has_a_sentence() -> None:
    """The prices of places are told after those of all other stations."""
    places = [{"name": "airport", "stations": ["t-1"], "start_fee_minor": 500}]
    usual = words_of(read_tariff({**BASE, "segment": [HALF_HOURS]}))
    words = words_of(read_tariff({**BASE, "segment": [HALF_HOURS], "place": places}))
    assert words.zh == f"{usual.zh}airport 计价区域：起步费 5.00 元；{usual.zh}"
    rest = f"{usual.en[:1]}{usual.en[1:]}"
    assert words.en == f"{usual.en} At the stations of airport: CNY 5.00 to start; {rest}"
