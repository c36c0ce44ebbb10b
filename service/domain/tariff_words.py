"""A tariff in words, in Chinese and in English, as a user may be shown it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from service.domain.currencies import decimal_of
from service.domain.segment_tariff import (
    FreeMinutes,
    HourPrice,
    Pass,
    PassGift,
    QuotaPeriod,
    Reservation,
    Rounding,
    Segment,
    SegmentTariff,
)
from service.domain.tariff_document import DAY_MINUTES, EVERY_DAY, TariffDocument, clock


class Words(NamedTuple):
    """The same sentence in Chinese and in English."""

    zh: str
    en: str


def words_of(document: TariffDocument) -> Words:
    """The rules of a tariff, in the order in which a rental meets them; then those of its
    places."""
    told = [_sentence("", "", document.tariff, document.currency)]
    for place in document.places:
        name = place.tariff.place
        begin = f"{name} 计价区域：", f"at the stations of {name}: "
        told.append(_sentence(*begin, place.tariff, document.currency))
    return Words("".join(it.zh for it in told), " ".join(it.en for it in told))


def _sentence(zh: str, en: str, tariff: SegmentTariff, currency: str) -> Words:
    """The rules of a tariff after a beginning in both languages."""
    parts = list(_parts(tariff, currency))
    english = f"{en}{'; '.join(it.en for it in parts)}"
    return Words(
        f"{zh}{'；'.join(it.zh for it in parts)}。", f"{english[:1].upper()}{english[1:]}."
    )


def _parts(tariff: SegmentTariff, currency: str) -> Iterator[Words]:
    if tariff.reservation is not None:
        yield from _reservation(tariff.reservation, tariff.rounding, currency)
    if tariff.start_fee_minor:
        price = _money(tariff.start_fee_minor, currency)
        yield Words(f"起步费 {price.zh}", f"{price.en} to start")
    if tariff.free_minutes:
        yield _free(tariff)
    if tariff.first_use_minutes:
        minutes = tariff.first_use_minutes
        yield Words(
            f"第一个计费单位使用满 {minutes} 分钟后收费",
            f"the first unit is charged from {_many(minutes, 'full minute')} on",
        )
    for segment in tariff.segments:
        yield _segment(segment, tariff.rounding, currency)
    for cap in tariff.caps:
        most, window = _money(cap.most_minor, currency), length(cap.window_minutes)
        yield Words(f"每 {window.zh}封顶 {most.zh}", f"at most {most.en} in each {window.en}")
    for quota in tariff.quotas:
        day = quota.per is QuotaPeriod.DAY
        yield Words(
            f"每人{'每日' if day else '每周'}可免费使用 {quota.minutes} 分钟",
            f"each person has {_many(quota.minutes, 'free minute')} a {'day' if day else 'week'}",
        )
    for sold in tariff.passes:
        yield _pass(sold, currency)
    price = _money(tariff.buy_out_minor, currency)
    yield Words(
        f"总封顶 {price.zh}，届时未归还视为买断",
        f"at most {price.en} in all, and an item that is still out then counts as bought",
    )


def _pass(it: Pass, currency: str) -> Words:
    price, days = _money(it.price_minor, currency), _many(it.days, "day")
    minutes = _many(it.size, "free minute")
    match it.gives:
        case PassGift.MINUTES_A_RENTAL:
            gift = Words(f"每次租借免费 {it.size} 分钟", f"{minutes} for each rental")
        case PassGift.MINUTES_A_DAY:
            gift = Words(f"每日免费 {it.size} 分钟", f"{minutes} a day")
        case PassGift.PERCENT:
            gift = Words(f"租金减免 {it.size}%", f"{it.size} % off each fee")
    return Words(
        f"周期卡 {it.name}：{price.zh}，有效 {it.days} 天，{gift.zh}",
        f"the pass {it.name} costs {price.en} and gives {gift.en} for {days}",
    )


def _reservation(it: Reservation, rounding: Rounding, currency: str) -> Iterator[Words]:
    price = _priced(Segment(0, None, it.interval_minutes, it.price_minor), rounding, currency)
    free = Words("", "")
    if it.free_minutes:
        free = Words(
            f"前 {it.free_minutes} 分钟免费，之后", f" after {_many(it.free_minutes, 'minute')}"
        )
    yield Words(f"预约：{free.zh}{price.zh}", f"a reservation costs{free.en} {price.en}")
    if it.most_minor is not None:
        most = _money(it.most_minor, currency)
        yield Words(f"预约费封顶 {most.zh}", f"at most {most.en} for a reservation")


def _free(tariff: SegmentTariff) -> Words:
    minutes = tariff.free_minutes
    if tariff.free is FreeMinutes.DEDUCTED:
        return Words(f"前 {minutes} 分钟免费", f"the first {_many(minutes, 'minute')} are free")
    return Words(
        f"{minutes} 分钟内归还免费，超过后从开始时计费",
        f"a rental of up to {_many(minutes, 'minute')} is free, and a longer one is charged from"
        " its start",
    )


def _segment(it: Segment, rounding: Rounding, currency: str) -> Words:
    where = _range(it)
    price = _priced(it, rounding, currency)
    hours = [_hour(one, currency) for one in it.prices]
    zh = f"（{'，'.join(one.zh for one in hours)}）" if hours else ""
    en = f" ({', '.join(one.en for one in hours)})" if hours else ""
    return Words(f"{where.zh}{price.zh}{zh}", f"{where.en}{price.en}{en}")


def _range(it: Segment) -> Words:
    """The time in which a segment counts; empty for the whole rental."""
    hours = not (it.from_minute % 60 or (it.to_minute or 0) % 60) and (it.to_minute or 0) > 60
    if it.to_minute is None:
        if not it.from_minute:
            return Words("", "")
        after = length(it.from_minute)
        return Words(f"{after.zh}后", f"after {after.en}: ")
    zh, en, unit = ("小时", "hours", 60) if hours else ("分钟", "minutes", 1)
    begin, end = it.from_minute // unit, it.to_minute // unit
    return Words(f"第 {begin} 至 {end} {zh}", f"from {begin} to {end} {en}: ")


def _priced(it: Segment, rounding: Rounding, currency: str) -> Words:
    price = _money(it.price_minor, currency)
    if not it.interval_minutes:
        return Words(f"一次性收取 {price.zh}", f"{price.en} once")
    unit = length(it.interval_minutes)
    # One minute and one hour need no number.
    one = {1: Words("分钟", "minute"), 60: Words("小时", "hour")}.get(it.interval_minutes)
    each = one or Words(f" {unit.zh}", unit.en)
    if rounding is Rounding.COMPLETED:
        zh = f"每满{f' {unit.zh}' if one is None else f' 1 {one.zh}'} {price.zh}，不满不收费"
        return Words(zh, f"{price.en} for each complete {each.en}")
    less = f"{unit.zh}" if one is None else f"1 {one.zh}"
    return Words(
        f"每{each.zh} {price.zh}，不足 {less}按 {less}计",
        f"{price.en} for each started {each.en}",
    )


def _hour(it: HourPrice, currency: str) -> Words:
    price, to = _money(it.price_minor, currency), it.to_minute
    hours = f"{clock(it.from_minute)}-{clock(to if to <= DAY_MINUTES else to - DAY_MINUTES)}"
    if it.days == EVERY_DAY:
        return Words(f"{hours} {price.zh}", f"{price.en} at {hours}")
    zh = "、".join("周" + "一二三四五六日"[day - 1] for day in it.days)
    en = ", ".join(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day - 1] for day in it.days)
    return Words(f"{zh} {hours} {price.zh}", f"{price.en} on {en} {hours}")


def length(minutes: int) -> Words:
    """A length of time: in hours if they are several whole ones, or else in minutes."""
    if minutes % 60 == 0 and minutes > 60:
        return Words(f"{minutes // 60} 小时", f"{minutes // 60} hours")
    return Words(f"{minutes} 分钟", _many(minutes, "minute"))


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _money(amount_minor: int, currency: str) -> Words:
    amount = f"{decimal_of(amount_minor, currency):f}"
    return Words(f"{amount} {'元' if currency == 'CNY' else currency}", f"{currency} {amount}")
