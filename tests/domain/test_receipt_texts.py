"""The words of a receipt's lines are those of every earlier build."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.receipt import ReceiptItem
from service.domain.receipt_texts import text_of

I = ReceiptItem  # noqa: E741
RELEASED = [
    ((I.FULL_DAYS, 1, 0), "1 个整日按日封顶价", "1 full day at the day cap"),
    ((I.FULL_DAYS, 2, 0), "2 个整日按日封顶价", "2 full days at the day cap"),
    ((I.START_FEE, 1, 0), "起步费", "Starting fee"),
    ((I.FREE_MINUTES, 1, 0), "免费时长 1 分钟", "1 free minute"),
    ((I.FREE_MINUTES, 5, 0), "免费时长 5 分钟", "5 free minutes"),
    ((I.PASS_MINUTES, 1, 0), "周期卡抵扣 1 分钟", "1 free minute of the pass"),
    ((I.PASS_MINUTES, 30, 0), "周期卡抵扣 30 分钟", "30 free minutes of the pass"),
    ((I.PASS_DISCOUNT, 1, 0), "周期卡折扣", "Discount of the pass"),
    ((I.QUOTA_MINUTES, 1, 0), "免费额度抵扣 1 分钟", "1 free minute of a quota"),
    ((I.QUOTA_MINUTES, 30, 0), "免费额度抵扣 30 分钟", "30 free minutes of a quota"),
    ((I.INTERVALS, 1, 1), "1 个计费单位每单位 1 分钟", "1 unit of 1 minute"),
    ((I.INTERVALS, 3, 30), "3 个计费单位每单位 30 分钟", "3 units of 30 minutes"),
    ((I.FIRST_UNIT, 1, 5), "首个计费单位（使用满 5 分钟起计费）",
     "First unit, due from 5 minutes of use on"),
    ((I.STARTED_UNITS, 2, 30), "2 个计费单位（每单位 30 分钟，不足一个单位按一个单位计）",
     "2 started units of 30 minutes"),
    ((I.STARTED_UNITS, 1, 1, 60),
     "1 个计费单位（每单位 1 分钟，不足一个单位按一个单位计），自第 60 分钟起",
     "1 started unit of 1 minute, from minute 60 on"),
    ((I.STARTED_UNITS, 1, 30, 0, "22:00-06:00"),
     "1 个计费单位（每单位 30 分钟，不足一个单位按一个单位计），22:00-06:00 时段价",
     "1 started unit of 30 minutes, at the price of 22:00-06:00"),
    ((I.STARTED_UNITS, 1, 60, 0, "MON,SUN 00:00-24:00"),
     "1 个计费单位（每单位 60 分钟，不足一个单位按一个单位计），周一、周日 00:00-24:00 时段价",
     "1 started unit of 60 minutes, at the price of Mon, Sun 00:00-24:00"),
    ((I.COMPLETED_UNITS, 2, 15), "2 个完整计费单位（每单位 15 分钟，不足一个单位不计费）",
     "2 complete units of 15 minutes"),
    ((I.ONE_TIME, 1, 0), "一次性收费", "One-time charge"),
    ((I.ONE_TIME, 1, 30, 30), "使用超过 30 分钟的一次性收费", "One-time charge after 30 minutes"),
    ((I.RESERVATION, 5, 1, 10), "预约 5 个计费单位（每单位 1 分钟），自第 10 分钟起",
     "Reservation, 5 units of 1 minute, from minute 10 on"),
    ((I.RESERVATION, 1, 15), "预约 1 个计费单位（每单位 15 分钟）",
     "Reservation, 1 unit of 15 minutes"),
    ((I.RESERVATION, 1, 0), "预约费", "Reservation"),
    ((I.RESERVATION, 1, 0, 10), "预约费（超过 10 分钟）", "Reservation of more than 10 minutes"),
    ((I.RESERVATION_CAP_REDUCTION, 1, 0), "预约费封顶减免",
     "Reduction to the cap of a reservation"),
    ((I.CANCELLATION_FEE, 1, 0), "取消预约费", "Cancellation fee"),
    ((I.DAY_CAP_REDUCTION, 1, 0), "单日封顶减免", "Reduction to the day cap"),
    ((I.CAP_REDUCTION, 1, 1_440), "每 24 小时封顶减免", "Reduction to the cap of each 24 hours"),
    ((I.CAP_REDUCTION, 1, 60), "每 1 小时封顶减免", "Reduction to the cap of each hour"),
    ((I.CAP_REDUCTION, 1, 90), "每 90 分钟封顶减免", "Reduction to the cap of each 90 minutes"),
    ((I.BUY_OUT_REDUCTION, 1, 0), "总封顶减免", "Reduction to the buy-out cap"),
    (
        (I.ORDER_FEE_REDUCTION, 1, 0),
        "减至下单时约定的费用",
        "Reduction to the fee agreed at the order",
    ),
    ((I.PAID_ELSEWHERE, 1, 0), "费用另行支付，此处不收取", "Fee paid elsewhere, not charged here"),
    ((I.PAUSED_MINUTES, 1, 0), "暂停计费 1 分钟", "1 paused minute"),
    ((I.PAUSED_MINUTES, 9, 0), "暂停计费 9 分钟", "9 paused minutes"),
    ((I.WAIVED, 1, 0), "费用减免", "Waived by the operator"),
    ((I.LOST_ITEM, 1, 0), "未归还物品买断价", "Item not returned, buy-out price"),
    ((I.NOT_COLLECTED, 1, 0), "超出授权额度未收取", "Above the hold, not collected"),
    ((I.DISCOUNT, 1, 0), "商家优惠", "Discount of the operator"),
    ((I.SURCHARGE, 1, 0), "商家加收", "Surcharge of the operator"),
    ((I.PLACE, 1, 0, 0, "", "airport"), "计价区域：airport", "Prices of the place airport"),
    ((I.OWED, 1, 0), "超出授权额度转为欠款", "Above the hold, owed as a debt"),
]  # fmt: skip
"""The arguments of `text_of`, and its words. A released row never changes."""


@pytest.mark.parametrize(("line", "zh", "en"), RELEASED)
def test_the_words_of_a_line_never_change(line: tuple[Any, ...], zh: str, en: str) -> None:
    """A line has the words that stored receipts have, because the verifier compares them."""
    assert text_of(*line) == (zh, en)


def test_every_kind_of_line_is_listed() -> None:
    """Every kind of line has its words in the list."""
    assert {line[0] for line, _, _ in RELEASED} == set(ReceiptItem)
