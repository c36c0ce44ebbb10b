"""Quotas of free minutes told a second time: the uses of all rentals are added up each time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.engine import plain_passes
from tests.engine.plain_terms import MINUTE_US, Row, whole_fee

if TYPE_CHECKING:
    from tests.engine.plain_books import Books

Pool = tuple[Any, str, int, int]
"""A name, a kind of period, the beginning of the period, and the minutes that the tariff gives."""


def pools(of: Books, it: Row) -> list[Pool]:
    """The pass and the quotas of a rental whose item was out."""
    document = it["terms"].get("document", {})
    if it["start_us"] is None or it["parent_id"]:
        return []
    found, name = list[Pool](), plain_passes.held(of, it)
    if name is not None:
        one = of.passes[name]
        minutes = 0 if one["gives"] == "PERCENT" else one["size"]
        begin_us = one["from_us"]
        if one["gives"] == "MINUTES_A_DAY":
            begin_us = _begin_us(one["zone"], "DAY", it["start_us"])
        found.append((name, one["gives"], begin_us, minutes))
    return found + [
        (row["name"], row["per"], _begin_us(document["time_zone"], row["per"], it["start_us"]),
         row["minutes"])
        for row in document.get("quota", [])
    ]  # fmt: skip


def _begin_us(zone: str, per: str, at_us: int) -> int:
    """The midnight at which the day or the week of an instant began."""
    wall = datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(ZoneInfo(zone))
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if per == "WEEK":
        midnight -= timedelta(days=wall.weekday())
    return int(midnight.timestamp()) * 1_000_000


def left(of: Books, it: Row) -> list[int]:
    """The minutes that are left in each quota of a rental."""
    found = []
    for name, per, begin_us, most in pools(of, it):
        if per == "MINUTES_A_RENTAL":
            found.append(most)
            continue
        same = (it["user_id"], it["operator_id"], name, per, begin_us)
        used = sum(
            use["minutes"] for key, use in of.quota_uses.items()
            if key[1:] == same and not use["returned"]
        )  # fmt: skip
        found.append(max(0, most - used))
    return found


def uses(of: Books, it: Row) -> list[Row]:
    """The minutes that a rental used, given back or not."""
    return [use for key, use in of.quota_uses.items() if key[0] == it["key"]]


def minutes_of(of: Books, it: Row, us: int, pauses: Any, waived: int) -> int:
    """The minutes for a use of so many microseconds: those that the settlement used, unless they
    would raise the fee, or else the fewest with the least fee."""
    if it["close_us"] is None and not pools(of, it):
        return 0
    used = max(1, -(-us // MINUTE_US))

    def due(minutes: int) -> int:
        whole = plain_passes.kept(of, it, whole_fee(it, us, pauses, minutes * MINUTE_US))
        return max(0, whole - waived)

    if it["close_us"] is not None:
        minutes = min(used, sum(int(use["minutes"]) for use in uses(of, it)))
        return minutes if due(minutes) <= due(0) else 0
    most = min(sum(left(of, it)), used)
    return min(range(most + 1), key=due)


def use_minutes(of: Books, it: Row, minutes: int, asked: int, *, nothing: bool) -> None:
    """Uses minutes of the quotas in their order, and a pass whose share lowered the fee that was
    asked for; with `nothing` charged they are free at once."""
    for (name, per, begin_us, _), there in zip(pools(of, it), left(of, it), strict=True):
        part = min(minutes, there)
        minutes -= part
        if part or (per == "PERCENT" and plain_passes.lowers(of, name, it, asked)):
            key = (it["key"], it["user_id"], it["operator_id"], name, per, begin_us)
            of.put(of.quota_uses, key, {"minutes": part, "returned": nothing})


def give_back(of: Books, it: Row) -> None:
    """Frees the minutes of a rental of whose charge nothing is left."""
    if it["close_us"] is not None and 0 < it["captured"] <= it["conceded"]:
        for key, use in list(of.quota_uses.items()):
            if key[0] == it["key"] and not use["returned"]:
                of.put(of.quota_uses, key, {**use, "returned": True})
