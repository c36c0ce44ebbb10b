"""The passes in the document of a tariff: the list `pass` (`tariff_document.py` has its keys)."""

from __future__ import annotations

from typing import Any

from service.domain.document_fields import NAME, Fields
from service.domain.segment_tariff import Pass, PassGift

DAY_MINUTES = 24 * 60
MOST_PASSES = 5
MOST_DAYS = 366
MOST_PRICE_MINOR = 10**9
"""The highest price, as that of a unit."""
MOST_PERCENT = 99
"""The largest share of a fee that a pass takes off; minutes make whole rentals free."""
PERIODS = {"RENTAL": PassGift.MINUTES_A_RENTAL, "DAY": PassGift.MINUTES_A_DAY}
"""The gifts of minutes, by the `per` of a pass."""


def read_passes(it: Fields) -> tuple[Pass, ...]:
    """The passes that a tariff sells, in the order of their names; it notes the faults."""
    found: list[Pass] = []
    for one in it.tables("pass", MOST_PASSES):
        name, price_minor = one.text("name", NAME), one.whole("price_minor", 1, MOST_PRICE_MINOR)
        sold = Pass(name, price_minor, one.whole("days", 1, MOST_DAYS), *_gift(one))
        one.end()
        if any(sold.name == other.name for other in found):
            one.fault("name", "repeated", "must be another name than that of an earlier pass")
        found.append(sold)
    return tuple(sorted(found))


def _gift(one: Fields) -> tuple[PassGift, int]:
    """The gift of a pass, and its minutes or its percent."""
    if not one.has("percent"):
        per = one.choice("per", PERIODS, "RENTAL")
        return PERIODS[per], one.whole("minutes", 1, DAY_MINUTES)
    for name in ("minutes", "per"):
        if one.has(name):
            one.take(name)
            one.fault(name, "two_gifts", "must be absent: a pass gives minutes, or percent")
    return PassGift.PERCENT, one.whole("percent", 1, MOST_PERCENT)


def written_pass(it: Pass) -> dict[str, Any]:
    """A pass as a table of the document."""
    document: dict[str, Any] = {"name": it.name, "price_minor": it.price_minor, "days": it.days}
    for per, gift in PERIODS.items():
        if gift is it.gives:
            return {**document, "minutes": it.size, "per": per}
    return {**document, "percent": it.size}
