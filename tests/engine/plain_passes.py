"""Passes told a second time: the reference's rules of grants, purchases and refunds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from service.engine import operations as c
from tests.engine.plain_terms import (
    DAY_US,
    EMPTY,
    FEE_BP,
    UNKNOWN,
    Refused,
    Row,
    grantable,
    of_terms,
    ordered,
)

if TYPE_CHECKING:
    from tests.engine.plain_books import Books

Pool = tuple[Any, str, int, int]
"""A name, a kind of period, the beginning of the period, and the minutes that there are."""
KINDS = {"RENTAL": "MINUTES_A_RENTAL", "DAY": "MINUTES_A_DAY"}


def begin(of: Any, caller: str, command: Any, from_us: int, now_us: int) -> Row:
    """A new pass of the person's survivor, which is not written yet."""
    if (caller, command.product_id) not in of.revisions:
        raise Refused("PRODUCT_NOT_FOUND")
    terms = of.product(caller, command.product_id)
    if terms is None:
        raise Refused("PRODUCT_RETIRED")
    document = terms.get("document", {})
    sold = [row for row in document.get("pass", ()) if row["name"] == command.name]
    if not sold:
        raise Refused("PASS_NOT_FOUND")
    if not now_us - 31 * DAY_US <= from_us <= now_us + 366 * DAY_US:
        raise Refused("INVALID_INPUT")
    (row,) = sold
    until_us = _later(document["time_zone"], from_us, row["days"])
    user_id = of.survivor(command.user_id)
    for held in of.passes.values():
        mine = (held["user_id"], held["operator_id"], held["product_id"])
        same = mine == (user_id, caller, command.product_id) and not held["refund_us"]
        if same and held["from_us"] < until_us and from_us < held["until_us"]:
            raise Refused("PASS_HELD")
    of.line(user_id)
    if user_id not in of.people:
        of.put(of.people, user_id, {**UNKNOWN, "seen_us": now_us})
    return {
        "user_id": user_id, "operator_id": caller, "product_id": command.product_id,
        "terms": terms, "name": row["name"], "price": row["price_minor"],
        "gives": KINDS[row["per"]] if "minutes" in row else "PERCENT",
        "size": row.get("minutes") or row["percent"], "zone": document["time_zone"],
        "from_us": from_us, "until_us": until_us, "debt": None, "refund_us": None,
    }  # fmt: skip


def _later(zone: str, from_us: int, days: int) -> int:
    """The instant of the same time of day some days later."""
    seconds, rest_us = divmod(from_us, 1_000_000)
    wall = datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(zone)).replace(fold=0)
    return int((wall + timedelta(days=days)).timestamp()) * 1_000_000 + rest_us


def grant(of: Any, caller: str, command: c.GrantPass, now_us: int) -> tuple[Any, str, Any]:
    """A pass that the operator sold elsewhere."""
    from_us = now_us if command.from_us is None else command.from_us
    it = begin(of, caller, command, from_us, now_us)
    of.put(of.passes, (caller, of.request_id), it)
    of.events.append((it["user_id"], None, "pass.granted", now_us))
    return ("pass", dict(it), None), it["user_id"], None


def buy(of: Any, caller: str, command: c.BuyPass, now_us: int) -> tuple[Any, str, Any]:
    """A pass whose price is a debt of the person."""
    from_us = now_us if command.from_us is None else max(now_us, command.from_us)
    it = begin(of, caller, command, from_us, now_us)
    if of.line(it["user_id"])["standing"] == "SUSPENDED":
        raise Refused("USER_SUSPENDED")
    terms, price, key = it["terms"], it["price"], (caller, of.request_id, 0)
    debt = {
        **EMPTY, **of_terms(terms),
        "key": key, "user_id": it["user_id"], "operator_id": caller, "request_id": of.request_id,
        "product_id": it["product_id"], "parent_id": "a pass", "asset_id": "",
        "start": "IMMEDIATE", "accept_offers": (), "offer": None, "reasons": ("PASS_BOUGHT",),
        "band": "", "model_id": "", "fee_bp": FEE_BP[caller], "create_us": now_us,
        "state": "SETTLED", "credit": price, "cash": 0, "close_us": now_us,
        "pickup_window_us": 0, "rental_period_us": 0, "refund_after_us": terms["refund"],
        "unheld": price, "unheld_until_us": now_us + terms["debt_us"],
    }  # fmt: skip
    of.put(of.groups, key[:2], [key])
    of.put(of.rentals, key, debt)
    row = {"user_id": it["user_id"], "key": key, "amount": price, "evidence": "", "consent": ""}
    of.put(of.debts, (key, "PASS_BOUGHT"), row)
    of.put(of.passes, key[:2], {**it, "debt": key})
    of.step(
        debt, "collection.debt_booked", now_us, ("receivable_unheld", "operator_deferred", price)
    )
    return ("pass", dict(of.passes[key[:2]]), dict(debt)), it["user_id"], key


def refund(of: Any, caller: str, command: c.RefundPass, now_us: int) -> tuple[Any, str, Any]:
    """The end of a pass that no rental uses."""
    name = of.pass_names.get((command.user_id, command.pass_id))
    if name is None or name[0] != caller:
        raise Refused("PASS_NOT_FOUND")
    it = of.passes[name]
    if it["refund_us"]:
        raise Refused("PASS_REFUNDED")
    if uses(of, name):
        raise Refused("PASS_USED")
    debt, granted = None, 0
    if it["debt"] is not None:
        debt = of.rentals[it["debt"]]
        of.bring_up(debt, now_us)
        granted = grantable(debt)
    if granted:
        said = c.ReportFound(it["user_id"], "")
        of._grant_amount(debt, granted, "pass.refunded", now_us, said)
    else:
        debt = None
        of.events.append((it["user_id"], None, "pass.refunded", now_us))
    of.put(of.passes, name, {**it, "refund_us": now_us})
    told = None if debt is None else dict(debt)
    return ("pass", dict(of.passes[name]), told), it["user_id"], debt and debt["key"]


def uses(of: Books, name: Any) -> int:
    """The number of rentals that use a pass."""
    its = [use for key, use in of.quota_uses.items() if key[3] == name]
    return sum(not use["returned"] for use in its)


def held(of: Books, it: Row) -> Any:
    """The name of the pass that counts for a rental; None if there is none."""
    if it["start_us"] is None or it["parent_id"] or "document" not in it["terms"]:
        return None
    mine = (it["user_id"], it["operator_id"], it["product_id"])
    for name, one in of.passes.items():
        same = (one["user_id"], one["operator_id"], one["product_id"]) == mine
        if same and not one["refund_us"] and one["from_us"] <= it["start_us"] < one["until_us"]:
            return name
    return None


def share_of(of: Books, it: Row) -> int:
    """The percent that a pass takes off the fee of a rental, or took off when it was settled."""
    if it["close_us"] is None:
        name = held(of, it)
    else:
        its = [key for key in of.quota_uses if key[0] == it["key"] and key[4] == "PERCENT"]
        name = its[0][3] if its else None
    if name is None or of.passes[name]["gives"] != "PERCENT":
        return 0
    return int(of.passes[name]["size"])


def kept(of: Books, it: Row, whole: int) -> int:
    """The rest of a fee after the share of a pass, at most the fee of the order."""
    return ordered(it, whole * (100 - share_of(of, it)) // 100)


def lowers(of: Books, name: Any, it: Row, whole: int) -> bool:
    """Whether the share of this pass lowers what a rental costs."""
    left = whole * (100 - int(of.passes[name]["size"])) // 100
    return ordered(it, left) < ordered(it, whole)
