"""The document of a tariff of arithmetic 1, whose days count afresh (`tariff.py`).

name = "bike"
currency = "CNY"
arithmetic = 1
start_fee_minor = 150
free_minutes = 0
interval_minutes = 15
interval_price_minor = 100
day_cap_minor = 3_000
buy_out_minor = 19_900

The tariffs of builds without documents are of this kind, and so are the default ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from service.domain.document_fields import (
    CURRENCY,
    MOST_MINOR,
    MOST_MINUTES,
    NAME,
    Fields,
    require_none,
)
from service.domain.documents import Table
from service.domain.errors import Violation
from service.domain.tariff import Tariff

ARITHMETIC = "arithmetic"
"""The key that tells this kind of document from others; its value is 1."""


class DayTariffDocument(NamedTuple):
    """A tariff of arithmetic 1 with its name; amounts are minor units of `currency`."""

    name: str
    currency: str
    tariff: Tariff

    @property
    def places(self) -> tuple[()]:
        """A tariff of arithmetic 1 has no prices of places."""
        return ()


def read_day_tariff(table: Table) -> DayTariffDocument:
    """Reads a tariff of arithmetic 1. Raises InvalidInput (TERMS_WRONG) with all faults."""
    faults: list[Violation] = []
    it = Fields(table, faults)
    it.whole(ARITHMETIC, 1, 1)
    found = DayTariffDocument(
        it.text("name", NAME),
        it.text("currency", CURRENCY),
        Tariff(
            it.whole("start_fee_minor", 0, MOST_MINOR),
            it.whole("free_minutes", 0, MOST_MINUTES),
            it.whole("interval_minutes", 1, MOST_MINUTES),
            it.whole("interval_price_minor", 0, MOST_MINOR),
            it.whole("day_cap_minor", 0, MOST_MINOR),
            it.whole("buy_out_minor", 0, MOST_MINOR),
        ),
    )
    it.end()
    require_none(faults)
    return found


def write_day_tariff(it: DayTariffDocument) -> dict[str, Any]:
    """The document of a tariff of arithmetic 1."""
    return {"name": it.name, "currency": it.currency, ARITHMETIC: 1, **it.tariff._asdict()}
