"""The fee by a document of arithmetic 2, as slowly and as plainly as possible: unit by unit.

This reads the document and not the domain's types. A unit is a row of what it costs and when.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Document = dict[str, Any]
Row = dict[str, Any]
MINUTE_US = 60_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]


def plain_fee(
    document: Document,
    start_us: int,
    end_us: int,
    pauses: Sequence[tuple[int, int]] = (),
    quota_us: int = 0,
) -> int:
    """The fee of a rental before waivers, in minor units."""
    used_us = end_us - start_us
    for begin, end in pauses:
        used_us -= max(0, min(end, end_us) - begin)
    return plain_fee_of_use(document, start_us, used_us, pauses, quota_us)


def plain_fee_of_use(
    document: Document,
    start_us: int,
    used_us: int,
    pauses: Sequence[tuple[int, int]] = (),
    quota_us: int = 0,
) -> int:
    """The fee of `used_us` on the meter, which stood in the pauses."""
    every = charges(document, start_us, used_us, pauses, quota_us)
    due = [it for it in every if it["due"] <= used_us]
    for cap in sorted(document.get("cap", []), key=lambda it: int(it["window_minutes"])):
        due = capped(due, cap["window_minutes"] * MINUTE_US, cap["most_minor"])
    return min(int(document["buy_out_minor"]), sum(int(it["cost"]) for it in due))


def charges(
    document: Document,
    start_us: int,
    until_us: int,
    pauses: Sequence[tuple[int, int]],
    quota_us: int,
) -> list[Row]:
    """The start fee and each unit that begins before `until_us` of use.

    `due` is the use from which it is charged on, and `window` an instant in its window.
    """
    free_us = document.get("free_minutes", 0) * MINUTE_US
    first_us = document.get("first_use_minutes", 0) * MINUTE_US
    base_us = quota_us
    # Nothing is due before these two.
    grace_due = 0
    if document.get("free", "DEDUCTED") == "DEDUCTED":
        base_us += free_us
    elif free_us:
        grace_due = quota_us + free_us + 1
    start_due = max(grace_due, quota_us + first_us, quota_us + 1 if quota_us else 0)
    found = [{"due": start_due, "window": 0, "cost": document.get("start_fee_minor", 0)}]
    segments = document.get("segment", [])
    earliest = min((it.get("from_minute", 0) for it in segments), default=0)
    gate = max(grace_due, base_us + earliest * MINUTE_US + first_us)
    for segment in segments:
        minute, number = segment.get("from_minute", 0), 0
        while minute < segment.get("to_minute", minute + 1):
            begin = base_us + minute * MINUTE_US
            if begin > until_us:
                break
            length = segment["interval_minutes"]
            end = begin + length * MINUTE_US
            due = begin + 1
            if length and document["rounding"] == "COMPLETED":
                complete = minute + length <= segment.get("to_minute", minute + length)
                due = end if complete else until_us + 1
            window = due - 1
            if length and first_us and number == 0 and minute == earliest:
                due = base_us + minute * MINUTE_US + first_us
                window = min(window, due - 1)
                if document["rounding"] == "COMPLETED":
                    window = due - 1
            cost = price(document, segment, start_us, begin, pauses)
            found.append({"due": max(due, gate), "window": window, "cost": cost})
            if not length:
                break
            minute, number = minute + length, number + 1
    return found


def capped(due: list[Row], window_us: int, most: int) -> list[Row]:
    """One row for each window, with at most the cap."""
    sums: dict[int, int] = {}
    for it in due:
        sums[it["window"] // window_us] = sums.get(it["window"] // window_us, 0) + it["cost"]
    return [{"window": place * window_us, "cost": min(cost, most)} for place, cost in sums.items()]


def price(
    document: Document,
    segment: Document,
    start_us: int,
    begin_us: int,
    pauses: Sequence[tuple[int, int]],
) -> int:
    """The price of a unit that begins after `begin_us` of use: by the clock, or without pauses."""
    clock_us = start_us + begin_us
    for begin, end in sorted(pauses):
        if begin <= clock_us:
            clock_us += end - begin
    return min(
        price_at(document, segment, moment_us) for moment_us in (clock_us, start_us + begin_us)
    )


def price_at(document: Document, segment: Document, moment_us: int) -> int:
    """The price at a moment, by the hands of the clock and the calendar on the wall."""
    prices = segment.get("price", [])
    if prices:
        zone = ZoneInfo(document["time_zone"])
        wall = (EPOCH + timedelta(microseconds=moment_us)).astimezone(zone)
        hands = f"{wall.hour:02}:{wall.minute:02}"
        today, yesterday = DAYS[wall.weekday()], DAYS[wall.weekday() - 1]
        for it in prices:
            days = it.get("days", DAYS)
            if it["from"] < it["to"]:
                there = today in days and it["from"] <= hands < it["to"]
            else:
                there = (today in days and hands >= it["from"]) or (
                    yesterday in days and hands < it["to"]
                )
            if there:
                return int(it["price_minor"])
    return int(segment["price_minor"])


def plain_reservation(document: Document, reserved_us: int) -> int:
    """The price of a reservation, unit by unit."""
    it = document.get("reservation")
    if it is None:
        return 0
    at_us, cost = it.get("free_minutes", 0) * MINUTE_US, 0
    while at_us < reserved_us:
        at_us += it["interval_minutes"] * MINUTE_US
        if document["rounding"] == "STARTED" or at_us <= reserved_us:
            cost += it["price_minor"]
        if not it["interval_minutes"]:
            break
    return min(cost, int(it.get("most_minor", cost)), int(document["buy_out_minor"]))


def by_clock(document: Document) -> bool:
    """Whether the fee depends on the time of day."""
    return any(it.get("price") for it in document["segment"])


CHARGER: Document = {
    "rounding": "COMPLETED", "start_fee_minor": 0, "free_minutes": 0, "free": "DEDUCTED",
    "first_use_minutes": 5, "buy_out_minor": 9_900,
    "segment": [{"from_minute": 0, "interval_minutes": 15, "price_minor": 100}],
    "cap": [
        {"window_minutes": 720, "most_minor": 2_000},
        {"window_minutes": 1_440, "most_minor": 3_000},
    ],
}  # fmt: skip
"""A power bank under the convention of Beijing."""
SCOOTER: Document = {
    "rounding": "STARTED", "start_fee_minor": 150, "free_minutes": 5, "free": "GRACE",
    "first_use_minutes": 0, "buy_out_minor": 19_900,
    "segment": [
        {"from_minute": 0, "to_minute": 60, "interval_minutes": 20, "price_minor": 80},
        {
            "from_minute": 60, "interval_minutes": 90, "price_minor": 200,
            "price": [
                {
                    "days": ["MON", "TUE", "WED", "THU", "FRI"], "from": "07:00", "to": "09:30",
                    "price_minor": 290,
                },
                {"days": ["SAT", "SUN"], "from": "22:00", "to": "05:00", "price_minor": 90},
            ],
        },
        {"from_minute": 120, "to_minute": 121, "interval_minutes": 0, "price_minor": 300},
    ],
    "cap": [{"window_minutes": 1_440, "most_minor": 2_900}],
    "time_zone": "Europe/Berlin",
    "reservation": {
        "free_minutes": 3, "interval_minutes": 2, "price_minor": 30, "most_minor": 250,
    },
}  # fmt: skip
"""A scooter that is dear on the mornings of weekdays, and cheap on the nights of weekends; after 3
minutes its reservation costs 0.30 for each started 2 minutes."""


def stored(document: Document) -> str:
    """The document as it is stored."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def insertion(product_id: str, like: str, document: Document) -> str:
    """The statement that gives each operator a product with this tariff, like another product."""
    first = document["segment"][0]
    day_cap = next(it for it in document["cap"] if it["window_minutes"] == 1_440)
    columns = {
        "product_id": f"'{product_id}'",
        "start_fee_minor": document["start_fee_minor"],
        "free_minutes": document["free_minutes"],
        "interval_minutes": 2**31 - 1,
        "interval_price_minor": first["price_minor"],
        "day_cap_minor": day_cap["most_minor"],
        "buy_out_minor": document["buy_out_minor"],
        "tariff": f"'{stored(document)}'",
    }
    same = (
        *("operator_id", "revision", "category", "currency", "deposit_minor", "replacement_minor"),
        *("policy_id", "policy_revision", "cancellation_fee_minor", "most_hold_minor"),
        "damage_without_consent_minor",
    )
    return (
        f"INSERT INTO products ({', '.join((*columns, *same))})"
        f" SELECT {', '.join(map(str, (*columns.values(), *same)))}"
        f" FROM products WHERE product_id = '{like}'"
    )
