"""The rules of admission told a second time: every rental of the past is counted anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.engine.plain_terms import DAY_US, HOUR_US, OFFERS, PRODUCTS, Row

if TYPE_CHECKING:
    from tests.engine.reference import Reference

STATES = ("AUTHORIZED", "ACTIVE", "OVERDUE", "RETURN_CLAIMED")
COLUMNS = {"DEVICE": "device_hash", "PAYMENT_ACCOUNT": "payment_account_hash"}


class Judged(NamedTuple):
    """The strictest offer that the rules ask for, from 0; 3 is a decline."""

    strict: int
    review: bool
    reasons: list[str]
    values: Row

    @property
    def text(self) -> str:
        """The values as they are stored."""
        return json.dumps(self.values, sort_keys=True, separators=(",", ":"))


NOTHING = Judged(0, False, [], {})


def judged(
    of: Reference,
    caller: str,
    user_id: str,
    products: list[str],
    details: Row | None,
    now_us: int,
    *,
    grants: bool = True,
) -> Judged | None:
    """Judges an order of these products; None if no product has such rules."""
    policies = {PRODUCTS[it]["policy"]: PRODUCTS[it]["rules"] for it in products}
    policies = {name: rules for name, rules in policies.items() if rules}
    if not policies:
        return None
    found: dict[str, list[str]] = {}
    values: Row = {}
    for rules in policies.values():
        for bearer, span, most, then in rules.get("velocity", []) if grants else []:
            number = _number(of, caller, user_id, bearer, span, details, now_us)
            values[f"{bearer.lower()}.{span.lower()}"] = number
            if number is not None and number + len(products) > most:
                found.setdefault(then, []).append(f"VELOCITY_{bearer}_{span}")
        if "new" in rules:
            _judge_new(of, user_id, rules["new"], len(products) * grants, now_us, found, values)
    reasons = [why for then in ("DECLINE", "REVIEW", "FULL", "REDUCED")
               for why in found.get(then, [])]  # fmt: skip
    strict = max((["", *OFFERS[1:], "DECLINE"].index(it) for it in found if it != "REVIEW"),
                 default=0)  # fmt: skip
    return Judged(strict, "REVIEW" in found, list(dict.fromkeys(reasons)), values)


def _judge_new(
    of: Reference,
    user_id: str,
    rule: Row,
    items: int,
    now_us: int,
    found: dict[str, list[str]],
    values: Row,
) -> None:
    """A person is new over all operators, so every reason is that of an exhausted line."""
    theirs = [it for it in of.rentals.values()
              if it["user_id"] in of.whole(user_id) and not it["parent_id"]]  # fmt: skip
    settled = len([it for it in theirs if it["state"] == "SETTLED" and it["start_us"]])
    values["user.settled.all_operators"] = min(settled, rule["until_settled"])
    if settled >= rule["until_settled"]:
        return
    found.setdefault(rule["mildest"], []).append("LINE_EXHAUSTED")
    if items:
        number = len([it for it in theirs if _is_open(it, now_us)])
        values["user.open.all_operators"] = number
        if number + items > rule["most_open"]:
            found.setdefault(rule["then"], []).append("LINE_EXHAUSTED")


def _number(
    of: Reference,
    caller: str,
    user_id: str,
    bearer: str,
    span: str,
    details: Row | None,
    now_us: int,
) -> int | None:
    """The number of the operator's rentals of a bearer; None if the order does not name it."""
    name = "" if details is None or bearer == "USER" else details[COLUMNS[bearer]]
    if bearer != "USER" and not name:
        return None
    number = 0
    for it in of.rentals.values():
        if it["parent_id"] or it["operator_id"] != caller:
            continue
        if bearer == "USER" and it["user_id"] not in of.whole(user_id):
            continue
        if bearer != "USER" and of.details.get(it["key"], {}).get(COLUMNS[bearer]) != name:
            continue
        if span == "OPEN":
            number += _is_open(it, now_us)
        elif it["state"] in (*STATES, "SETTLED") and not _has_lapsed(it, now_us):
            number += now_us - it["create_us"] < {"HOUR": HOUR_US, "DAY": DAY_US}[span]
    return number


def _has_lapsed(it: Row, now_us: int) -> bool:
    return bool(it["state"] == "AUTHORIZED" and it["expire_us"] <= now_us)


def _is_open(it: Row, now_us: int) -> bool:
    if it["state"] == "RETURN_CLAIMED" and it["claim_until_us"] is not None:
        return bool(it["claim_until_us"] > now_us)
    return it["state"] in STATES and not _has_lapsed(it, now_us)


def obstacle(of: Reference, members: list[Row], now_us: int) -> str | None:
    """The reason why offers are not allowed any more."""
    it = judged_members(of, members, now_us)
    on_credit = any(member["credit"] for member in members)
    stops = it.strict == 3 or (it.strict == 2 and on_credit)
    return it.reasons[0] if stops or it.review else None


def judged_members(of: Reference, members: list[Row], now_us: int) -> Judged:
    """Judges offers or reviews of one order; a review is not asked for a second time."""
    if not members or members[0]["parent_id"]:
        return NOTHING
    first = members[0]
    names = [it["product_id"] for it in members]
    details: Any = of.details.get(first["key"])
    found = judged(of, first["operator_id"], first["user_id"], names, details, now_us)
    if found is None:
        return NOTHING
    return found._replace(review=found.review and "UNDER_REVIEW" not in first["reasons"])
