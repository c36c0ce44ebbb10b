"""The signals of fraud told a second time: every rental of the past is looked at anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.engine.plain_terms import DAY_US, MINUTE_US, OFFERS, PRODUCTS, WITHIN_MINUTES, Row
from tests.engine.plain_velocity import NOTHING, STATES, Judged

if TYPE_CHECKING:
    from tests.engine.reference import Reference


class Suspect(NamedTuple):
    """An order: who asks for what, and what was told of it."""

    operator_id: str
    user_id: str
    assets: list[str]
    details: Row | None
    now_us: int


def with_signals(
    of: Reference, judged: Judged | None, products: list[str], it: Suspect
) -> Judged | None:
    """The judgement of an order with the signals of its products' policies."""
    policies = {PRODUCTS[name]["policy"]: PRODUCTS[name]["rules"] for name in products}
    signals = [signal for rules in policies.values() for signal in rules.get("signal", [])]
    if not signals:
        return judged
    found = judged or NOTHING
    values, hits = dict(found.values), list[tuple[str, str]]()
    for name, most, days, then in signals:
        number = _number(of, it, name, days * DAY_US)
        values[f"signal.{name.lower()}"] = number
        if number is not None and number > most:
            hits.append((then, f"SIGNAL_{name}"))
    order = ["", *OFFERS[1:], "DECLINE"]
    strict = max([found.strict, *(order.index(then) for then, _ in hits if then != "REVIEW")])
    review = found.review or any(then == "REVIEW" for then, _ in hits)
    first = [why for then, why in hits if then == "DECLINE"]
    reasons = list(dict.fromkeys([*first, *found.reasons, *(why for _, why in hits)]))
    return Judged(strict, review, reasons, values)


def _number(of: Reference, it: Suspect, signal: str, window_us: int) -> int | None:
    """The count of a signal, the order included; None if the order does not name its bearer."""
    device, account = "", ""
    if it.details is not None:
        device, account = it.details["device_hash"], it.details["payment_account_hash"]
    past = [
        rental
        for rental in of.rentals.values()
        if rental["operator_id"] == it.operator_id
        and not rental["parent_id"]
        and rental["state"] in (*STATES, "SETTLED")
        and it.now_us - rental["create_us"] < window_us
        and not (rental["state"] == "AUTHORIZED" and rental["expire_us"] <= it.now_us)
    ]

    def told(rental: Row, name: str) -> str:
        return str(of.details.get(rental["key"], {}).get(name, ""))

    match signal:
        case "DEVICE_SHARED":
            who = {r["user_id"] for r in past if told(r, "device_hash") == device}
            return len(who | {it.user_id}) if device else None
        case "NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT":
            who = {r["user_id"] for r in past if told(r, "payment_account_hash") == account}
            new = [w for w in who | {it.user_id} if _is_new(of, w, it.now_us - window_us)]
            return len(new) if account else None
        case "ITEM_REPEATED":
            mine = [r["asset_id"] for r in past if r["user_id"] == it.user_id]
            return max([1 + mine.count(asset) for asset in it.assets], default=0)
        case "IMPLAUSIBLE_RETURNS":
            odd = [
                r["user_id"] == it.user_id
                and r["state"] == "SETTLED"
                and r["start_us"] is not None
                and "" not in (told(r, "start_station"), told(r, "end_station"))
                and told(r, "start_station") != told(r, "end_station")
                and r["close_us"] - r["start_us"] < WITHIN_MINUTES * MINUTE_US
                for r in past
            ]
            return odd.count(True)
    raise ValueError(signal)


def _is_new(of: Reference, user_id: str, since_us: int) -> bool:
    return bool(of.people[user_id]["seen_us"] > since_us)
