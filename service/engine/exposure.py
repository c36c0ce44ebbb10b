"""The part of a credit line that a new hold may take."""

from __future__ import annotations

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
    others = [it for it in rows.lines_of(line.user_id) if it.currency != line.currency]
    # The limit in the total's currency was lowered by what merged people use in that currency.
    others += [
        it
        for merged in merged_into(line.user_id, rows)
        for it in rows.lines_of(merged)
        if it.currency != total.currency
    ]
    return total.free_minor(line, others)
