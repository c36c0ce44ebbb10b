"""The rules of complaints about an item that is out, written a second time.

Such a complaint has a time. If it is granted, the rental costs the fee until then.
"""

from __future__ import annotations

from typing import Any

from tests.engine.plain_terms import ENDED, OUT, Refused, Row, no_damage, required

KINDS = ("RETURN_BLOCKED", "ITEM_AT_FAULT")


def earlier(one_us: int | None, other_us: int) -> int:
    """The earlier of two instants, of which one may be missing."""
    return other_us if one_us is None else min(one_us, other_us)


def dated(it: Row, kind: str, told_us: int | None) -> bool:
    """Whether a complaint has a time; refuses a complaint that may not be opened."""
    out = it["state"] in OUT and it["parent_id"] == ""
    if not (out and kind in KINDS):
        required(it, "SETTLED", *ENDED)
    if told_us is None:
        return out
    if kind not in KINDS:
        raise Refused("INVALID_INPUT")
    no_damage(it)
    if it["start_us"] is None:
        raise Refused("NEVER_OUT")
    return True


def time_us(it: Row, told_us: int | None, now_us: int) -> int:
    """The time of a complaint: now, or the time that the person gives, within the bounds."""
    if told_us is None:
        return now_us
    if told_us < now_us - it["terms"]["report_us"]:
        if it["state"] not in OUT:
            raise Refused("INVALID_INPUT")
        told_us = now_us - it["terms"]["report_us"]
    return int(max(it["start_us"], min(told_us, now_us)))


def granted_us(books: Any, it: Row) -> int | None:
    """The earliest time of the complaints about an open rental that were granted in full."""
    times = [
        case["occurred_us"]
        for (key, _), case in books.cases.items()
        if key == it["key"] and case["kind"] in KINDS and case["outcome"] == "FOR_USER"
    ]
    return min(times, default=None)


def stop(books: Any, it: Row, at_us: int, event: tuple[str, int], command: Any) -> None:
    """The rental costs the fee until an instant; the item stays where it is."""
    place = {"claim_us": earlier(it["claim_us"], at_us)} if it["state"] in OUT else {}
    usage = books.usage_back({**it, **place}, at_us)
    books.lower_to(it, event[0], usage, event[1], command, **place)
