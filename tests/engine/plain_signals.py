"""The signals of fraud told a second time: every rental of the past is looked at anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tests.engine.plain_offers import Judged
from tests.engine.plain_terms import DAY_US, MINUTE_US, Row
from tests.engine.plain_velocity import STATES, with_hits

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
    of: Reference,
    judged: Judged | None,
    products: Sequence[Row],
    it: Suspect,
    skipped: Mapping[str, str],
) -> Judged | None:
    """The judgement of an order with the signals of its products' policies."""
    signals = [row for product in products for row in product["rules"].get("signal", [])]
    if not signals:
        return judged
    values: Row = {}
    hits: list[tuple[str, str]] = []
    for row in signals:
        name, reason = row["signal"], f"SIGNAL_{row['signal']}"
        if reason in skipped:
            values[f"skipped.{reason}"] = skipped[reason]
            continue
        number = _number(of, it, row)
        told = [values.get(f"signal.{name.lower()}"), number]
        values[f"signal.{name.lower()}"] = max((it for it in told if it is not None), default=None)
        if number is not None and number > row["most"]:
            hits.append((row["then"], reason))
    return with_hits(judged, len(products), hits, values)


def _number(of: Reference, it: Suspect, rule: Row) -> int | None:
    """The count of a signal, the order included; None if the order does not name its bearer."""
    signal, window_us = rule["signal"], rule["days"] * DAY_US
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
        case "DEVICE_SHARED" | "PAYMENT_ACCOUNT_SHARED":
            own, name = (
                (device, "device_hash")
                if signal == "DEVICE_SHARED"
                else (account, "payment_account_hash")
            )
            who = {r["user_id"] for r in past if told(r, name) == own}
            return len(who | {it.user_id}) if own else None
        case "NEW_ACCOUNTS_ON_DEVICE" | "NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT":
            own, name = (
                (device, "device_hash")
                if signal.endswith("DEVICE")
                else (account, "payment_account_hash")
            )
            who = {r["user_id"] for r in past if told(r, name) == own}
            new = [w for w in who | {it.user_id} if _is_new(of, w, it.now_us - window_us)]
            return len(new) if own else None
        case "MANY_DEVICES":
            mine = {told(r, "device_hash") for r in past if r["user_id"] == it.user_id}
            return len((mine | {device}) - {""})
        case "MANY_PAYMENT_ACCOUNTS":
            mine = {told(r, "payment_account_hash") for r in past if r["user_id"] == it.user_id}
            return len((mine | {account}) - {""})
        case "ITEM_REPEATED":
            items = [r["asset_id"] for r in past if r["user_id"] == it.user_id]
            return max([1 + items.count(asset) for asset in it.assets], default=0)
        case "IMPLAUSIBLE_RETURNS":
            odd = [
                r["user_id"] == it.user_id
                and r["state"] == "SETTLED"
                and r["start_us"] is not None
                and "" not in (told(r, "start_station"), told(r, "end_station"))
                and told(r, "start_station") != told(r, "end_station")
                and r["close_us"] - r["start_us"] < rule["within_minutes"] * MINUTE_US
                for r in past
            ]
            return odd.count(True)
    raise ValueError(signal)


def _is_new(of: Reference, user_id: str, since_us: int) -> bool:
    return bool(of.people[user_id]["seen_us"] > since_us)
