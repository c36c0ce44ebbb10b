"""The words of a receipt's lines, in Chinese and in English.

Stored receipts have these words, and `freehold verify` writes each receipt again to compare it. So
words that were released never change; a better sentence needs a new kind of line.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from service.domain.fee_lines import FeeItem
from service.domain.receipt import ReceiptItem


class Text(NamedTuple):
    """The words of a line in Chinese and in English."""

    zh: str
    en: str


@lru_cache(maxsize=4096)
def text_of(
    item: FeeItem | ReceiptItem,
    quantity: int,
    minutes: int,
    from_minute: int = 0,
    times: str = "",
    place: str = "",
) -> Text:
    """The words of a line of this kind; amounts are no part of them.

    `minutes`, `from_minute`, `times` and `place` are those of a `FeeLine`. For INTERVALS,
    `minutes` is the length of the tariff's intervals.
    """
    many = "" if quantity == 1 else "s"
    match item:
        case ReceiptItem.PLACE:
            return Text(f"计价区域：{place}", f"Prices of the place {place}")
        case ReceiptItem.FULL_DAYS:
            return Text(f"{quantity} 个整日按日封顶价", f"{quantity} full day{many} at the day cap")
        case ReceiptItem.FREE_MINUTES:
            return Text(f"免费时长 {quantity} 分钟", f"{quantity} free minute{many}")
        case ReceiptItem.PASS_MINUTES:
            return Text(f"周期卡抵扣 {quantity} 分钟", f"{quantity} free minute{many} of the pass")
        case ReceiptItem.QUOTA_MINUTES:
            return Text(f"免费额度抵扣 {quantity} 分钟", f"{quantity} free minute{many} of a quota")
        case ReceiptItem.PAUSED_MINUTES:
            return Text(f"暂停计费 {quantity} 分钟", f"{quantity} paused minute{many}")
        case ReceiptItem.INTERVALS:
            return Text(
                f"{quantity} 个计费单位每单位 {minutes} 分钟",
                f"{quantity} unit{many} of {_minutes(minutes)}",
            )
        case ReceiptItem.RESERVATION:
            return _reservation(quantity, minutes, from_minute)
        case ReceiptItem.CAP_REDUCTION:
            zh, en = _window(minutes)
            return Text(f"每 {zh}封顶减免", f"Reduction to the cap of each {en}")
    text = _segment_text(item, quantity, minutes)
    return _TEXTS[ReceiptItem(item)] if text is None else _placed(item, text, from_minute, times)


def _reservation(quantity: int, minutes: int, from_minute: int) -> Text:
    """The words of the time before the pick-up; the free minutes come before its units."""
    if not minutes:
        after = Text(f"（超过 {from_minute} 分钟）", f" of more than {_minutes(from_minute)}")
        zh, en = after if from_minute else Text("", "")
        return Text(f"预约费{zh}", f"Reservation{en}")
    many = "" if quantity == 1 else "s"
    zh, en = f"预约 {quantity} 个计费单位（每单位 {minutes} 分钟）", f"{quantity} unit{many}"
    en = f"Reservation, {en} of {_minutes(minutes)}"
    if from_minute:
        return Text(f"{zh}，自第 {from_minute} 分钟起", f"{en}, from minute {from_minute} on")
    return Text(zh, en)


def _segment_text(item: FeeItem | ReceiptItem, quantity: int, minutes: int) -> Text | None:
    """The words of a segment's line without its place in time; None for another line."""
    many = "" if quantity == 1 else "s"
    match item:
        case ReceiptItem.FIRST_UNIT:
            return Text(
                f"首个计费单位（使用满 {minutes} 分钟起计费）",
                f"First unit, due from {_minutes(minutes)} of use on",
            )
        case ReceiptItem.STARTED_UNITS:
            return Text(
                f"{quantity} 个计费单位（每单位 {minutes} 分钟，不足一个单位按一个单位计）",
                f"{quantity} started unit{many} of {_minutes(minutes)}",
            )
        case ReceiptItem.COMPLETED_UNITS:
            return Text(
                f"{quantity} 个完整计费单位（每单位 {minutes} 分钟，不足一个单位不计费）",
                f"{quantity} complete unit{many} of {_minutes(minutes)}",
            )
        case ReceiptItem.ONE_TIME:
            if not minutes:
                return Text("一次性收费", "One-time charge")
            return Text(
                f"使用超过 {minutes} 分钟的一次性收费",
                f"One-time charge after {_minutes(minutes)}",
            )
    return None


def _placed(item: FeeItem | ReceiptItem, text: Text, from_minute: int, times: str) -> Text:
    """The words of a segment's line, with the segment's beginning and the times of its price."""
    zh, en = text
    if from_minute and item != ReceiptItem.ONE_TIME:
        zh, en = f"{zh}，自第 {from_minute} 分钟起", f"{en}, from minute {from_minute} on"
    if times:
        *days, hours = times.split(" ")
        names = days[0].split(",") if days else []
        chinese = "".join(f"{'、'.join(_DAYS[name].zh for name in names)} " if names else "")
        english = "".join(f"{', '.join(_DAYS[name].en for name in names)} " if names else "")
        zh, en = f"{zh}，{chinese}{hours} 时段价", f"{en}, at the price of {english}{hours}"
    return Text(zh, en)


def _minutes(minutes: int) -> str:
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def _window(minutes: int) -> Text:
    """The length of a cap's window, in hours if possible."""
    if minutes % 60:
        return Text(f"{minutes} 分钟", _minutes(minutes))
    hours = minutes // 60
    return Text(f"{hours} 小时", "hour" if hours == 1 else f"{hours} hours")


_DAYS = {
    "MON": Text("周一", "Mon"),
    "TUE": Text("周二", "Tue"),
    "WED": Text("周三", "Wed"),
    "THU": Text("周四", "Thu"),
    "FRI": Text("周五", "Fri"),
    "SAT": Text("周六", "Sat"),
    "SUN": Text("周日", "Sun"),
}
_TEXTS = {
    ReceiptItem.RESERVATION_CAP_REDUCTION: Text(
        "预约费封顶减免", "Reduction to the cap of a reservation"
    ),
    ReceiptItem.CANCELLATION_FEE: Text("取消预约费", "Cancellation fee"),
    ReceiptItem.START_FEE: Text("起步费", "Starting fee"),
    ReceiptItem.DAY_CAP_REDUCTION: Text("单日封顶减免", "Reduction to the day cap"),
    ReceiptItem.BUY_OUT_REDUCTION: Text("总封顶减免", "Reduction to the buy-out cap"),
    ReceiptItem.ORDER_FEE_REDUCTION: Text(
        "减至下单时约定的费用", "Reduction to the fee agreed at the order"
    ),
    ReceiptItem.PAID_ELSEWHERE: Text(
        "费用另行支付，此处不收取", "Fee paid elsewhere, not charged here"
    ),
    ReceiptItem.PASS_DISCOUNT: Text("周期卡折扣", "Discount of the pass"),
    ReceiptItem.WAIVED: Text("费用减免", "Waived by the operator"),
    ReceiptItem.LOST_ITEM: Text("未归还物品买断价", "Item not returned, buy-out price"),
    ReceiptItem.NOT_COLLECTED: Text("超出授权额度未收取", "Above the hold, not collected"),
    ReceiptItem.DISCOUNT: Text("商家优惠", "Discount of the operator"),
    ReceiptItem.SURCHARGE: Text("商家加收", "Surcharge of the operator"),
    ReceiptItem.OWED: Text("超出授权额度转为欠款", "Above the hold, owed as a debt"),
}
