"""The receipts of rentals, told a second time from the reference's rows."""

from __future__ import annotations

from typing import Any

from service.domain.receipt import Receipt
from tests.engine.plain_attestations import stood, times, waived
from tests.engine.plain_passes import kept
from tests.engine.plain_quotas import minutes_of
from tests.engine.plain_terms import MINUTE_US, Row, ordered, waited, whole_fee

TARIFF = frozenset(
    {
        *("FULL_DAYS", "START_FEE", "FREE_MINUTES", "INTERVALS", "DAY_CAP_REDUCTION"),
        *("BUY_OUT_REDUCTION", "LOST_ITEM", "PAUSED_MINUTES", "FIRST_UNIT", "STARTED_UNITS"),
        *("COMPLETED_UNITS", "ONE_TIME", "CAP_REDUCTION", "RESERVATION"),
        *("RESERVATION_CAP_REDUCTION", "CANCELLATION_FEE", "QUOTA_MINUTES", "PLACE"),
        *("ORDER_FEE_REDUCTION", "PAID_ELSEWHERE"),
        *("PASS_MINUTES", "PASS_DISCOUNT"),
    }
)
"""The kinds of lines that follow from the terms, the meter and the order alone."""


def receipt_of(books: Any, it: Row, transition: str, event_us: int, version: int) -> Any:
    """The expected receipt of an event of a rental; None if the event has no receipt."""
    kind = transition.removeprefix("authorization.")
    ends = kind in ("cancelled", "expired") and it["reserve_us"] is not None
    settles = ends and it["state"] == "SETTLED"
    if not settles and kind not in ("settled", "handed_over", "claim_accepted", "lost"):
        return None
    if it["parent_id"]:
        return None
    if settles:
        return _of_reservation(books, it, kind, event_us, version)
    end_us = event_us
    if it["claim_us"] is not None and (kind != "lost" or it["claim_us"] < event_us):
        end_us, kind = max(it["start_us"], min(it["claim_us"], event_us)), "stopped"
    paused_us = stood(books, it, end_us, version)
    pauses = times(books, it, version)
    us = end_us - it["start_us"] - paused_us
    minutes = minutes_of(books, it, us, pauses, 0)
    asked = kept(books, it, whole_fee(it, us, pauses, minutes * MINUTE_US))
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


def _of_reservation(books: Any, it: Row, kind: str, event_us: int, version: int) -> Any:
    """The receipt of a reservation whose time was billed at its end."""
    begin_us = it["reserve_us"]
    end_us = event_us if it["start_us"] is None else max(begin_us, it["start_us"])
    asked = waited(it, end_us)
    product = it["terms"]
    late = product["free_us"] is not None and event_us > begin_us + product["free_us"]
    if kind == "cancelled" and it["start_us"] is None and late:
        asked += product["cancelling"]
    asked = ordered(it, asked)
    given_up = min(asked, waived(books, it, "pending"))
    missing = it["captured"] - asked + given_up
    beside = {"WAIVED": -given_up, "NOT_COLLECTED": missing}
    return {
        "start": begin_us,
        "end": end_us,
        "minutes": -(-(end_us - begin_us) // MINUTE_US),
        "by the terms": asked,
        "paused": 0,
        "beside the terms": {line: minor for line, minor in beside.items() if minor},
        "total": it["captured"],
        "other": 0,
        "released": it["credit"] + it["cash"] - it["captured"],
        "owed back": it["cash"] - (it["captured"] - it["captured_credit"]),
        "uncollected": -missing,
        "debt": 0,
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
