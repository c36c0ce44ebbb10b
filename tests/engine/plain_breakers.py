"""Breakers told a second time: every loss of the past is added up anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.engine.plain_offers import Judged
from tests.engine.plain_terms import DAY_US, Row
from tests.engine.plain_velocity import with_hits

if TYPE_CHECKING:
    from tests.engine.reference import Reference

GIVEN_UP = {
    "collection.written_off": ("allowance", "receivable"),
    "collection.debt_dropped": ("operator_deferred", "receivable_unheld"),
}
"""The postings that give an amount up, by transition."""
AWAY = ("MISSING", "SOLD")


def look(of: Reference, now_us: int) -> None:
    """Opens and closes each operator's breakers as the worker does."""
    for (operator_id, policy), rule in _in_force(of).items():
        number = of.breakers.get((operator_id, policy), 0)
        looked_us = of.breakers_reset.get((operator_id, policy), 0)
        since_us = max(now_us - rule["days"] * DAY_US, looked_us)
        found = _losses(of, operator_id, policy, since_us, now_us)
        beyond = sum(found) > rule["most_minor"] and len(found) >= rule.get("least_rentals", 1)
        if number and rule.get("closes") == "WHEN_UNDER" and sum(found) <= rule["most_minor"]:
            of.breakers[operator_id, policy] = 0
            of.breaker_rows[operator_id, number][-1] = now_us
        elif not number and beyond:
            openings = [it for it in of.breaker_rows if it[0] == operator_id]
            number = of.breakers[operator_id, policy] = len(openings) + 1
            row = [policy, sum(found), len(found), now_us, None]
            of.breaker_rows[operator_id, number] = row


def reset(of: Reference, operator_id: str, number: int, now_us: int) -> None:
    """A person closes a breaker."""
    row = of.breaker_rows[operator_id, number]
    of.breakers[operator_id, row[0]] = 0
    of.breakers_reset[operator_id, row[0]] = row[-1] = now_us


def _in_force(of: Reference) -> dict[tuple[str, str], Row]:
    """The breakers by operator and policy, of the newest revision that is rented out under."""
    found: dict[tuple[str, str], tuple[int, Row]] = {}
    for (operator_id, _), revisions in of.revisions.items():
        terms = revisions[-1]
        if terms is None:
            continue
        for rule in terms["rules"].get("breaker", ()):
            key, revision = (operator_id, terms["policy"]), terms["policy_revision"]
            if key not in found or found[key][0] < revision:
                found[key] = revision, rule
    # The worker looks at them in the order of the operator's products.
    return {key: found[key][1] for key in sorted(found)}


def _losses(of: Reference, operator_id: str, policy: str, since_us: int, now_us: int) -> list[int]:
    """The loss of each rental that has one."""
    found = []
    for it in of.rentals.values():
        if it["operator_id"] != operator_id or it["terms"]["policy"] != policy:
            continue
        given_up = {"collection.written_off": 0, "collection.debt_dropped": 0}
        for (key, _), (transition, event_us, amount) in of.given_up.items():
            if key == it["key"] and since_us < event_us <= now_us:
                given_up[transition] += amount
        unrecovered = it["written_off"] - it["recovered"] - it["forgiven"]
        loss = min(given_up["collection.written_off"], unrecovered)
        if it["custody"] in AWAY:
            unpaid = it["captured_credit"] - it["paid"] - it["lowered"] - it["written_off"]
            loss = unpaid + unrecovered if since_us < it["close_us"] <= now_us else 0
        loss += given_up["collection.debt_dropped"]
        if loss:
            found.append(loss)
    return found


def with_breakers(
    of: Reference, judged: Judged | None, operator_id: str, products: Sequence[Row]
) -> Judged | None:
    """The judgement of a decision with the open breakers of its products' policies."""
    numbers = {
        f"breaker.{terms['policy']}": of.breakers.get((operator_id, terms["policy"]), 0)
        for terms in products
        if terms["rules"].get("breaker")
    }
    if not numbers:
        return judged
    hits = [("FULL", "BREAKER_OPEN")] if any(numbers.values()) else []
    return with_hits(judged, len(products), hits, numbers)
