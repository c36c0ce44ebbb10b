"""The part of a credit line that a new hold may take."""

from __future__ import annotations

import json

from service.domain.documents import canonical
from service.domain.exposure import TotalExposure
from service.domain.ledger import Line
from service.engine.aliases import merged_into
from service.engine.context import Context
from service.engine.rows import Rows


def free_minor(line: Line, rows: Rows, context: Context) -> int:
    """The free part of a person's line, in minor units; at most `line.available_minor`.

    With rates in the terms, the person's lines in all currencies together are within the total, and
    so are the lines of people merged into the person. `line` may be ahead of the rows.
    """
    total = context.catalog.total
    if total is None:
        return line.available_minor
    return total.free_minor(line, _others(line, total, rows))


def with_total(
    read_values: str | None, free: int, line: Line, total: TotalExposure, rows: Rows
) -> str:
    """The values that a decision read, as canonical JSON, with those of the total exposure.

    `free` is the free part of the line. Each other line is named with the number of its entries, so
    that the exposure can be computed again.
    """
    lines = {f"{it.user_id}/{it.currency}": it.version for it in _others(line, total, rows)}
    values = {} if read_values is None else json.loads(read_values)
    values |= {
        "total.free_minor": free,
        "total.currency": total.currency,
        "total.lines": lines,
        "total.rates": {name: list(rate) for name, rate in total.rates.items()},
    }
    return canonical(values)


def _others(line: Line, total: TotalExposure, rows: Rows) -> list[Line]:
    """The other lines that a person's total exposure counts."""
    others = [it for it in rows.lines_of(line.user_id) if it.currency != line.currency]
    # The limit in the total's currency was lowered by what merged people use in that currency.
    others += [
        it
        for merged in merged_into(line.user_id, rows)
        for it in rows.lines_of(merged)
        if it.currency != total.currency
    ]
    return others
