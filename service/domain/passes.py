"""Passes of a person: their time, and their gift to a rental.

A person has at most one pass for a product at any instant, so a rental has at most one. It is the
one that counts at the start of the rental. Its gift is fixed when the rental is settled, as the
minutes of a quota are: it never raises a fee, and comes back when nothing of the charge is left. A
pass may be refunded while no rental has used it.

A pass that a person buys is a debt without a hold (`debts.py`), whose parent is the pass: Freehold
owes the operator what the person pays for it, less the commission.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from service.domain.errors import IllegalState, InvalidInput
from service.domain.fee_lines import DAY_US, Fee, FeeItem, line
from service.domain.time_zones import time_zone

MOST_AHEAD_US = 366 * DAY_US
"""The longest time until a pass begins."""
MOST_BEHIND_US = 31 * DAY_US
"""The longest time since the beginning of a pass that the operator sold elsewhere."""


class Times(Protocol):
    """A pass with the product that it is for, its time, and its refund; None means none."""

    @property
    def product_id(self) -> str: ...
    @property
    def from_us(self) -> int: ...
    @property
    def until_us(self) -> int: ...
    @property
    def refund_us(self) -> int | None: ...


class Span(NamedTuple):
    """The time of a pass, in microseconds since the epoch; `until_us` is the end."""

    from_us: int
    until_us: int


def span_of(days: int, zone: str, from_us: int) -> Span:
    """The time of a pass of so many days: until the same time of day in the tariff's time zone.

    If a change of clocks leaves that time out, the pass ends that much later.
    """
    place = time_zone(zone)
    seconds, rest_us = divmod(from_us, 1_000_000)
    wall = datetime.fromtimestamp(seconds, place).replace(tzinfo=None, fold=0)
    until = (wall + timedelta(days=days)).replace(tzinfo=place)
    return Span(from_us, int(until.timestamp()) * 1_000_000 + rest_us)


def require_beginning(from_us: int, now_us: int) -> None:
    """Raises InvalidInput for a beginning that lies too far from now."""
    if not now_us - MOST_BEHIND_US <= from_us <= now_us + MOST_AHEAD_US:
        text = "must lie at most 31 days before now, and at most 366 days after it"
        raise InvalidInput.of("start_time", "start_time.range", text)


def counts_at(it: Times, product_id: str, at_us: int) -> bool:
    """True if a pass counts for a rental of the product that begins at an instant."""
    return (
        it.product_id == product_id and it.refund_us is None and it.from_us <= at_us < it.until_us
    )


def require_alone(held: Iterable[Times], product_id: str, span: Span) -> None:
    """Raises IllegalState if the person has a pass for the product at an instant of the span."""
    for it in held:
        apart = it.until_us <= span.from_us or span.until_us <= it.from_us
        if it.product_id == product_id and it.refund_us is None and not apart:
            raise IllegalState(
                "PASS_HELD",
                "the person has a pass for this product in that time: let the new one begin when"
                " the other has ended",
                "",
            )


def require_unused(uses: int, refund_us: int | None) -> None:
    """Raises IllegalState for a pass that was refunded, or that a rental has used."""
    if refund_us is not None:
        raise IllegalState("PASS_REFUNDED", "the pass was refunded before", "")
    if uses:
        raise IllegalState(
            "PASS_USED",
            "a rental has used the pass; lower or refund its charge, or give the rental's fee back",
            "",
        )


def discounted(it: Fee, percent: int, waived_minor: int, order_fee_minor: int | None = None) -> Fee:
    """A fee less the share of a pass, which is rounded up, and less at most the waived amount.

    A share that leaves no less than the fee of the order takes nothing off.
    """
    off_minor = -(-it.total_minor * percent // 100)
    if order_fee_minor is not None and it.total_minor - off_minor >= order_fee_minor:
        off_minor = 0
    left_minor = it.total_minor - off_minor
    waived_minor = min(waived_minor, left_minor)
    lines = list(it.lines)
    if off_minor:
        paused = [one.item for one in lines].count(FeeItem.PAUSED_MINUTES)
        lines.insert(len(lines) - paused, line(FeeItem.PASS_DISCOUNT, 1, -off_minor))
    if waived_minor:
        lines.append(line(FeeItem.WAIVED, 1, -waived_minor))
    return Fee(tuple(lines), left_minor - waived_minor)


def with_pass_minutes(it: Fee, minutes: int) -> Fee:
    """A fee whose first free minutes, at most so many, are told as those of a pass."""
    lines = []
    for one in it.lines:
        if one.item is not FeeItem.QUOTA_MINUTES:
            lines.append(one)
            continue
        of_pass = min(minutes, one.quantity)
        lines.append(line(FeeItem.PASS_MINUTES, of_pass, 0))
        if one.quantity > of_pass:
            lines.append(line(FeeItem.QUOTA_MINUTES, one.quantity - of_pass, 0))
    return Fee(tuple(lines), it.total_minor)
