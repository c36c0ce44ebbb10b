"""The rules of admission told a second time: every rental of the past is counted anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.engine.plain_offers import Judged, nothing
from tests.engine.plain_terms import DAY_US, HOUR_US, OFFERS, Row

if TYPE_CHECKING:
    from tests.engine.reference import Reference

STATES = ("AUTHORIZED", "ACTIVE", "OVERDUE", "RETURN_CLAIMED")
COLUMNS = {"DEVICE": "device_hash", "PAYMENT_ACCOUNT": "payment_account_hash"}
COUNTING = ("open_rentals", "starts_hour", "starts_day")
"""The variables of conditions that count rentals."""


def text_of(values: Row) -> str:
    """Values as they are stored."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def judged(
    of: Reference,
    caller: str,
    user_id: str,
    products: Sequence[Row],
    details: Row | None,
    now_us: int,
    *,
    grants: bool = True,
    skipped: Mapping[str, str] | None = None,
) -> Judged | None:
    """Judges an order of these products; None if no policy counts rentals."""
    if not any(map(counts, products)):
        return None
    finding = _Finding(skipped or {})
    caps: list[tuple[int, str] | None] = []
    for place, product in enumerate(products):
        rules = product["rules"]
        if grants and rules not in [it["rules"] for it in products[:place]]:
            for rule in rules.get("velocity", []):
                over = rule.get("over", "OPERATOR")
                number = count(
                    of, caller, user_id, rule["of"], rule["counted"], over, details, now_us
                )
                name = f"{rule['of'].lower()}.{rule['counted'].lower()}"
                finding.values[_name(name, over)] = number
                if number is not None and number + len(products) > rule["most"]:
                    finding.add(rule["then"], f"VELOCITY_{rule['of']}_{rule['counted']}", over)
        cap = None
        if "new_user" in rules:
            items = len(products) * grants
            cap = _judge_new(of, caller, user_id, rules["new_user"], items, now_us, finding)
        caps.append(cap)
    return finding.judged(caps)


def counts(product: Row) -> bool:
    """Whether the rules of a product count rentals."""
    rules = product["rules"]
    conditions = [row["when"] for row in rules.get("condition", [])]
    counting = any(name in when for name in COUNTING for when in conditions)
    return "velocity" in rules or "new_user" in rules or counting


class _Finding:
    def __init__(self, skipped: Mapping[str, str]) -> None:
        self.skipped = skipped
        self.values: Row = {}
        self.found: dict[str, list[str]] = {}

    def skips(self, reason: str) -> bool:
        if reason in self.skipped:
            self.values[f"skipped.{reason}"] = self.skipped[reason]
        return reason in self.skipped

    def add(self, then: str, reason: str, over: str) -> None:
        if not self.skips(reason):
            told = reason if over == "OPERATOR" else "LINE_EXHAUSTED"
            self.found.setdefault(then, []).append(told)

    def judged(self, caps: list[tuple[int, str] | None]) -> Judged:
        reasons = [why for then in ("DECLINE", "REVIEW", "FULL", "REDUCED")
                   for why in self.found.get(then, [])]  # fmt: skip
        strict = max(map(rank, self.found), default=0)
        review = "REVIEW" in self.found
        return Judged(strict, review, list(dict.fromkeys(reasons)), self.values, caps)


def rank(then: str) -> int:
    """How strict an outcome is: that of the offers, 3 for a decline, 0 for a review."""
    return ["REVIEW", *OFFERS[1:], "DECLINE"].index(then)


def with_hits(
    judgement: Judged | None, items: int, hits: Sequence[tuple[str, str]], values: Row
) -> Judged:
    """A judgement with further rules that apply, each an outcome and a reason."""
    found = judgement or nothing(items)
    first = [why for then, why in hits if then == "DECLINE"]
    return Judged(
        max([found.strict, *(rank(then) for then, _ in hits)]),
        found.review or any(then == "REVIEW" for then, _ in hits),
        list(dict.fromkeys([*first, *found.reasons, *(why for _, why in hits)])),
        {**found.values, **values},
        found.caps,
    )


def _name(name: str, over: str) -> str:
    return name if over == "OPERATOR" else f"{name}.all_operators"


def _judge_new(
    of: Reference, caller: str, user_id: str, rule: Row, items: int, now_us: int, finding: _Finding
) -> tuple[int, str] | None:
    """Judges a person who may be new; returns the most that is on credit, or None."""
    over = rule.get("over", "OPERATOR")
    theirs = [it for it in of.rentals.values()
              if it["user_id"] in of.ids_of(user_id) and not it["parent_id"]
              and (over != "OPERATOR" or it["operator_id"] == caller)]  # fmt: skip
    new = False
    if "until_settled" in rule:
        settled = len([it for it in theirs if it["state"] == "SETTLED" and it["start_us"]])
        finding.values[_name("user.settled", over)] = min(settled, rule["until_settled"])
        new = settled < rule["until_settled"]
    if "until_days" in rule:
        granted = [
            it["create_us"]
            for it in theirs
            if it["state"] in (*STATES, "SETTLED") and not _has_lapsed(it, now_us)
        ]
        age_us = now_us - min(granted) if granted else None
        finding.values[_name("user.age_us", over)] = age_us
        new = new or age_us is None or age_us < rule["until_days"] * DAY_US
    if not new:
        return None
    if "mildest_offer" in rule:
        finding.add(rule["mildest_offer"], "NEW_USER", over)
    if "most_open" in rule and items:
        number = len([it for it in theirs if is_open(it, now_us)])
        finding.values[_name("user.open", over)] = number
        if number + items > rule["most_open"]:
            finding.add(rule.get("then", "DECLINE"), "NEW_USER_OPEN", over)
    if "most_waived_minor" not in rule or finding.skips("NEW_USER"):
        return None
    return rule["most_waived_minor"], "NEW_USER" if over == "OPERATOR" else "LINE_EXHAUSTED"


def count(
    of: Reference,
    caller: str,
    user_id: str,
    bearer: str,
    span: str,
    over: str,
    details: Row | None,
    now_us: int,
) -> int | None:
    """The number of rentals of a bearer; None if the order does not name it."""
    name = "" if details is None or bearer == "USER" else details[COLUMNS[bearer]]
    if bearer != "USER" and not name:
        return None
    number = 0
    for it in of.rentals.values():
        if it["parent_id"] or (over == "OPERATOR" and it["operator_id"] != caller):
            continue
        if bearer == "USER" and it["user_id"] not in of.ids_of(user_id):
            continue
        if bearer != "USER" and of.details.get(it["key"], {}).get(COLUMNS[bearer]) != name:
            continue
        if span == "OPEN":
            number += is_open(it, now_us)
        elif it["state"] in (*STATES, "SETTLED") and not _has_lapsed(it, now_us):
            number += now_us - it["create_us"] < {"HOUR": HOUR_US, "DAY": DAY_US}[span]
    return number


def _has_lapsed(it: Row, now_us: int) -> bool:
    return bool(it["state"] == "AUTHORIZED" and it["expire_us"] <= now_us)


def is_open(it: Row, now_us: int) -> bool:
    """Whether a rental holds, and time alone has not ended it."""
    if it["state"] == "RETURN_CLAIMED" and it["claim_until_us"] is not None:
        return bool(it["claim_until_us"] > now_us)
    return it["state"] in STATES and not _has_lapsed(it, now_us)


def obstacle(of: Reference, members: list[Row], now_us: int) -> str | None:
    """The reason why offers are not allowed any more."""
    it = judged_members(of, members, now_us)
    if it is None:
        return None
    on_credit = any(member["credit"] for member in members)
    stops = it.strict == 3 or (it.strict == 2 and on_credit)
    return it.reasons[0] if stops or it.review else None


def judged_members(of: Reference, members: list[Row], now_us: int) -> Judged | None:
    """Judges offers or reviews of one order; a review is not asked for a second time."""
    if not members or members[0]["parent_id"]:
        return None
    first = members[0]
    products = [it["terms"] for it in members]
    details: Any = of.details.get(first["key"])
    caller, user_id = first["operator_id"], first["user_id"]
    skipped = of.listed(caller, user_id, details, products, now_us)[1]
    found = judged(of, caller, user_id, products, details, now_us, skipped=skipped)
    if found is None:
        return None
    return found._replace(review=found.review and "UNDER_REVIEW" not in first["reasons"])
