"""Reads and writes the section `[[breaker]]` of a policy's document."""

from __future__ import annotations

from service.domain.document_fields import CURRENCY, MOST_MINOR, Fields
from service.domain.rules import Breaker, Closes
from service.domain.tariff import DAY_US

MOST_BREAKERS = 20
"""The most breakers of one policy."""
MOST_DAYS = 366
"""The longest window."""
MOST_RENTALS = 10_000


def read_breakers(fields: Fields, _platform: bool) -> tuple[Breaker, ...] | None:
    """The breakers in their order; None without any. Faults are noted in `fields`."""
    found: list[Breaker] = []
    for row in fields.tables("breaker", MOST_BREAKERS):
        currency = row.text("currency", CURRENCY)
        breaker = Breaker(
            currency,
            row.whole("days", 1, MOST_DAYS) * DAY_US,
            row.whole("most_minor", 0, MOST_MINOR),
            row.whole("least_rentals", 1, MOST_RENTALS, 1),
            Closes(row.choice("closes", Closes, Closes.BY_PERSON)),
        )
        if currency in [it.currency for it in found]:
            row.fault("currency", "twice", f"has two breakers in {currency}: remove one")
        row.end()
        found.append(breaker)
    return tuple(found) or None


def write_breakers(rules: tuple[Breaker, ...]) -> object:
    """The tables of the section."""
    written = []
    for it in rules:
        row: dict[str, object] = {
            "currency": it.currency,
            "days": it.window_us // DAY_US,
            "most_minor": it.most_minor,
        }
        if it.least_rentals != 1:
            row["least_rentals"] = it.least_rentals
        if it.closes is not Closes.BY_PERSON:
            row["closes"] = str(it.closes)
        written.append(row)
    return written
