"""Reads the section `[[budget]]` of a policy's document."""

from __future__ import annotations

from service.domain.document_fields import CURRENCY, MOST_MINOR, Fields
from service.domain.rules import Budget, Span

MOST_BUDGETS = 20
"""The most budgets of one policy."""
SLICES = 20
"""The slices of a budget whose document does not name a slice."""


def read_budgets(fields: Fields, _platform: bool) -> tuple[Budget, ...] | None:
    """The budgets in their order; None without any. Faults are noted in `fields`."""
    found: list[Budget] = []
    for row in fields.tables("budget", MOST_BUDGETS):
        currency = row.text("currency", CURRENCY)
        span = Span(row.choice("span", Span, Span.OPEN))
        most_minor = row.whole("most_minor", 0, MOST_MINOR)
        slice_minor = row.whole("slice_minor", 0, MOST_MINOR, most_minor // SLICES)
        if slice_minor > most_minor:
            row.fault("slice_minor", "above", "must be at most most_minor")
        if (currency, span) in [(it.currency, it.span) for it in found]:
            text = f"has two budgets of {span} exposure in {currency}: remove one"
            row.fault("currency", "twice", text)
        row.end()
        found.append(Budget(currency, span, most_minor, slice_minor))
    return tuple(found) or None
