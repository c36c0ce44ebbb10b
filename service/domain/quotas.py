"""Quotas of free minutes: so many a day or a week for each person, over all rentals of an operator.

A rental draws on the quotas of its tariff, in the tariff's order, in the periods in which it
began. A day begins at midnight and a week on Monday, in the tariff's time zone. A rental uses full
minutes, and no more of them than lower its fee. The minutes are used up when the rental is settled
by its usage. A loss uses none, because its price is no fee.

The texts of tariffs do not say when minutes come back, so the reading that is cheaper for the user
counts. They come back when nothing of the charge is left, because the operator charged nothing or
gave all of it back. A correction of the charge never takes more minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import NamedTuple

from service.domain.fee_lines import FeeItem
from service.domain.receipt import Receipt
from service.domain.segment_tariff import Quota, QuotaPeriod, SegmentTariff
from service.domain.tariff import AnyTariff
from service.domain.time_zones import time_zone


class Pool(NamedTuple):
    """A quota in the period of a rental: its name, its kind of period, the period's beginning in
    microseconds since the epoch, and the minutes that the rental's tariff gives."""

    name: str
    per: QuotaPeriod
    period_us: int
    most_minutes: int


def pools_of(tariff: AnyTariff, start_us: int) -> tuple[Pool, ...]:
    """The quotas of a rental that began at `start_us`; a tariff of arithmetic 1 has none."""
    if not isinstance(tariff, SegmentTariff):
        return ()
    return tuple(
        Pool(it.name, it.per, period_us(it, tariff.time_zone, start_us), it.minutes)
        for it in tariff.quotas
    )


def period_us(quota: Quota, zone: str, at_us: int) -> int:
    """The beginning of the quota's period around an instant, in microseconds since the epoch.

    If a change of clocks leaves midnight out, the day begins with the first instant after it.
    """
    place = time_zone(zone)
    day = datetime.fromtimestamp(at_us // 1_000_000, place).date()
    if quota.per is QuotaPeriod.WEEK:
        day -= timedelta(days=day.weekday())
    return int(datetime.combine(day, time(), place).timestamp()) * 1_000_000


def used_minutes(receipt: Receipt) -> int:
    """The minutes of quotas that the fee of a receipt used."""
    return sum(it.quantity for it in receipt.lines if it.item == FeeItem.QUOTA_MINUTES)


def charges_nothing(receipt: Receipt) -> bool:
    """Whether the operator charged nothing, although a fee was left after the quotas."""
    charged_minor = receipt.total_minor + receipt.debt_minor
    return not charged_minor and any(it.amount_minor for it in receipt.lines)


def divided(minutes: int, left: Sequence[int]) -> list[int]:
    """The minutes that each pool gives, in the order of the pools, which have `left` minutes."""
    parts = []
    for each in left:
        part = min(minutes, each)
        minutes -= part
        parts.append(part)
    return parts
