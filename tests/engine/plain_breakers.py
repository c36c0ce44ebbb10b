"""Breakers told a second time: every loss of the past is added up anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.engine.plain_terms import BREAKERS, DAY_US, FEE_BP, PRODUCTS, Row
from tests.engine.plain_velocity import NOTHING, Judged

if TYPE_CHECKING:
    from tests.engine.reference import Reference

GIVEN_UP = (("allowance", "receivable"), ("operator_deferred", "receivable_unheld"))
"""The postings that give an amount up."""
AWAY = ("MISSING", "SOLD")


def look(of: Reference, now_us: int) -> None:
    """Opens and closes each operator's breakers as the worker does."""
    for policy, rule in BREAKERS.items():
        for operator_id in FEE_BP:
            number = of.breakers.get((operator_id, policy), 0)
            found = _losses(of, operator_id, policy, now_us - rule["days"] * DAY_US, now_us)
            beyond = sum(found) > rule["most"] and len(found) >= rule["least"]
            if number and sum(found) <= rule["most"]:
                of.breakers[operator_id, policy] = 0
                of.breaker_rows[operator_id, number][-1] = now_us
            elif not number and beyond:
                openings = [it for it in of.breaker_rows if it[0] == operator_id]
                number = of.breakers[operator_id, policy] = len(openings) + 1
                row = [policy, sum(found), len(found), now_us, None]
                of.breaker_rows[operator_id, number] = row


def _losses(of: Reference, operator_id: str, policy: str, since_us: int, now_us: int) -> list[int]:
    """The loss of each rental that has one."""
    found = []
    for it in of.rentals.values():
        if it["operator_id"] != operator_id or PRODUCTS[it["product_id"]]["policy"] != policy:
            continue
        given_up = {"allowance": 0, "operator_deferred": 0}
        for (key, _), (event_us, account, amount) in of.given_up.items():
            if key == it["key"] and since_us < event_us <= now_us:
                given_up[account] += amount
        unrecovered = it["written_off"] - it["recovered"] - it["forgiven"]
        loss = min(given_up["allowance"], unrecovered)
        if it["custody"] in AWAY:
            unpaid = it["captured_credit"] - it["paid"] - it["lowered"] - it["written_off"]
            loss = unpaid + unrecovered if since_us < it["close_us"] <= now_us else 0
        loss += given_up["operator_deferred"]
        if loss:
            found.append(loss)
    return found


def with_breakers(
    of: Reference, judged: Judged | None, operator_id: str, products: list[str]
) -> Judged | None:
    """The judgement of a decision with the open breakers of its products' policies."""
    policies = dict.fromkeys(PRODUCTS[name]["policy"] for name in products)
    numbers = {
        f"breaker.{name}": of.breakers.get((operator_id, name), 0)
        for name in policies
        if name in BREAKERS
    }
    if not numbers:
        return judged
    found = judged or NOTHING
    opened = any(numbers.values())
    return Judged(
        max(found.strict, 2 if opened else 0),
        found.review,
        [*found.reasons, *(["BREAKER_OPEN"] if opened else [])],
        {**found.values, **numbers},
    )


def note(of: Reference, it: Row, transition: str, event_us: int, amount: int) -> None:
    """Remembers an amount that was given up."""
    account = {
        "collection.written_off": "allowance",
        "collection.debt_dropped": "operator_deferred",
    }.get(transition)
    if account is not None:
        of.put(of.given_up, (it["key"], it["version"]), (event_us, account, amount))
