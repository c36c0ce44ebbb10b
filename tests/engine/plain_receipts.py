"""The receipts of rentals, told a second time from the reference's rows."""

from __future__ import annotations

from typing import Any

from service.domain.receipt import Receipt
from tests.engine.plain_attestations import stood, times, waived
from tests.engine.plain_terms import MINUTE_US, Row, fee

TARIFF = frozenset(
    {
        *("FULL_DAYS", "START_FEE", "FREE_MINUTES", "INTERVALS", "DAY_CAP_REDUCTION"),
        *("BUY_OUT_REDUCTION", "LOST_ITEM", "PAUSED_MINUTES", "FIRST_UNIT", "STARTED_UNITS"),
        *("COMPLETED_UNITS", "ONE_TIME", "CAP_REDUCTION"),
    }
)
"""The kinds of lines that follow from the terms and the meter alone."""


def receipt_of(books: Any, it: Row, transition: str, event_us: int, version: int) -> Any:
    """The expected receipt of an event of a rental; None if the event has no receipt."""
    kind = transition.removeprefix("authorization.")
    if kind not in ("settled", "handed_over", "claim_accepted", "lost") or it["parent_id"]:
        return None
    end_us = event_us
    if it["claim_us"] is not None and (kind != "lost" or it["claim_us"] < event_us):
        end_us, kind = max(it["start_us"], min(it["claim_us"], event_us)), "stopped"
    paused_us = stood(books, it, end_us, version)
    pauses = times(books, it, version)
    asked = fee(it["terms"], end_us - it["start_us"] - paused_us, it["start_us"], pauses)
    given_up = min(asked, waived(books, it, "pending"))
    if kind == "lost":
        asked, given_up, paused_us = it["terms"]["buy_out"], 0, 0
    taken = it["captured"] - it["other_captured"]
    free = it["credit"] + it["cash"] - it["captured"]
    debt = books.debts.get((it["key"], "FEE_ABOVE_HOLD"))
    owed = debt["amount"] if debt and not debt["evidence"] else 0
    due = asked - given_up - owed
    used_up = not free and not owed
    differing = "SURCHARGE" if taken > due else "NOT_COLLECTED" if used_up else "DISCOUNT"
    beside = {"WAIVED": -given_up, "OWED": -owed, differing: taken - due}
    return {
        "start": it["start_us"],
        "end": end_us,
        "minutes": -(-(end_us - it["start_us"]) // MINUTE_US),
        "by the terms": asked,
        "paused": paused_us // MINUTE_US,
        "beside the terms": {line: minor for line, minor in beside.items() if minor},
        "total": taken,
        "other": it["other_captured"],
        "released": free,
        "owed back": it["cash"] - (it["captured"] - it["captured_credit"]),
        "uncollected": due - taken if taken < due and used_up else 0,
        "debt": owed,
    }


def told_receipt(receipt: Receipt) -> dict[str, Any]:
    """A receipt of the engine, with the sums of its lines."""
    lines = receipt.lines
    assert all(it.amount_minor == it.quantity * it.unit_minor for it in lines)
    return {
        "start": receipt.start_us,
        "end": receipt.end_us,
        "minutes": receipt.minutes,
        "by the terms": sum(it.amount_minor for it in lines if it.item in TARIFF),
        "paused": sum(it.quantity for it in lines if it.item == "PAUSED_MINUTES"),
        "beside the terms": {
            it.item.value: it.amount_minor for it in lines if it.item not in TARIFF
        },
        "total": receipt.total_minor,
        "other": receipt.other_minor,
        "released": receipt.released_minor,
        "owed back": receipt.owed_back_minor,
        "uncollected": receipt.uncollected_minor,
        "debt": receipt.debt_minor,
    }
