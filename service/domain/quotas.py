"""Quotas of free minutes: so many a day or a week for each person, over all rentals of an operator.

A rental draws on the person's pass (`passes.py`), and then on the quotas of its tariff, in the
tariff's order, in the periods in which it began. A day begins at midnight and a week on Monday, in
the tariff's time zone. A rental uses the fewest full minutes with the least fee (`least_fee.py`).
They are used up when the rental is settled by its usage. A loss uses none, because its price is no
fee.

The texts of tariffs do not say when minutes come back, so the reading that is cheaper for the user
counts. They come back when nothing of the charge is left, because the operator charged nothing or
gave all of it back. A correction of the charge never takes more minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import NamedTuple

from service.domain.fee_lines import FeeItem
from service.domain.passes import Span
from service.domain.receipt import Receipt
from service.domain.segment_tariff import PassGift, Quota, QuotaPeriod, SegmentTariff
from service.domain.tariff import AnyTariff
from service.domain.time_zones import time_zone


class Pool(NamedTuple):
    """A quota in the period of a rental: its name, its kind of period, the period's beginning in
    microseconds since the epoch, and the minutes that the rental's tariff gives.

    The pool of a pass has the pass's id as its name, and the pass's gift as `per`. `percent` is the
    share of the fee that it takes off.
    """

    name: str
    per: QuotaPeriod | PassGift
    period_us: int
    most_minutes: int
    percent: int = 0

    @property
    def counted(self) -> bool:
        """True if several rentals share the minutes of the pool."""
        return self.per not in (PassGift.MINUTES_A_RENTAL, PassGift.PERCENT)


def pools_of(tariff: AnyTariff, start_us: int) -> tuple[Pool, ...]:
    """The quotas of a rental that began at `start_us`; a tariff of arithmetic 1 has none."""
    if not isinstance(tariff, SegmentTariff):
        return ()
    return tuple(
        Pool(it.name, it.per, period_us(it, tariff.time_zone, start_us), it.minutes)
        for it in tariff.quotas
    )


def period_us(quota: Quota, zone: str, at_us: int) -> int:
    """The beginning of the quota's period around an instant, in microseconds since the epoch."""
    return _beginning_us(zone, at_us, weekly=quota.per is QuotaPeriod.WEEK)


def _beginning_us(zone: str, at_us: int, *, weekly: bool) -> int:
    """The beginning of the day or the week around an instant.

    If a change of clocks leaves midnight out, the day begins with the first instant after it.
    """
    place = time_zone(zone)
    day = datetime.fromtimestamp(at_us // 1_000_000, place).date()
    if weekly:
        day -= timedelta(days=day.weekday())
    return int(datetime.combine(day, time(), place).timestamp()) * 1_000_000


def pool_of_pass(pass_id: str, gives: PassGift, size: int, zone: str, it: Span, at_us: int) -> Pool:
    """The pool of a pass for a rental that begins at an instant within the pass's time."""
    if gives is PassGift.PERCENT:
        return Pool(pass_id, gives, it.from_us, 0, size)
    by_day = gives is PassGift.MINUTES_A_DAY
    begin_us = _beginning_us(zone, at_us, weekly=False) if by_day else it.from_us
    return Pool(pass_id, gives, begin_us, size)


def used_minutes(receipt: Receipt) -> int:
    """The minutes of quotas and of a pass that the fee of a receipt used."""
    free = (FeeItem.QUOTA_MINUTES, FeeItem.PASS_MINUTES)
    return sum(it.quantity for it in receipt.lines if it.item in free)


def is_discounted(receipt: Receipt) -> bool:
    """Whether a pass took a share off the fee of a receipt."""
    return any(it.item == FeeItem.PASS_DISCOUNT for it in receipt.lines)


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
